"""Submits scans and schedules from a form, with the checks and limits of ``sightline scan`` and ``schedule add``."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Final

from starlette.requests import Request

from producer.cli.scan.options import STANDARDS
from producer.cli.scan.submit import Queued, ScanPlan
from producer.cli.scan.submit import submit as submit_plan
from producer.cli.scan.target_list import Targets
from producer.cli.scan.targets import read_targets
from producer.contract import JsonObject
from producer.errors import InputError
from producer.stored.due_times import check_cron
from producer.stored.schedules import Schedule, Schedules
from producer.web.desk import Desk, Elsewhere, Shown
from producer.web.guard import Form, form_of

MAX_ADDRESSES: Final = 10_000
"""Maximum number of addresses in a form; longer lists need the CLI."""


async def form(desk: Desk, request: Request) -> Shown:
    """Show the forms for a scan and for a schedule."""
    del desk
    facts = {"standards": tuple(STANDARDS), "urls": request.query_params.get("url", "")[:2_000]}
    return Shown("scan.html.jinja", "Scan", facts, ("standards",))


async def scan(desk: Desk, request: Request) -> Elsewhere:
    """Submit the addresses as one batch."""
    given = form_of(request)
    targets = targets_of(given)
    name = given.get("batch", "").strip() or f"web-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
    plan = ScanPlan(targets.urls, fields_of(given), name, with_login=targets.with_login)
    await submit_plan(desk.client, plan, on_job=_unheard, queued=Queued(name))
    return Elsewhere(f"/batches/{name}")


async def add_schedule(desk: Desk, request: Request) -> Elsewhere:
    """Add a schedule."""
    given = form_of(request)
    cron = given.get("cron", "").strip()
    check_cron(cron)
    targets = targets_of(given)
    fields = fields_of(given)
    payloads = tuple({"url": targets.with_login(url), **fields} for url in targets.urls)
    await Schedules(desk.client).add(Schedule(given.get("name", "").strip(), cron, "scan", payloads))
    return Elsewhere("/queue", {"done": "scheduled"})


async def remove_schedule(desk: Desk, request: Request) -> Elsewhere:
    """Remove a schedule; jobs already submitted continue."""
    await Schedules(desk.client).remove(str(request.path_params["name"]))
    return Elsewhere("/queue", {"done": "removed"})


def targets_of(given: Form) -> Targets:
    """Return the addresses, one per line; raises ``InputError`` for none, too many, or an invalid one."""
    lines = [line.strip() for line in given.get("urls", "").splitlines()]
    urls = [line for line in lines if line and not line.startswith("#")]
    if len(urls) > MAX_ADDRESSES:
        raise InputError(
            f"{len(urls):,} addresses: expected up to {MAX_ADDRESSES:,}; for more: sightline scan --file urls.txt"
        )
    targets = read_targets(urls, None)
    if refused := list(targets.refused):
        more = f"; and {len(refused) - 1} more" if len(refused) > 1 else ""
        raise InputError(f"{refused[0].problem}{more}: nothing was submitted")
    return targets


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


def _unheard(job_id: str, url: str, is_new: bool) -> None:
    """Ignore a job: the batch's page shows it."""
    del job_id, url, is_new
