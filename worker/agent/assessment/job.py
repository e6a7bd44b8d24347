"""The job that assesses a scan whose findings are already reported; queued by the scan's commit on the lane ``assess``.

It reads the scan's result, asks the model, and commits the result with the assessment by finish.lua: fenced, together
with the event ``scan.assessed``, and only if the result is unchanged. While no model host is available the job is
requeued without limit, and fixes that need no model are tried meanwhile (``worker/agent/fixes``). A failed call is
retried like any job. If there will be no assessment, the result says why. Nothing is written for a result that has
expired or belongs to a later scan of the same id. Next: ``assess.py``.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha1
from time import monotonic
from typing import Any, Final, cast

import structlog
from pydantic import Field, ValidationError
from redis.asyncio import Redis

from producer.contract import FunctionResult, JsonObject, Lane, ScanResult, Usage, decode_payload, describe_invalid
from producer.contract.assessment import AssessmentSource
from producer.contract.fixes import FIRST, PENDING
from producer.contract.message import Message
from producer.contract.payloads import ASSESS, assess_job_id
from producer.contract.results import decode_result
from producer.errors import (
    Busy,
    InvalidJob,
    ModelBusy,
    ModelError,
    ModelMissing,
    ModelTimeout,
    ModelUnreachable,
    RedisUnsuitable,
)
from producer.keys import Keys
from producer.redis.scripts import load_script, run_script
from producer.settings import DAY_S
from worker.agent.assessment.assess import Shared, appraise
from worker.agent.assessment.outage import Outage
from worker.agent.assessment.site_order import SiteOrders
from worker.agent.assessment.trim import RECORD_BYTES, trim
from worker.agent.assessment.verdict import Verdict
from worker.agent.fixes.queueing import fix_writes, has_mechanical, scans_go_first, tries_before
from worker.agent.prompts import clip
from worker.agent.spread import Spread
from worker.memory.history.scan_record import cut_summary
from worker.models.builtin.models import NAME
from worker.models.job_context import serving
from worker.models.protocols import ChatModel, add_usage, sees
from worker.queue.outcome import (
    Commit,
    CounterWrite,
    EntryWrite,
    EventWrite,
    ExpiryWrite,
    HashWrite,
    JobWrite,
    PublishWrite,
    ReplaceWrite,
    Write,
)
from worker.scan.lint.rules import with_nodes

OUTAGES: Final = (ModelUnreachable, ModelBusy, ModelMissing)
"""Errors after which no call was possible: the job waits without spending an attempt."""
PAUSE_S: Final = 10.0
"""Seconds between checks for a host: a page scanned in an outage is assessed within a minute after its end."""
GAP_S: Final = 0.1
"""Seconds between requeued jobs of one worker: each of 5,000 checks once in eight minutes."""
TRIES: Final = 20
"""Attempts of a failing call, 1 s to 5 minutes apart: enough for a host that restarts for half an hour."""
SLOW_TRIES: Final = 3
"""Attempts of a call that times out: each occupies the GPU the whole time."""
REPLACE: Final = load_script("worker.agent.assessment", "replace")

log = structlog.get_logger()


class AssessRequest(Message):
    """The payload: the scan's job id, its lane, its page, and the number of similar pages that fail each rule."""

    scan: str
    priority: Lane = Lane.BATCH
    url: str = ""
    elsewhere: dict[str, int] = Field(default_factory=dict[str, int])


def assess_writes(
    result: ScanResult, keys: Keys, *, job_id: str, priority: Lane | str, elsewhere: dict[str, int]
) -> list[Write]:
    """Return the writes that queue the assessment of ``result`` in its commit; none if none is pending."""
    if not result.assessed_by.is_pending:
        return []
    request = AssessRequest(scan=job_id, priority=Lane(priority), url=result.url, elsewhere=elsewhere)
    own_id = assess_job_id(job_id)
    fields = {"kind": ASSESS, "lane": Lane.ASSESS.value, "payload": request.model_dump_json()}
    return [
        EntryWrite(keys.lane(Lane.ASSESS), own_id, ASSESS),
        JobWrite(keys.job(own_id), fields),
    ]


@dataclass(frozen=True, slots=True)
class AssessJobs:
    """Runs assessments."""

    chat: ChatModel
    redis: Redis
    keys: Keys
    review_areas: int
    usage_ttl_s: int = 400 * DAY_S
    orders: SiteOrders | None = None
    _spread: Spread = field(default_factory=Spread)
    _outage: Outage = field(default_factory=Outage)

    async def run(self, ctx: dict[str, Any], payload: JsonObject) -> Commit:
        """Assess one scan: ``payload`` is an ``AssessRequest``.

        Raises ``InvalidJob`` for another payload, ``Busy`` in an outage, ``ModelError`` for a failed call worth another
        attempt.
        """
        request = _parse(payload)
        began = monotonic()
        if self._outage.holds(request.scan, began):
            raise Busy(self._outage.error, delay_s=self._pause_s())
        pending = await self._pending(request.scan)
        if pending is None:
            return _nothing(request)
        with serving(request.scan, request.priority):
            verdict = await self._verdict(request, pending[1])
            failure, attempt = verdict.failure, int(ctx.get("job_try") or 1)
            if isinstance(failure, OUTAGES):
                return await self._put_off(request, failure, verdict.usage)
            if failure is not None and _is_worth_another(failure, attempt):
                why = f"attempt {attempt} of {TRIES} failed, the next follows within 5 minutes: {failure}"
                await self._note(request.scan, why, verdict.usage)
                raise failure
            verdict = await self._with_order(verdict, pending[1].url)
        return await self._commit(request, verdict, began=began)

    async def settle(self, payload: bytes, reason: str) -> Commit | None:
        """Return the commit of a result without an assessment, for ``reason``; None for an invalid payload."""
        try:
            request = _parse(decode_payload(payload))
        except InvalidJob:
            return None
        return await self._commit(request, Verdict(None, AssessmentSource(reason=clip(reason))))

    async def _verdict(self, request: AssessRequest, result: ScanResult) -> Verdict:
        return await appraise(
            self.chat,
            result,
            changes=result.changes,
            elsewhere=request.elsewhere,
            review_areas=self.review_areas,
            # The built-in model restates a page's findings, which is not worth sharing.
            shared=None if self.chat.name == NAME else Shared.of(self.redis, self.keys),
            pictures=await self._pictures(request.scan, result),
        )

    async def _pictures(self, scan: str, result: ScanResult) -> dict[str, bytes]:
        """Return the images whose text is judged, by node fingerprint; none for a model without vision."""
        names = [one.node.fingerprint for one in result.names if one.node.box]
        if not names or not await sees(self.chat):
            return {}
        found = await cast("Awaitable[list[bytes | None]]", self.redis.hmget(self.keys.shot(scan), names))
        return {name: picture for name, picture in zip(names, found, strict=True) if picture}

    async def _with_order(self, verdict: Verdict, url: str) -> Verdict:
        """Return the verdict with the site's order of fixes, if it was written today."""
        if self.orders is None or verdict.assessment is None:
            return verdict
        order, usage = await self.orders.of_today(url)
        assessment = verdict.assessment.revised(site_order=order) if order else verdict.assessment
        return replace(verdict, assessment=assessment, usage=add_usage(verdict.usage, usage))

    async def _put_off(self, request: AssessRequest, outage: ModelError, spent: Usage) -> Commit:
        """Raise ``Busy`` until a host may be back; before that, queue fixes that need no model."""
        await self._note(request.scan, f"retried every {PAUSE_S:g} s until it is available: {outage}", spent)
        pending = await self._pending(request.scan)
        is_tried = pending is not None and pending[1].fixes_state == PENDING and has_mechanical(pending[1])
        if pending is not None and is_tried and not await scans_go_first(self.redis, self.keys, request.priority):
            text, result = pending
            first = result.revised(fixes_state=FIRST)
            replaced = ReplaceWrite(self.keys.result(request.scan), text, first.model_dump_json())
            queued = tries_before(first, self.keys, request, job_id=request.scan, priority=request.priority)
            return Commit(FunctionResult(), (replaced, *queued))
        self._outage.met(request.scan, str(outage), until=monotonic() + PAUSE_S / 2)
        pause_s = self._pause_s()
        log.info("assessment.waits", job_id=request.scan, error=str(outage), pause_s=pause_s)
        raise Busy(str(outage), delay_s=pause_s)

    def _pause_s(self) -> float:
        return self._spread.pause_s(monotonic(), at_least_s=PAUSE_S, gap_s=GAP_S)

    async def _note(self, scan: str, why: str, spent: Usage) -> None:
        """Write to the result why its assessment is pending, and the cost of calls so far."""
        pending = await self._pending(scan)
        source = str(AssessmentSource.pending(clip(why)))
        if pending is None or (pending[1].assessment_source == source and not spent.calls):
            return
        text, result = pending
        noted = result.revised(assessment_source=source, usage=add_usage(result.usage, spent)).model_dump_json()
        await run_script(self.redis, REPLACE, [self.keys.result(scan)], [_digest(text), noted])

    async def _pending(self, scan: str) -> tuple[bytes, ScanResult] | None:
        """Return the result that waits for its assessment, parsed and as text, or None."""
        text = await cast("Awaitable[bytes | None]", self.redis.get(self.keys.result(scan)))
        try:
            result = decode_result(text) if text is not None else None
        except RedisUnsuitable:  # another program's: nothing to update
            result = None
        if text is None or not isinstance(result, ScanResult) or not result.assessed_by.is_pending:
            return None
        return text, result

    async def _commit(self, request: AssessRequest, verdict: Verdict, *, began: float | None = None) -> Commit:
        pending = await self._pending(request.scan)
        if pending is None:
            return _nothing(request)
        text, result = pending
        took = {} if began is None else {"assess": round((monotonic() - began) * 1000)}
        result = trim(
            result.revised(
                incomplete=with_nodes(result.incomplete, verdict.named),
                names=(),
                assessment=verdict.assessment,
                assessment_source=str(verdict.source),
                usage=add_usage(result.usage, verdict.usage),
                notes=(*result.notes, *verdict.notes),
                timings_ms=result.timings_ms | took,
            ),
            RECORD_BYTES,
        )
        seconds, micros = await self.redis.time()
        source = result.assessment_source
        about: JsonObject = {"url": result.url, "scan_id": result.scan_id, "assessment_source": source}
        event = {"v": 1, "event": "scan.assessed", "job_id": request.scan, "kind": "scan", **about}
        line = json.dumps({**event, "at_ms": seconds * 1000 + micros // 1000})
        writes: list[Write] = [ReplaceWrite(self.keys.result(request.scan), text, result.model_dump_json())]
        if result.assessment is not None and result.assessment.summary:
            summary = {"summary": cut_summary(result.assessment.summary)}
            writes.append(HashWrite(self.keys.scan(result.scan_id), summary, only_existing=True))
        writes += fix_writes(result, self.keys, job_id=request.scan, priority=request.priority)
        writes += [*self._saved(verdict, seconds), EventWrite(self.keys.events, line)]
        writes.append(PublishWrite(self.keys.events_live, line))
        log.info("scan.assessed", job_id=request.scan, source=source, calls=verdict.usage.calls, saved=verdict.saved)
        return Commit(FunctionResult(), tuple(writes), event=about)

    def _saved(self, verdict: Verdict, at_s: int) -> list[Write]:
        """Count the calls made, and those saved by known explanations."""
        if not verdict.saved:
            return []
        usage = self.keys.usage(datetime.fromtimestamp(at_s, tz=UTC).date().isoformat())
        return [
            CounterWrite(usage, {f"chat:saved:{self.chat.name}": verdict.saved}),
            ExpiryWrite(usage, self.usage_ttl_s),
        ]


def _nothing(request: AssessRequest) -> Commit:
    log.info("assessment.not_wanted", job_id=request.scan)
    return Commit(FunctionResult())


def _is_worth_another(failure: ModelError, attempt: int) -> bool:
    return failure.retryable and attempt < (SLOW_TRIES if isinstance(failure, ModelTimeout) else TRIES)


def _parse(payload: JsonObject) -> AssessRequest:
    try:
        return AssessRequest.model_validate(payload)
    except ValidationError as error:
        raise InvalidJob(f"not an assessment of a scan: {describe_invalid(error)}") from None


def _digest(text: bytes) -> str:
    return sha1(text, usedforsecurity=False).hexdigest()
