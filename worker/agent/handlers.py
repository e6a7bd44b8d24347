"""The job functions of scans and questions, bound to their resources: payload in, ``Commit`` out.

They access neither the stream nor a browser. All effects of a job are in its ``Commit``, which finish.lua applies in
one step; nothing is written before. ``worker/resources.py`` opens their resources.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog
from pydantic import ValidationError

from producer.contract import JsonObject, Lane, QueryRequest, ScanRequest, ScanResult, describe_invalid
from producer.contract.addresses import site_of
from producer.contract.fixes import PENDING
from producer.contract.page_counts import PREFIX as PAGES
from producer.contract.scan_terms import terms_of
from producer.errors import InvalidJob
from producer.keys import Keys
from worker.agent.assessment.component_writes import component_writes
from worker.agent.assessment.graph import ScanGraph
from worker.agent.assessment.job import assess_writes
from worker.agent.assessment.regression import regression_writes
from worker.agent.conversation.complexity import complexity
from worker.agent.conversation.graph import QueryGraph
from worker.agent.fixes.queueing import are_tried, fix_writes, secret_writes
from worker.agent.job_secrets import LoadSecrets
from worker.agent.state import QueryContext, Recalled, RecalledComponents, ScanContext, ScanState, unpack_shots
from worker.memory.history.scan_record import document, page_of, signature
from worker.memory.vectors.embeddings import Embedded
from worker.models.job_context import serving
from worker.queue.barrier_writes import TallyWrite, WindowWrite
from worker.queue.outcome import Commit, CounterWrite, ExpiryWrite, HashWrite, Write
from worker.scan.journey.kept_login import LoginKeeper
from worker.scan.settings import Secrets

JUDGED_TTL_S = 86_400
"""Lifetime of images stored only for the assessment: after a day's outage texts are judged without them."""

JobContext = dict[str, Any]
"""A job's context from the queue: ``job_id``; ``progress``, ``check_paused``, ``lane``, ``batch`` and ``score``
(submitted, ms) if known."""

log = structlog.get_logger()


class KeeperOf(Protocol):
    """Returns the keeper of a batch's login."""

    def __call__(self, request: ScanRequest, *, batch: str, variables: Mapping[str, str]) -> LoginKeeper:
        """Return the keeper of the login in ``request``."""
        ...


@dataclass(frozen=True, slots=True)
class ScanJobs:
    """Runs scans. Screenshots are kept for ``shot_ttl_s``; ``try_fixes`` allows trying fixes on the pages.

    ``batch_pages`` limits the batch scans whose pages are loaded: the next one waits without a slot of its host.
    """

    graph: ScanGraph
    keys: Keys
    load_secrets: LoadSecrets
    shot_ttl_s: int
    try_fixes: bool = False
    keeper_of: KeeperOf | None = None
    batch_pages: asyncio.Semaphore | None = None

    async def run(self, ctx: JobContext, payload: JsonObject) -> Commit:
        """Scan one page: ``payload`` is a ``ScanRequest``. A page that cannot be loaded also gives a result.

        Raises ``InvalidJob`` for a payload that is not a scan request, and the engine's errors.
        """
        request = parse_request(payload)
        job_id = str(ctx["job_id"])
        batch = str(ctx.get("batch") or "")
        lane = ctx.get("lane", Lane.BATCH)
        context = ScanContext(
            secrets=self._with_keeper(await self.load_secrets(job_id), request, batch),
            on_progress=ctx.get("progress"),
            before_load=ctx.get("check_paused"),
            submitted_ms=int(ctx.get("score") or 0),
            batch=batch,
            turn=self.batch_pages if self.batch_pages and lane == Lane.BATCH else nullcontext(),
        )
        with serving(job_id, lane):
            state = await self.graph.run(job_id, request, context)
        commit = scan_commit(
            state,
            self.keys,
            shot_ttl_s=self.shot_ttl_s,
            lane=lane,
            batch=context.batch,
            try_fixes=self.try_fixes,
            secrets=context.secrets,
        )
        log.info("scan.finished", job_id=job_id, status=commit.event["status"], barriers=commit.event["barriers"])
        return commit

    def _with_keeper(self, secrets: Secrets | None, request: ScanRequest, batch: str) -> Secrets | None:
        """Return the secrets, with the keeper of the batch's login if the request has one."""
        if request.login is None or not batch or self.keeper_of is None:
            return secrets
        secrets = secrets or Secrets()
        return replace(secrets, keeper=self.keeper_of(request, batch=batch, variables=secrets.variables))


@dataclass(frozen=True, slots=True)
class QueryJobs:
    """Answers questions."""

    graph: QueryGraph

    async def run(self, ctx: JobContext, payload: JsonObject) -> Commit:
        """Answer one question: ``payload`` is a ``QueryRequest``.

        Raises ``InvalidJob`` for a payload that is not a question, ``ThreadBusy`` while another question of its
        conversation runs, and the model's errors.
        """
        request = parse_query(payload)
        context = QueryContext(submitted_ms=int(ctx.get("score") or 0), on_progress=ctx.get("progress"))
        job_id = str(ctx["job_id"])
        with serving(job_id, ctx.get("lane", Lane.INTERACTIVE), complex_because=complexity(request.question)):
            result = await self.graph.run(job_id, request, context)
        about: JsonObject = {"thread_id": result.thread_id, "cached": result.cached, "sources": list(result.sources)}
        return Commit(result=result, writes=tuple(context.needs), event=about)


def parse_query(payload: JsonObject) -> QueryRequest:
    """Return the request; raises ``InvalidJob`` naming every field that is wrong."""
    try:
        return QueryRequest.model_validate(payload)
    except ValidationError as error:
        raise InvalidJob(f"not a question: {describe_invalid(error)}") from None


def parse_request(payload: JsonObject) -> ScanRequest:
    """Return the request; raises ``InvalidJob`` naming every field that is wrong."""
    try:
        return ScanRequest.model_validate(payload)
    except ValidationError as error:
        raise InvalidJob(f"not a scan request: {describe_invalid(error)}") from None


def scan_commit(
    state: ScanState,
    keys: Keys,
    *,
    shot_ttl_s: int,
    lane: Lane | str = Lane.BATCH,
    batch: str = "",
    try_fixes: bool = False,
    secrets: Secrets | None = None,
) -> Commit:
    """Return a finished scan's commit: result, history document, site counters, screenshots, the next job.

    The scan's id is its job's, so that a second run overwrites the first. If the page is in the state of its last
    record (same signature), that record is overwritten: history grows with changes, not with scans.
    """
    job_id = state["job_id"]
    request = ScanRequest.model_validate_json(state["request"])
    result = ScanResult.model_validate_json(state["result"])
    recalled = Recalled.model_validate_json(state["recalled"])
    shots = unpack_shots(state["shots"])
    seen_ms = state["seen_ms"]
    is_same = bool(recalled.last_id) and recalled.last_signature == signature(result)
    scan_id, at_ms = (recalled.last_id, recalled.last_at_ms) if is_same else (job_id, seen_ms)
    is_shown = not set(shots) <= {one.node.fingerprint for one in result.names}  # the others are only for the model
    result = result.revised(scan_id=scan_id, screenshot=keys.shot(job_id) if is_shown else None)
    fields = document(
        result,
        page=page_of(request),
        terms=terms_of(request),
        run="" if is_same else request.run,  # the run that first saw the state keeps it
        at_ms=at_ms,
        seen_ms=seen_ms,
        embedded=Embedded.parse(state["embedded"]),
    )
    # A state seen before, as in a repeated pipeline run, is new only to the run's gate.
    news = result.revised(changes=None) if is_same else result
    writes: list[Write] = [
        HashWrite(
            keys.scan(scan_id), fields if scan_id == job_id else {**fields, "last_job": job_id}, counter="times_seen"
        ),
        *site_counters(news, keys, seen_ms),
    ]
    writes += _compared_writes(result, request, keys, batch=batch, seen_ms=seen_ms, recalled=recalled.components)
    if batch:
        writes.append(CounterWrite(keys.batch(batch), {f"{PAGES}{result.status}": 1}))
    if shots:
        ttl_s = shot_ttl_s if is_shown else min(shot_ttl_s, JUDGED_TTL_S)
        writes += [HashWrite(keys.shot(job_id), shots), ExpiryWrite(keys.shot(job_id), ttl_s)]
    writes += regression_writes(news, keys, job_id=job_id, seen_ms=seen_ms)
    if are_tried(result, request, is_on=try_fixes):
        result = result.revised(fixes_state=PENDING)
        writes += secret_writes(secrets, keys, job_id=job_id)
    writes += assess_writes(result, keys, job_id=job_id, priority=lane, elsewhere=recalled.elsewhere)
    writes += fix_writes(result, keys, job_id=job_id, priority=lane)
    return Commit(result=result, writes=tuple(writes), event=_event(result))


def _compared_writes(
    result: ScanResult, request: ScanRequest, keys: Keys, *, batch: str, seen_ms: int, recalled: RecalledComponents
) -> list[Write]:
    """Return the writes for later scans and ``compare``: the page's component barriers, periods of batch and run."""
    page = component_writes(
        result,
        keys,
        page=page_of(request),
        terms=terms_of(request),
        run=request.run,
        seen_ms=seen_ms,
        recalled=recalled,
    )
    windows = [
        WindowWrite(keys.period(kind, name), site_of(result.url), recalled.began_ms, seen_ms)
        for kind, name in (("batch", batch), ("run", request.run))
        if name and site_of(result.url)  # HTML without an address cannot be compared
    ]
    return [*page, *(site_tallies(result, keys, seen_ms) if page else []), *windows]


def site_counters(result: ScanResult, keys: Keys, seen_ms: int) -> list[Write]:
    """Return the increments of ``site:<host>``, and of ``site:`` for all sites together.

    They are the generation, and the day's (UTC) totals for trends. Fields of a day are ``<yyyy-mm-dd>:`` and ``scans``,
    ``unread``, an impact (elements), ``new`` or ``fixed``.
    """
    day = _day(seen_ms)
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
    sites = dict.fromkeys((site_of(result.url), ""))
    return [CounterWrite(keys.site(site), fields) for site in sites]


def site_tallies(result: ScanResult, keys: Keys, seen_ms: int) -> list[Write]:
    """Return the writes for the day's ``barriers_new`` and ``barriers_mended``, which finish.lua counts."""
    day = _day(seen_ms)
    sites = dict.fromkeys((site_of(result.url), ""))
    return [TallyWrite(keys.site(site), f"{day}:barriers_new", f"{day}:barriers_mended") for site in sites]


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).date().isoformat()


def _event(result: ScanResult) -> JsonObject:
    return {
        "url": result.url,
        **({"page_state": result.page_state} if result.page_state else {}),
        "status": result.status,
        "scan_id": result.scan_id,
        "counts": result.counts.model_dump(),
        "barriers": result.barriers.total,
    }
