"""One component barrier: description, pages, dates, tried fix and waiver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Final

from starlette.requests import Request

from producer.contract import Finding, Node
from producer.contract.advice import advice_on
from producer.contract.waiver import FINGERPRINT, Waiver
from producer.errors import InputError, UnknownJob
from producer.reports.component_dates import ComponentDates
from producer.reports.components import ComponentBarrier, by_component
from producer.reports.page import Page
from producer.stored.waivers import Waivers
from producer.trackers.body import Hidden, body_of, title_of
from producer.trackers.seen import seen_in
from producer.web.desk import Desk, Elsewhere, Shown, visitor_of
from producer.web.guard import form_of
from producer.web.kept import page_of_component
from producer.web.past import Barrier, PageRow, Wanted

PAGES: Final = 200
RESULTS: Final = 4
"""Maximum number of pages whose results are read for the elements; each may have 4 MB."""
ELEMENTS: Final = 6
ALIKE: Final = 20
"""Maximum number of component barriers of the same kind on other sites."""


async def barrier(desk: Desk, request: Request) -> Shown:
    """Show one component barrier."""
    issue_id = str(request.path_params["issue_id"])
    found = await known(desk, issue_id)
    pages = await desk.history.pages_with(issue_id, limit=PAGES)
    detail = await detail_of(desk, found, pages)
    waiver = next((one for one in await Waivers(desk.client).all() if one.fingerprint == issue_id), None)
    shown = _elements(detail)
    today = datetime.now(UTC).date()
    of_kind = await desk.history.barriers(Wanted(kind=issue_id.partition("-")[0]), limit=ALIKE + 1)
    dates = ComponentDates(found.first_ms, found.since_ms)
    facts = {
        "barrier": found,
        "detail": detail,
        "elements_shown": shown,
        "elements": [
            {"url": page.name, "selector": node.selector, "snippet": node.snippet, "fix": node.failure_summary}
            for page, _, node in shown
        ],
        "dates": dates.text,
        "pages": pages,
        "unlisted": max(0, found.pages - len(pages)),
        "alike": [one for one in of_kind if one.issue_id != issue_id][:ALIKE],
        "waiver": waiver,
        "is_waived": bool(waiver and not waiver.is_expired(today)),
        "today": today,
        "said": advice_on(found.rule),
        "fix": detail.fix[0] if detail and detail.fix else None,
        "issue": _issue(found, detail),
    }
    return Shown(
        "barrier.html.jinja", found.name, facts, ("barrier", "pages", "alike", "elements", "waiver", "is_waived", "fix")
    )


async def known(desk: Desk, issue_id: str) -> Barrier:
    """Return a component barrier; raises ``UnknownJob``."""
    if not FINGERPRINT.fullmatch(issue_id) or "-" not in issue_id:
        raise InputError(
            f"{issue_id[:60]!r} is not the id of a component barrier: expected 16 and 8 hex digits, with a '-'"
        )
    found = (await desk.history.barriers_of([issue_id])).get(issue_id)
    if found is None:
        environment = desk.client.keys.environment
        raise UnknownJob(f"no component barrier {issue_id!r} in environment {environment!r}: it may have been pruned")
    return found


async def detail_of(desk: Desk, found: Barrier, pages: Sequence[PageRow]) -> ComponentBarrier | None:
    """Return the component barrier with its elements, from results that are still kept; None if there are none."""
    read: list[Page] = []
    for row in pages[: RESULTS * 3]:
        page = await page_of_component(desk, row.job_id, found.issue_id)
        if page is not None:
            read.append(page)
        if len(read) >= RESULTS:
            break
    fit = (one for one in by_component(read) if one.issue_id == found.issue_id)
    return next(fit, None)


def _elements(detail: ComponentBarrier | None) -> list[tuple[Page, Finding, Node]]:
    """Return different elements of the component, each with its page and finding."""
    shown: dict[str, tuple[Page, Finding, Node]] = {}
    for page, finding in detail.places if detail else ():
        for node in finding.nodes:
            shown.setdefault(node.fingerprint, (page, finding, node))
    return list(shown.values())[:ELEMENTS]


def _issue(found: Barrier, detail: ComponentBarrier | None) -> str:
    """Return the text of its issue, as ``sightline issues`` writes it; '' without its elements."""
    seen = seen_in([page for page, _ in detail.places], at_ms=found.since_ms) if detail else None
    one = seen.barriers.get(found.issue_id) if seen else None
    if one is None:
        return ""
    whole = replace(one, pages=found.pages, elements=found.elements)
    return f"{title_of(whole)}\n\n{body_of(whole, Hidden(found.issue_id, found.rule, found.since_ms, None))}"


async def waive(desk: Desk, request: Request) -> Elsewhere:
    """Waive a component barrier, with a reason and an optional last day."""
    found = await known(desk, str(request.path_params["issue_id"]))
    form = form_of(request)
    who = visitor_of(request).name
    waiver = Waiver(found.issue_id, form.get("reason", "").strip(), _until(form.get("until", "")), who)
    await Waivers(desk.client).add(waiver)
    return Elsewhere(f"/barriers/{found.issue_id}", {"done": "waived"})


async def take_back(desk: Desk, request: Request) -> Elsewhere:
    """Remove the waiver of a component barrier: it counts again."""
    found = await known(desk, str(request.path_params["issue_id"]))
    await Waivers(desk.client).remove(found.issue_id)
    return Elsewhere(f"/barriers/{found.issue_id}", {"done": "counts"})


def _until(text: str) -> date | None:
    if not text:
        return None
    try:
        until = date.fromisoformat(text)
    except ValueError:
        raise InputError(f"the last day {text[:40]!r}: expected a day such as 2027-03-31") from None
    if until < datetime.now(UTC).date():
        raise InputError(f"the last day {until} is over (UTC): expected today or later")
    return until
