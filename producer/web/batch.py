"""One batch: live progress and outcomes, and cancellation."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from producer.client.event_stream import event_of
from producer.client.queue_info import BatchInfo
from producer.client.queue_view import unknown
from producer.contract import Event
from producer.contract.payloads import PAGES
from producer.contract.states import with_state
from producer.errors import UnknownJob
from producer.redis.connection import redis_errors
from producer.reports.formats import FORMATS
from producer.views.board import Board, read_board
from producer.web.desk import Desk, Elsewhere, Shown
from producer.web.names import batch_asked

ROWS: Final = 40
"""Maximum number of results shown, newest first; all are in the batch's reports."""
READ_BACK: Final = 1_000


@dataclass(frozen=True, slots=True)
class Row:
    """A page of the batch whose scan has ended, or was retried."""

    job_id: str
    url: str
    outcome: str
    barriers: int | None
    at_ms: int


async def batch(desk: Desk, request: Request) -> Shown:
    """Show one batch."""
    name = batch_asked(request)
    try:
        facts = await facts_of(desk, name, [])
    except UnknownJob:
        return await _search_of(desk, name)
    with redis_errors(desk.client.settings, None):
        found = await desk.client.redis.xrevrange(desk.client.keys.events, count=READ_BACK)
    read = (event_of(row_id.decode(), fields.get(b"event", b"")) for row_id, fields in found)
    events = [event for event in read if event and event.batch == name]
    facts["rows"] = rows_of(events)[:ROWS]
    facts["formats"] = tuple(FORMATS)
    facts["last_id"] = found[0][0].decode() if found else "0-0"
    return Shown("batch.html.jinja", f"Batch {name}", facts, ("batch", "share", "left_ms", "rows"))


async def _search_of(desk: Desk, name: str) -> Shown:
    """Show how far the search for a batch's pages or their submission is; raises ``UnknownJob`` if there is neither."""
    failure = desk.failures.get(name, "")
    if failure or desk.is_submitting(name):
        facts = {"name": name, "step": "waiting for Redis", "error": failure, "is_search": False}
        return Shown("looking.html.jinja", f"Batch {name}", facts, ("step", "error"))
    try:
        job = await desk.client.job(f"{name}{PAGES}")
    except UnknownJob:
        raise unknown(f"batch {name!r}", desk.client.keys) from None
    step = f"number {job.position} in lane {job.lane}" if job.position is not None else job.progress or str(job.state)
    error = (job.error or str(job.state)) if job.state.is_final else ""
    facts = {"name": name, "step": step, "error": error, "is_search": True}
    return Shown("looking.html.jinja", f"Batch {name}", facts, ("step", "error"))


async def facts_of(desk: Desk, name: str, events: Sequence[Event]) -> dict[str, Any]:
    """Return the facts about a batch, with the rows of its new events."""
    info = await desk.client.batch(name)
    board = await read_board(desk.client) if not info.finished_ms else None
    return {
        "batch": info,
        "failure": desk.failures.get(name, ""),
        "share": info.done / info.total if info.total else 0.0,
        "left_ms": left_ms(info, board) if board else None,
        "rate": board.recent.per_minute("succeeded") if board else 0.0,
        "running": [job for job in board.jobs if job.batch == name] if board else [],
        "workers": len(board.queue.workers) if board else None,
        "rows": rows_of(list(reversed(events)))[:ROWS],
    }


def left_ms(info: BatchInfo, board: Board) -> float | None:
    """Return the least time left at the current rate of all jobs, in ms; None if unknown."""
    rate = board.recent.per_minute("succeeded") if board.queue.workers else 0.0
    return (info.total - info.done) / rate * 60_000 if rate and info.sealed else None


def rows_of(events: Sequence[Event]) -> list[Row]:
    """Return the pages of events, newest first, each page once."""
    found: dict[str, Row] = {}
    for event in events:
        more = event.model_extra or {}
        if not event.job_id or event.kind != "scan" or not event.event.startswith("job."):
            continue
        word = event.event.removeprefix("job.")
        if word not in {"succeeded", "dead", "cancelled", "retried"}:
            continue
        outcome = str(more.get("status") or word) if word == "succeeded" else word
        barriers = more.get("barriers")
        count = barriers if isinstance(barriers, int) else None
        url = str(more.get("url") or "")
        url = with_state(url, str(more.get("page_state") or "")) if url else ""
        found.setdefault(event.job_id, Row(event.job_id, url, outcome, count, event.at_ms))
    return list(found.values())


async def stream(desk: Desk, request: Request) -> Response:
    """Send the changes of one batch until the browser disconnects."""
    name = batch_asked(request)
    await desk.client.batch(name)
    since = request.headers.get("last-event-id") or request.query_params.get("since", "")
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    if request.method == "HEAD":  # whoever asks for the head alone must not wait for the end of a stream
        return Response(media_type="text/event-stream", headers=headers)
    messages = _while_allowed(request, desk.live.stream(name, since=since))
    return StreamingResponse(messages, media_type="text/event-stream", headers=headers)


async def _while_allowed(request: Request, messages: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Yield ``messages`` until the visitor may no longer view: the account is removed, or the session ends."""
    async with aclosing(messages):
        async for one in messages:
            if not request.state.may_view():
                return
            yield one


async def cancel(desk: Desk, request: Request) -> Elsewhere:
    """Cancel the unfinished jobs of a batch."""
    name = batch_asked(request)
    await desk.client.cancel_batch(name)
    return Elsewhere(f"/batches/{name}", {"done": "cancelled"})
