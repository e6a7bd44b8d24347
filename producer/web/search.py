"""One search box: finds a batch, a component barrier, a page's address, a site or a rule, else searches by meaning."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from producer.contract.advice import advice_on
from producer.contract.waiver import FINGERPRINT
from producer.errors import InputError, InvalidJob, SightlineError, UnknownJob
from producer.reports.plain_text import one_line
from producer.web.desk import Desk, Elsewhere, Shown
from producer.web.past import SiteRow, Wanted

FOUND: Final = 25
MAX_CHARS: Final = 500


async def search(desk: Desk, request: Request) -> Shown | Elsewhere:
    """Redirect to the thing that the words name, or show the nearest results."""
    words = one_line(request.query_params.get("q", ""))
    if len(words) > MAX_CHARS:
        raise InputError(f"{len(words):,} characters: expected a search of up to {MAX_CHARS}")
    if words and (onward := await _named(desk, words)) is not None:
        return onward
    names = sorted(await desk.history.site_names()) if words else []
    sites = [SiteRow(name) for name in names if words.lower() in name][:FOUND]
    is_rule = advice_on(words) is not None
    barriers = list(await desk.history.barriers(Wanted(rule=words), limit=FOUND)) if is_rule else []
    named = list(await desk.history.named(words, limit=FOUND)) if words and not is_rule else []
    pages, why = [], ""
    if words and not is_rule:
        try:
            pages = list(await desk.history.search(words, limit=FOUND))
        except SightlineError as error:  # no model host: names are found without one
            why = str(error)
    facts = {"words": words, "sites": sites, "barriers": barriers, "named": named, "pages": pages, "why": why}
    return Shown("search.html.jinja", "Search", facts, tuple(facts))


async def _named(desk: Desk, words: str) -> Elsewhere | None:
    if FINGERPRINT.fullmatch(words) and "-" in words:
        return Elsewhere(f"/barriers/{words}")
    if words.startswith(("http://", "https://")):
        return Elsewhere("/pages", {"url": words})
    if words.lower() in await desk.history.site_names():
        return Elsewhere(f"/sites/{words.lower()}")
    try:
        await desk.client.batch(words)
    except (UnknownJob, InvalidJob):
        return None
    return Elsewhere(f"/batches/{words}")
