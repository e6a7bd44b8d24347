"""Cancels jobs. A queued or scheduled one ends at once, a running one is told by its worker's next renewal."""

from __future__ import annotations

import json
from typing import Any, Final, cast

from redis.asyncio import Redis

from producer.contract import ErrorInfo, FunctionResult, JobState
from producer.keys import Keys
from producer.queue_view import unknown_job
from producer.scripts import Arg, load_script, run_script

CANCEL: Final = load_script("producer", "cancel")


async def cancel_job(redis: Redis, keys: Keys, job_id: str, *, result_ttl_s: int, job_ttl_s: int) -> JobState:
    """Return the job's state after: ``cancelled``, ``running`` (told within 5 s), or the end it had.

    Raises ``UnknownJob``. Redis errors pass through. Safe to call twice.
    """
    while True:
        known = await cast("Any", redis).hmget(keys.job(job_id), "kind", "lane", "batch")
        kind, lane, batch = ((part or b"").decode() for part in known)
        named = [keys.job(job_id), keys.scheduled, keys.result(job_id), keys.events, keys.secret(job_id)]
        named += [keys.batch(batch)] if batch else []
        event = _event(job_id, kind, lane, batch)
        args: list[Arg] = [job_id, _result(job_id, kind), event, keys.events_live, result_ttl_s, job_ttl_s, batch]
        state = (await run_script(redis, CANCEL, named, args)).decode()
        if state == "unknown":
            raise unknown_job(job_id, keys)
        if state != "moved":
            return JobState(state)


def _result(job_id: str, kind: str) -> str:
    error = ErrorInfo(type="JobCancelled", message="cancelled on request")
    result = FunctionResult(job_id=job_id, kind=kind, state=JobState.CANCELLED, error=error)
    return result.model_dump_json(exclude={"value"})


def _event(job_id: str, kind: str, lane: str, batch: str) -> str:
    about = {"v": 1, "event": "job.cancelled", "job_id": job_id, "kind": kind, "lane": lane, "state": "cancelled"}
    return json.dumps({**about, "batch": batch} if batch else about)
