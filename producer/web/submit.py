"""Submits scans and schedules from a form, with the checks and limits of ``sightline scan`` and ``schedule add``.

A sitemap is read by a worker, within the guard of pages: ``sightline web`` connects to nothing but Redis.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

from starlette.requests import Request

from producer.cli.scan.options import STANDARDS, ScanOptions
from producer.cli.scan.report_options import FAIL_ON
from producer.cli.scan.submit import Queued, ScanPlan
from producer.cli.scan.submit import submit as submit_plan
from producer.cli.scan.target_list import Targets
from producer.cli.schedule_search import search_for
from producer.client.client import Client
from producer.contract import JsonObject, check_job_id
from producer.contract.payloads import FIND_PAGES, PAGES
from producer.errors import InputError, ServiceError, SightlineError, UnknownJob
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
OUTAGE_S: Final = 600.0
AGAIN_S: Final = 2.0
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
    search = {**_search(given, targets, sitemaps), "batch": name} if sitemaps else {}
    if given.get("batch", "").strip():
        await _refuse_used(desk.client, name)
    if sitemaps:
        submitted = await desk.client.submit(FIND_PAGES, search, job_id=f"{name}{PAGES}")
        if not submitted.created:
            raise InputError(_used(name))
    else:
        plan = ScanPlan(targets.urls, fields_of(given), name, with_login=targets.with_login)
        await _within_a_request(desk, plan)
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


async def _refuse_used(client: Client, name: str) -> None:
    """Raise ``InputError`` for the name of a complete batch, or of one whose pages were looked for.

    Pages added to it would never be scanned, as it is closed, or will be once its pages are found.
    """
    with contextlib.suppress(UnknownJob):
        if (await client.batch(check_job_id(name, what="batch"))).sealed:
            raise InputError(_used(name))
    with contextlib.suppress(UnknownJob):
        await client.job(f"{name}{PAGES}")
        raise InputError(_used(name))


def _used(name: str) -> str:
    return f"batch {name!r} exists and takes no more pages: choose another batch name"


async def _within_a_request(desk: Desk, plan: ScanPlan) -> None:
    """Submit for a part of the request's time; after that it continues, and the batch's page shows it.

    A submission that ended with its request, or in an outage after it, would leave half a batch, which never finishes.
    """
    task = asyncio.create_task(_submit(desk.client, plan), name=plan.batch)
    desk.submissions.add(task)
    desk.failures.pop(plan.batch, None)
    task.add_done_callback(desk.submissions.discard)
    try:
        done, _ = await asyncio.wait([task], timeout=SUBMIT_S)
    finally:
        if not task.done():
            task.add_done_callback(partial(_note_end, desk))
    if done:
        task.result()


def _note_end(desk: Desk, task: asyncio.Task[None]) -> None:
    """Report the error of a submission whose request has been answered."""
    error = None if task.cancelled() else task.exception()
    if task.cancelled():
        desk.note_failure(task.get_name(), "'sightline web' was stopped meanwhile")
    elif isinstance(error, SightlineError):
        desk.note_failure(task.get_name(), str(error))
    elif error is not None:
        desk.note_failure(task.get_name(), f"internal error: {type(error).__name__}")
        context = {"message": "a submission failed", "exception": error, "task": task}
        task.get_loop().call_exception_handler(context)  # logs it with its traceback


async def _submit(client: Client, plan: ScanPlan) -> None:
    """Submit the plan; once its request has been answered, again after a failure of Redis. Safe to repeat."""
    began_s = time.monotonic()
    while True:
        try:
            return await submit_plan(client, plan, on_job=_unheard, queued=Queued(plan.batch))
        except ServiceError:
            if not SUBMIT_S < time.monotonic() - began_s < OUTAGE_S:
                raise
        await asyncio.sleep(AGAIN_S)
        plan = replace(plan, resume=True)


def _unheard(job_id: str, url: str, is_new: bool) -> None:
    """Ignore a job: the batch's page shows it."""
    del job_id, url, is_new
