"""The job that tries fixes on a scanned page: queued by the preceding commit, on the lane ``assess``.

It takes one element of each component barrier, looks up earlier tries on the same component, lets the engine open the
page once for all others, and commits the result with the outcomes: fenced, together with the event
``scan.fixes_tried``, and only if the result is unchanged. Scans of the batch lane go first, and a worker tries fixes on
one page at a time; further jobs are requeued, so that they hold no slot of model calls. While no model host is
available, it precedes the assessment, calls no model, and queues the assessment in its commit. Nothing is written to
history. The result also gives the reason for changes that cannot be tried. Next: ``queueing.py``,
``worker/scan/fixes/trial.py``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from time import monotonic
from typing import Any, Final, cast

import structlog
from pydantic import ValidationError
from redis.asyncio import Redis

from producer.contract import (
    FunctionResult,
    JsonObject,
    Lane,
    ScanRequest,
    ScanResult,
    Usage,
    decode_payload,
    describe_invalid,
)
from producer.contract.assessment import AssessmentSource
from producer.contract.fixes import LATER, PENDING, TRIED, TriedFix
from producer.contract.payloads import ASSESS, assess_job_id, fix_job_id
from producer.contract.results import decode_result
from producer.contract.terms import BY_RULE
from producer.errors import Busy, InvalidJob, RedisUnsuitable
from producer.keys import Keys
from worker.agent.assessment.trim import RECORD_BYTES, trim
from worker.agent.fixes.model import ModelProposer, Said, may_propose
from worker.agent.fixes.queueing import FixRequest, candidates, scans_go_first
from worker.agent.fixes.tried import Element, Tried, name_of
from worker.agent.job_secrets import GONE, parse_secrets
from worker.agent.prompts import clip
from worker.agent.spread import Spread
from worker.models.job_context import serving
from worker.models.protocols import add_usage
from worker.queue.outcome import Commit, EntryWrite, EventWrite, JobWrite, PublishWrite, ReplaceWrite, Write
from worker.scan.fixes.rules import MECHANICAL
from worker.scan.fixes.wanted import MOST_TRIED, NOTHING, FixEngine, Wanted
from worker.scan.settings import BeforeLoad, Secrets, no_pause

ATTEMPTS: Final = 3
AGAIN_S: Final = 0.5
"""Seconds until a job checks again if scans or another page went first."""
GAP_S: Final = 0.5
"""Seconds between two checks by one worker whether the other page is done: less than the time of a try."""
SCANS_GAP_S: Final = 0.1
"""The same for scans, which takes two commands: once the last scan ends, a thousand jobs have checked after 100 s."""
CANCELLED: Final = "cancelled"
"""The reason given when a cancelled job is settled."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class FixJobs:
    """Tries fixes on pages. Without ``is_patient``, a job waits for the other page: its worker exits with its lanes."""

    engine: FixEngine
    redis: Redis
    keys: Keys
    _: KW_ONLY
    proposer: ModelProposer | None = None
    is_patient: bool = True
    _place: asyncio.Lock = field(default_factory=asyncio.Lock)
    _spread: Spread = field(default_factory=Spread)

    async def run(self, ctx: Mapping[str, Any], payload: JsonObject) -> Commit:
        """Try changes on one scan's page: ``payload`` is a ``FixRequest``.

        Raises ``InvalidJob`` for another payload, ``Busy`` while scans go first or this worker is busy with another
        page, and the engine's errors.
        """
        request = _parse(payload)
        since_ms = int(ctx.get("score") or 0)
        if self.is_patient and await scans_go_first(self.redis, self.keys, request.priority, since_ms=since_ms):
            raise self._later("scans have priority", gap_s=SCANS_GAP_S)
        pending = await self._pending(request.scan)
        if pending is None:
            return Commit(FunctionResult())
        with serving(request.scan, request.priority):
            try:
                fixes, usage, is_all = await self._fixes(request, pending[1], ctx.get("check_paused"))
            except InvalidJob as error:
                return await self._commit(request, (), _none(str(error)))
        state = (TRIED if fixes else _none(NOTHING)) if is_all else LATER
        return await self._commit(request, fixes, state, usage)

    async def settle(self, payload: bytes, reason: str) -> Commit | None:
        """Return the commit of a result without tries, for ``reason``; None for an invalid payload."""
        try:
            request = _parse(decode_payload(payload))
        except InvalidJob:
            return None
        return await self._commit(request, (), _none(reason), is_cancelled=reason == CANCELLED)

    async def _fixes(
        self, request: FixRequest, result: ScanResult, check_paused: BeforeLoad | None
    ) -> tuple[tuple[TriedFix, ...], Usage, bool]:
        """Return the known and new results for the page's component barriers.

        The last value is False if a model will be asked later, which needs no login. Raises ``Busy`` while this worker
        is busy with another page, ``Paused`` while the scan's batch or lane is paused.
        """
        scan, secrets, batch = await self._scan(request.scan)
        before_load = partial(check_paused or no_pause, f"lane:{request.priority}", f"batch:{batch}")
        before_load()
        by = self.proposer.name if self.proposer and not request.assess else ""
        found = [one for one in candidates(result) if one[0].rule in MECHANICAL or (by and may_propose(one))]
        found = found[:MOST_TRIED]
        is_for_model = bool(self.proposer and request.assess and not secrets)
        is_all = not (is_for_model and any(map(may_propose, candidates(result))))
        tried = Tried(self.redis, self.keys, scan, by=by)
        known = await tried.known(found)
        left = [one for one in found if name_of(one) not in known]
        if left and self._place.locked() and self.is_patient:  # before asking a model in vain
            raise self._later("this worker is trying changes on another page")
        said = await self._said([one for one in left if one[0].rule not in MECHANICAL])
        fixes = {**known, **said.unsaid}
        wanted = [
            Wanted(node.issue_id, finding.rule, node.snippet, markup, by if markup else BY_RULE)
            for finding, node in left
            if (markup := said.markup.get(node.issue_id, "")) or finding.rule in MECHANICAL
        ]
        if wanted:
            fixes |= {(fix.rule, fix.issue_id): fix for fix in await self._tries(scan, wanted, secrets, before_load)}
        await tried.keep(left, fixes)
        shown = (fixes[name_of(one)] for one in found if name_of(one) in fixes)
        return tuple(fix for fix in shown if fix.why != NOTHING), said.usage, is_all

    def _later(self, reason: str, *, gap_s: float = GAP_S) -> Busy:
        return Busy(reason, delay_s=self._spread.pause_s(monotonic(), at_least_s=AGAIN_S, gap_s=gap_s))

    async def _said(self, elements: Sequence[Element]) -> Said:
        if self.proposer is None or not elements:
            return Said()
        return await self.proposer.propose(elements)

    async def _tries(
        self, scan: ScanRequest, wanted: Sequence[Wanted], secrets: Secrets | None, before_load: BeforeLoad
    ) -> Sequence[TriedFix]:
        async with self._place:
            return await self.engine.try_fixes(scan, wanted, secrets=secrets, before_load=before_load)

    async def _scan(self, scan: str) -> tuple[ScanRequest, Secrets | None, str]:
        """Return the scan's request, secrets and batch; raises ``InvalidJob`` if they are gone."""
        async with self.redis.pipeline(transaction=False) as pipe:
            pipe.hmget(self.keys.job(scan), ["payload", "secrets", "batch"])
            pipe.hgetall(self.keys.secret(fix_job_id(scan)))
            (payload, had_secrets, batch), fields = await pipe.execute()
        if payload is None:
            raise InvalidJob("the scan's request is no longer kept")
        if had_secrets and not fields:
            raise InvalidJob(GONE)
        try:
            request = ScanRequest.model_validate(decode_payload(payload))
        except ValidationError as error:
            raise InvalidJob(f"not a scan request: {describe_invalid(error)}") from None
        return request, parse_secrets(fields) if fields else None, (batch or b"").decode()

    async def _pending(self, scan: str) -> tuple[bytes, ScanResult] | None:
        """Return the result that waits for tries, parsed and as text, or None."""
        text = await cast("Awaitable[bytes | None]", self.redis.get(self.keys.result(scan)))
        try:
            result = decode_result(text) if text is not None else None
        except RedisUnsuitable:  # another program's: nothing to update
            return None
        if text is None or not isinstance(result, ScanResult) or not result.fixes_state.startswith(PENDING):
            return None
        return text, result

    async def _commit(
        self,
        request: FixRequest,
        fixes: tuple[TriedFix, ...],
        state: str,
        usage: Usage | None = None,
        *,
        is_cancelled: bool = False,
    ) -> Commit:
        pending = await self._pending(request.scan)
        if pending is None:
            return Commit(FunctionResult())
        text, result = pending
        usage = add_usage(result.usage, usage or Usage())
        if result.fixes and not fixes:  # those tried before the assessment
            fixes, state = result.fixes, TRIED
        if is_cancelled and result.assessed_by.is_pending:
            result = result.revised(assessment_source=_none(CANCELLED))
        result = trim(result.revised(fixes=fixes, fixes_state=state, usage=usage), RECORD_BYTES)
        seconds, micros = await self.redis.time()
        shown = sum(fix.is_fix for fix in fixes)
        about: JsonObject = {"url": result.url, "scan_id": result.scan_id, "tried": len(fixes), "fixes": shown}
        event = {"v": 1, "event": "scan.fixes_tried", "job_id": request.scan, "kind": "scan", **about}
        line = json.dumps({**event, "at_ms": seconds * 1000 + micros // 1000})
        log.info("scan.fixes_tried", job_id=request.scan, tried=len(fixes), fixes=shown, state=state)
        return Commit(
            FunctionResult(),
            (
                ReplaceWrite(self.keys.result(request.scan), text, result.model_dump_json()),
                *self._assessment(request, result),
                EventWrite(self.keys.events, line),
                PublishWrite(self.keys.events_live, line),
            ),
            event=about,
        )

    def _assessment(self, request: FixRequest, result: ScanResult) -> list[Write]:
        """Return the writes that queue the assessment that waits for these tries."""
        if not request.assess or not result.assessed_by.is_pending:
            return []
        own_id = assess_job_id(request.scan)
        fields = {"kind": ASSESS, "lane": Lane.ASSESS.value, "payload": json.dumps(request.assess)}
        return [EntryWrite(self.keys.lane(Lane.ASSESS), own_id, ASSESS), JobWrite(self.keys.job(own_id), fields)]


def _parse(payload: JsonObject) -> FixRequest:
    try:
        return FixRequest.model_validate(payload)
    except ValidationError as error:
        raise InvalidJob(f"not a request to try fixes: {describe_invalid(error)}") from None


def _none(reason: str) -> str:
    return str(AssessmentSource(reason=clip(reason)))
