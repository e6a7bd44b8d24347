"""Cancels jobs. A queued or scheduled one ends at once, a running one is told by its worker's next renewal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Final, cast

from redis.asyncio import Redis

from producer import contract
from producer.client.queue_view import unknown_job
from producer.contract import JobState
from producer.keys import Keys
from producer.redis.script_runner import ScriptRunner
from producer.redis.scripts import Arg, load_script, run_script

CANCEL: Final = load_script("producer.client", "cancel")
TOGETHER: Final = 500
_KNOWN: Final = ("kind", "lane", "batch")


async def cancel_job(redis: Redis, keys: Keys, job_id: str, *, result_ttl_s: int, job_ttl_s: int) -> JobState:
    """Return the job's state after: ``cancelled``, ``running`` (told within 5 s), or the end it had.

    Raises ``UnknownJob``. Redis errors pass through. Safe to call twice.
    """
    while True:
        known = await cast("Any", redis).hmget(keys.job(job_id), *_KNOWN)
        named, args = _call(keys, job_id, known, (result_ttl_s, job_ttl_s))
        state = (await run_script(redis, CANCEL, named, args)).decode()
        if state == "unknown":
            raise unknown_job(job_id, keys)
        if state != "moved":
            return JobState(state)


async def cancel_jobs(
    redis: Redis, scripts: ScriptRunner, keys: Keys, job_ids: Iterable[str], *, result_ttl_s: int, job_ttl_s: int
) -> dict[str, JobState]:
    """Do as ``cancel_job`` for each of ``job_ids``, ``TOGETHER`` a round trip; those that are gone are left out."""
    left = iter(job_ids)
    states: dict[str, JobState] = {}
    while chunk := list(islice(left, TOGETHER)):
        async with redis.pipeline(transaction=False) as pipe:
            for job_id in chunk:
                pipe.hmget(keys.job(job_id), list(_KNOWN))
            known = await pipe.execute()
        ttls = (result_ttl_s, job_ttl_s)
        calls = [_call(keys, job_id, fields, ttls) for job_id, fields in zip(chunk, known, strict=True)]
        for job_id, reply in zip(chunk, await scripts.run_many(CANCEL, calls), strict=True):
            if isinstance(reply, Exception):
                raise reply
            if reply == b"moved":  # replayed between the two round trips, and of no batch since
                states[job_id] = await cancel_job(redis, keys, job_id, result_ttl_s=result_ttl_s, job_ttl_s=job_ttl_s)
            elif reply != b"unknown":
                states[job_id] = JobState(reply.decode())
    return states


def _call(keys: Keys, job_id: str, known: Sequence[bytes | None], ttls: tuple[int, int]) -> tuple[list[str], list[Arg]]:
    """Return KEYS and ARGV of cancel.lua; ``known`` is what the job's hash says of ``_KNOWN``."""
    kind, lane, batch = ((part or b"").decode() for part in known)
    named = [keys.scheduled, keys.job(job_id), keys.result(job_id), keys.events, keys.secret(job_id)]
    named += [keys.batch(batch)] if batch else []
    event = _event(job_id, kind, lane, batch)
    return named, [job_id, _result(job_id, kind), *ttls, event, keys.events_live, batch]


def _result(job_id: str, kind: str) -> str:
    error = contract.ErrorInfo(type="JobCancelled", message="cancelled on request")
    result = contract.FunctionResult(job_id=job_id, kind=kind, state=JobState.CANCELLED, error=error)
    return result.model_dump_json(exclude={"value"})


def _event(job_id: str, kind: str, lane: str, batch: str) -> str:
    about = {"v": 1, "event": "job.cancelled", "job_id": job_id, "kind": kind, "lane": lane, "state": "cancelled"}
    return json.dumps({**about, "batch": batch} if batch else about)
