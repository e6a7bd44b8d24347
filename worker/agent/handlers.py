"""The functions that the worker registers, one a kind of job: payload in, ``Commit`` out.

They touch neither stream nor browser: ``ctx["resources"]`` holds the graph and the keys. Whatever a job leaves behind
is in its ``Commit``, which finish.lua applies in one step; nothing is written before.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Protocol, cast

import structlog
from pydantic import ValidationError

from producer.contract import JsonObject, Lane, QueryRequest, ScanRequest, ScanResult, describe_invalid
from producer.contract.addresses import host_of
from producer.errors import InvalidJob
from producer.keys import Keys
from worker.agent.assessment.graph import ScanGraph
from worker.agent.assessment.regression import regression_writes
from worker.agent.conversation.complexity import complexity
from worker.agent.conversation.graph import QueryGraph
from worker.agent.job_secrets import LoadSecrets
from worker.agent.state import (
    QueryContext,
    Recalled,
    ScanContext,
    ScanState,
    unpack_shots,
)
from worker.memory.history.scan_record import document, page_of, signature, terms_of
from worker.memory.vectors.embeddings import Embedded
from worker.models.job_context import serving
from worker.queue.outcome import Commit, CounterWrite, ExpiryWrite, HashWrite, Write

log = structlog.get_logger()


class ScanResources(Protocol):
    """What ``scan`` needs of ``ctx["resources"]``."""

    @property
    def keys(self) -> Keys:
        """Keys of the environment."""
        ...

    @property
    def scan_graph(self) -> ScanGraph:
        """The compiled graph."""
        ...

    @property
    def shot_ttl_s(self) -> int:
        """Seconds a screenshot is kept."""
        ...

    @property
    def load_secrets(self) -> LoadSecrets:
        """What reads the secrets of a job."""
        ...


class QueryResources(Protocol):
    """What ``query`` needs of ``ctx["resources"]``."""

    @property
    def query_graph(self) -> QueryGraph:
        """The compiled graph."""
        ...


async def scan(ctx: dict[str, Any], **payload: Any) -> Commit:
    """Scan one page: ``payload`` is a ``ScanRequest``.

    ``ctx`` holds ``resources`` and ``job_id``, and ``progress`` and ``lane`` where they are told. A page that cannot be
    read is a result. Raises ``InvalidJob`` for a payload that is no scan request, and what the engine raises.
    """
    request = parse_request(payload)
    resources = cast("ScanResources", ctx["resources"])
    job_id = str(ctx["job_id"])
    secrets = await resources.load_secrets(job_id)
    context = ScanContext(secrets=secrets, on_progress=ctx.get("progress"))
    with serving(job_id, ctx.get("lane", Lane.BATCH)):
        state = await resources.scan_graph.run(job_id, request, context)
    commit = scan_commit(state, resources.keys, shot_ttl_s=resources.shot_ttl_s)
    log.info("scan.finished", job_id=job_id, status=commit.event["status"], barriers=commit.event["barriers"])
    return commit


async def query(ctx: dict[str, Any], **payload: Any) -> Commit:
    """Answer one question: ``payload`` is a ``QueryRequest``.

    ``ctx`` holds ``resources`` and ``job_id``, and ``progress`` and ``lane`` where they are told; ``score`` is when the
    job was submitted, ms. Raises ``InvalidJob`` for a payload that is no question, ``ThreadBusy`` while another query
    speaks in its conversation, and what the model raises.
    """
    request = parse_query(payload)
    resources = cast("QueryResources", ctx["resources"])
    context = QueryContext(submitted_ms=int(ctx.get("score") or 0), on_progress=ctx.get("progress"))
    job_id = str(ctx["job_id"])
    with serving(job_id, ctx.get("lane", Lane.INTERACTIVE), complex_because=complexity(request.question)):
        result = await resources.query_graph.run(job_id, request, context)
    about: JsonObject = {"thread_id": result.thread_id, "cached": result.cached, "sources": list(result.sources)}
    return Commit(result=result, event=about)


def parse_query(payload: JsonObject) -> QueryRequest:
    """Return the request, its site as a bare host; raises ``InvalidJob`` naming every field that is wrong."""
    try:
        request = QueryRequest.model_validate(payload)
    except ValidationError as error:
        msg = f"not a question: {describe_invalid(error)}"
        raise InvalidJob(msg) from None
    if not request.question.strip():
        msg = "not a question: question is empty"
        raise InvalidJob(msg)
    return request.model_copy(update={"site": site_host(request.site)})


def site_host(site: str) -> str:
    """Return the host that ``site`` names, as an address or bare; raises ``InvalidJob`` where it names none."""
    host = host_of(site if "://" in site else f"//{site}")
    if site.strip() and (not host or any(char.isspace() for char in host)):
        msg = f"site is {site[:100]!r}: expected a host such as shop.example"
        raise InvalidJob(msg)
    return host


def parse_request(payload: JsonObject) -> ScanRequest:
    """Return the request; raises ``InvalidJob`` naming every field that is wrong."""
    try:
        return ScanRequest.model_validate(payload)
    except ValidationError as error:
        msg = f"not a scan request: {describe_invalid(error)}"
        raise InvalidJob(msg) from None


def scan_commit(state: ScanState, keys: Keys, *, shot_ttl_s: int) -> Commit:
    """Return what a finished scan leaves: result, history document, the site's counters, pictures.

    The scan's id is its job's, so that a second run writes over the first. A page in the state of its last record
    (same signature) is written over that one instead: history grows with change, not with scans.
    """
    job_id = state["job_id"]
    request = ScanRequest.model_validate_json(state["request"])
    result = ScanResult.model_validate_json(state["result"])
    recalled = Recalled.model_validate_json(state["recalled"])
    shots = unpack_shots(state["shots"])
    seen_ms = state["seen_ms"]
    is_same = bool(recalled.last_id) and recalled.last_signature == signature(result)
    scan_id, at_ms = (recalled.last_id, recalled.last_at_ms) if is_same else (job_id, seen_ms)
    result = result.model_copy(update={"scan_id": scan_id, "screenshot": keys.shot(job_id) if shots else None})
    fields = document(
        result,
        page=page_of(request),
        terms=terms_of(request),
        at_ms=at_ms,
        seen_ms=seen_ms,
        embedded=Embedded.parse(state["embedded"]),
    )
    writes: list[Write] = [
        HashWrite(keys.scan(scan_id), fields),
        CounterWrite(keys.scan(scan_id), "times_seen", 1),
        *site_counters(result, keys, seen_ms),
    ]
    if shots:
        writes += [HashWrite(keys.shot(job_id), shots), ExpiryWrite(keys.shot(job_id), shot_ttl_s)]
    writes += regression_writes(result, keys, job_id=job_id, seen_ms=seen_ms)
    return Commit(result=result, writes=tuple(writes), event=_event(result))


def site_counters(result: ScanResult, keys: Keys, seen_ms: int) -> list[Write]:
    """Return the increments of ``site:<host>``, and of ``site:`` for all sites together.

    They are the generation, and the sums of the day (UTC) that trends are drawn from. Fields of a day are
    ``<yyyy-mm-dd>:`` and ``scans``, ``unread``, an impact (elements), ``new`` or ``fixed``.
    """
    day = datetime.fromtimestamp(seen_ms / 1000, tz=UTC).date().isoformat()
    sums = {
        "scans": 1,
        "unread": int(result.status not in {"scanned", "partial"}),
        "critical": result.barriers.critical,
        "serious": result.barriers.serious,
        "moderate": result.barriers.moderate,
        "minor": result.barriers.minor,
        "new": len(result.changes.new) if result.changes else 0,
        "fixed": len(result.changes.fixed) if result.changes else 0,
    }
    fields = {"generation": 1} | {f"{day}:{name}": by for name, by in sums.items() if by}
    sites = dict.fromkeys((host_of(result.url), ""))
    return [CounterWrite(keys.site(site), name, by) for site in sites for name, by in fields.items()]


def _event(result: ScanResult) -> JsonObject:
    return {
        "url": result.url,
        "status": result.status,
        "scan_id": result.scan_id,
        "counts": result.counts.model_dump(),
        "barriers": result.barriers.total,
    }
