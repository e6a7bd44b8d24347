"""Submits scans and schedules from a form, with the checks and limits of ``sightline scan`` and ``schedule add``.

A sitemap is read by a worker, within the guard of pages: ``sightline web`` connects to nothing but Redis.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, Final

from starlette.requests import Request

from producer.cli.scan.options import STANDARDS, ScanOptions
from producer.cli.scan.report_options import FAIL_ON
from producer.cli.scan.submit import Queued, ScanPlan
from producer.cli.scan.submit import submit as submit_plan
from producer.cli.scan.target_list import Targets
from producer.cli.schedule_search import search_for
from producer.contract import JsonObject, check_job_id
from producer.contract.payloads import FIND_PAGES, PAGES
from producer.errors import InputError
from producer.reports.plain_text import middle_cut, one_line
from producer.stored.due_times import check_cron, zone_of
from producer.stored.schedules import Schedule, Schedules
from producer.web.desk import PATIENCE_S, Desk, Elsewhere, Shown
from producer.web.guard import Form, form_of

MAX_ADDRESSES: Final = 10_000
"""Maximum number of addresses in a form; longer lists need the CLI."""
MAX_SITEMAPS: Final = 100
MAX_PAGES: Final = 10_000
SUBMIT_S: Final = PATIENCE_S / 2
"""Part of a request's time for submitting; a slower submission continues after its response."""
ZONES: Final = ("UTC", "Europe/Berlin", "Europe/London", "America/New_York", "America/Los_Angeles", "Asia/Tokyo")
"""Suggested in the form; any name of the IANA database is accepted."""


async def form(desk: Desk, request: Request) -> Shown:
    """Show the forms for a scan and for a schedule."""
    del desk
    facts = {
        "standards": tuple(STANDARDS),
        "gates": tuple(FAIL_ON),
        "zones": ZONES,
        "urls": request.query_params.get("url", "")[:2_000],
    }
    return Shown("scan.html.jinja", "Scan", facts, ("standards", "gates"))


async def scan(desk: Desk, request: Request) -> Elsewhere:
    """Submit the addresses as one batch, or the search for the pages of sitemaps."""
    given = form_of(request)
    targets, sitemaps = targets_of(given), sitemaps_of(given)
    name = given.get("batch", "").strip() or f"web-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
    if sitemaps:
        search = {**_search(given, targets, sitemaps), "batch": check_job_id(name, what="batch")}
        await desk.client.submit(FIND_PAGES, search, job_id=f"{name}{PAGES}")
    else:
        plan = ScanPlan(targets.urls, fields_of(given), name, with_login=targets.with_login)
        await _within_a_request(desk, submit_plan(desk.client, plan, on_job=_unheard, queued=Queued(name)))
    return Elsewhere(f"/batches/{name}")


async def add_schedule(desk: Desk, request: Request) -> Elsewhere:
    """Add a schedule."""
    given = form_of(request)
    cron, zone = given.get("cron", "").strip(), given.get("time_zone", "").strip()
    check_cron(cron)
    zone_of(zone)
    targets, sitemaps = targets_of(given), sitemaps_of(given)
    fields = fields_of(given)
    if sitemaps:
        kind, payloads = FIND_PAGES, (_search(given, targets, sitemaps),)
    else:
        kind, payloads = "scan", tuple({"url": targets.with_login(url), **fields} for url in targets.urls)
    zone = "" if zone == "UTC" else zone
    schedule = Schedule(given.get("name", "").strip(), cron, kind, payloads, zone, gate_of(given))
    await Schedules(desk.client).add(schedule)
    return Elsewhere("/queue", {"done": "scheduled"})


async def remove_schedule(desk: Desk, request: Request) -> Elsewhere:
    """Remove a schedule; jobs already submitted continue."""
    await Schedules(desk.client).remove(str(request.path_params["name"]))
    return Elsewhere("/queue", {"done": "removed"})


def targets_of(given: Form) -> Targets:
    """Return the addresses, one per line; raises ``InputError`` for none, too many, or an invalid one."""
    urls = _lines(given, "urls")
    if not urls and not _lines(given, "sitemaps"):
        raise InputError("no address is given: expected pages or a sitemap, one per line, such as https://example.org/")
    if len(urls) > MAX_ADDRESSES:
        raise InputError(
            f"{len(urls):,} addresses: expected up to {MAX_ADDRESSES:,}; for more: sightline scan --file urls.txt"
        )
    return _checked(urls)


def sitemaps_of(given: Form) -> tuple[str, ...]:
    """Return the addresses of sitemaps or of sites that have one; raises ``InputError``."""
    urls = _lines(given, "sitemaps")
    if len(urls) > MAX_SITEMAPS:
        raise InputError(f"{len(urls):,} sitemaps: expected up to {MAX_SITEMAPS}")
    targets = _checked(urls)
    if targets.logins:
        raise InputError("a sitemap's address has a name and password: use sightline scan --sitemap --header-file F")
    return tuple(targets.urls)


def gate_of(given: Form) -> JsonObject:
    """Return the gate of a schedule's runs, as ``schedule add`` stores it."""
    fail_on = given.get("fail_on", "")
    if fail_on and fail_on not in FAIL_ON:
        raise InputError(f"gate {fail_on[:40]!r}: expected one of {', '.join(FAIL_ON)}")
    strict: JsonObject = {"strict": True} if given.get("strict") else {}
    return ({"fail_on": fail_on} if fail_on else {}) | strict


def fields_of(given: Form) -> JsonObject:
    """Return the fields of a ``ScanRequest`` that the form sets."""
    standard = given.get("standard", "")
    if standard and standard not in STANDARDS:
        raise InputError(f"standard {standard[:40]!r}: expected one of {', '.join(STANDARDS)}")
    fields: JsonObject = {"standard": standard} if standard else {}
    if group := given.get("group", "").strip():
        fields["group"] = group
    if given.get("screenshot"):
        fields["screenshot"] = True
    if given.get("live"):
        fields["checks"] = ["axe", "live"]
    return fields


def _search(given: Form, targets: Targets, sitemaps: tuple[str, ...]) -> JsonObject:
    """Return the payload of the job that reads the sitemaps and submits their pages."""
    text = given.get("max_pages", "").strip() or "100"
    most = int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0  # noqa: PLR2004  10,000 has five
    if not 1 <= most <= MAX_PAGES:
        raise InputError(f"at most {text[:20]!r} pages: expected 1 to {MAX_PAGES:,}")
    if targets.logins:
        raise InputError("beside a sitemap, no address may have a name and password: submit those pages alone")
    asked = ScanOptions(sitemaps=sitemaps, max_pages=most)
    return search_for(targets.urls, asked, fields_of(given))


def _lines(given: Form, name: str) -> list[str]:
    lines = (line.strip() for line in given.get(name, "").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _checked(urls: list[str]) -> Targets:
    """Return the addresses; unlike the CLI's check, this looks at no file of this machine that a line may name."""
    targets, found, problems = Targets(), dict[str, None](), list[str]()
    for text in urls:
        try:
            found[targets.address(text)] = None
        except ValueError as error:
            problems.append(middle_cut(one_line(str(error)), 600))
    if problems:
        more = f"; and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise InputError(f"{problems[0]}{more}: nothing was submitted")
    targets.urls = tuple(found)
    return targets


async def _within_a_request(desk: Desk, submission: Coroutine[Any, Any, None]) -> None:
    """Wait for ``submission`` for a part of the request's time; after that it continues, and the batch's page shows it.

    A submission that ended with its request would leave half a batch, which never finishes.
    """
    task = asyncio.create_task(submission)
    desk.submissions.add(task)
    task.add_done_callback(desk.submissions.discard)
    done, _ = await asyncio.wait([task], timeout=SUBMIT_S)
    if done:
        task.result()


def _unheard(job_id: str, url: str, is_new: bool) -> None:
    """Ignore a job: the batch's page shows it."""
    del job_id, url, is_new
