"""Questions about scan results, in conversations; the sources of an answer are links."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request

from producer import contract
from producer.client.queue_info import JobInfo
from producer.contract import check_job_id
from producer.contract.states import with_state
from producer.errors import InputError, UnknownJob
from producer.web.desk import Desk, Elsewhere, Shown
from producer.web.guard import form_of

MAX_QUESTION: Final = 4_000


async def ask(desk: Desk, request: Request) -> Shown:
    """Show the form for a question."""
    del desk
    facts = {"thread": request.query_params.get("thread", "")[:200], "site": request.query_params.get("site", "")[:255]}
    return Shown(
        "ask.html.jinja", "Ask", {**facts, "example": "Which page has the worst barriers?"}, ("thread", "site")
    )


async def submit(desk: Desk, request: Request) -> Elsewhere:
    """Queue a question."""
    form = form_of(request)
    question = form.get("question", "").strip()
    if not question:
        raise InputError("the question is empty: expected one such as 'Which page has the worst barriers?'")
    if len(question) > MAX_QUESTION:
        raise InputError(f"the question has {len(question):,} characters: expected up to {MAX_QUESTION:,}")
    fields = {"question": question, "thread_id": form.get("thread", ""), "site": form.get("site", "").strip()}
    payload: dict[str, Any] = {name: value for name, value in fields.items() if value}
    submitted = await desk.client.submit("query", payload)
    return Elsewhere(f"/ask/{submitted.job_id}")


async def answer(desk: Desk, request: Request) -> Shown:
    """Show an answer, or its progress."""
    job_id = str(request.path_params["job_id"])
    check_job_id(job_id)
    result = await desk.client.result(job_id)
    job = await desk.client.job(job_id) if result is None else None
    if (result.kind if result else job.kind if job else "") != "query":
        raise UnknownJob(f"job {job_id!r} is not a question: see 'sightline result {job_id}'")
    found = result if isinstance(result, contract.QueryResult) and result.error is None else None
    sources = await _sources(desk, found.sources) if found else []
    facts = {
        "job_id": job_id,
        "question": await _question(desk, job_id),
        "answer": found,
        "error": result.error.message if result and result.error else "",
        "sources": sources,
        "job": job,
        "step": _step(job),
    }
    return Shown("answer.html.jinja", "Ask", facts, ("job_id", "question", "answer", "error", "sources", "step"))


async def _question(desk: Desk, job_id: str) -> str:
    payload: Any = await desk.client.redis.hget(desk.client.keys.job(job_id), "payload")  # pyright: ignore[reportGeneralTypeIssues]
    try:
        return str(contract.decode_payload(payload or b"{}").get("question") or "")
    except InputError:
        return ""


async def _sources(desk: Desk, scan_ids: tuple[str, ...]) -> list[dict[str, str]]:
    """Return the scans that an answer is based on, with their pages' addresses if these are still kept."""
    found: list[dict[str, str]] = []
    for scan_id in scan_ids[:50]:
        key = desk.client.keys.scan(scan_id)
        kept: Any = await desk.client.redis.hmget(key, ["url", "page_state"])  # pyright: ignore[reportGeneralTypeIssues]
        url, state = ((one or b"").decode("utf-8", "replace") for one in kept)
        found.append({"scan_id": scan_id, "url": with_state(url, state) if url else ""})
    return found


def _step(job: JobInfo | None) -> str:
    if job is None:
        return ""
    if job.position is not None:
        return f"waiting: number {job.position} in lane {job.lane}"
    return job.progress or str(job.state)
