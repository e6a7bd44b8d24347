"""One page: its states, newest findings, path of the Tab key, doubts and history."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from producer.contract import check_job_id, public_url
from producer.contract.addresses import normal_url, site_of
from producer.contract.states import split_state
from producer.errors import InputError, UnknownJob
from producer.reports.marks import Marks
from producer.web.desk import Desk, Shown
from producer.web.kept import kept_page
from producer.web.overview import waivers_in_force

RECORDS: Final = 20
COMPONENTS: Final = 100
_SIGNS: Final = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"RIFF", "image/webp"))


async def page(desk: Desk, request: Request) -> Shown:
    """Show one page by its address."""
    asked = request.query_params.get("url", "")
    if not asked:
        raise InputError("the page is missing: expected /pages?url=https://shop.example/cart")
    address, _ = split_state(asked)
    try:
        normal_url(address)
    except ValueError as error:
        raise InputError(str(error)) from None
    past = await desk.history.page(asked, limit=RECORDS)
    if not past:
        shown = public_url(address)
        raise UnknownJob(f"no scan of {shown!r} is recorded: try 'sightline scan {shown}'")
    newest = past[0]
    kept = await kept_page(desk, newest.row.job_id)
    waived = await waivers_in_force(desk.client)
    if kept is not None and waived:
        kept.page = replace(kept.page, marks=Marks(waivers=waived))
    facts = {
        "row": newest.row,
        "site": site_of(newest.row.url),
        "page": kept.page if kept else None,
        "kept": kept,
        "findings": kept.page.findings if kept else (),
        "doubts": kept.page.doubts if kept else (),
        "past": past,
        "barriers": await desk.history.barriers_of(newest.components[:COMPONENTS]) if kept is None else {},
    }
    return Shown(
        "one_page.html.jinja", newest.row.title or newest.row.url, facts, ("row", "findings", "doubts", "past")
    )


async def shot(desk: Desk, request: Request) -> Response:
    """Return a screenshot of a scan."""
    job_id, name = str(request.path_params["job_id"]), str(request.path_params["name"])
    check_job_id(job_id)
    data: Any = await desk.client.redis.hget(desk.client.keys.shot(job_id), name) or b""  # pyright: ignore[reportGeneralTypeIssues]
    kind = next((kind for sign, kind in _SIGNS if data.startswith(sign)), "")
    if not kind:
        raise UnknownJob(f"no screenshot {name[:60]!r} of job {job_id!r} is kept")
    return Response(data, media_type=kind, headers={"Cache-Control": "private, max-age=86400"})
