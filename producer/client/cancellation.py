"""Cancels jobs: queued and scheduled ones at once, running ones at their worker's next lease renewal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Final

from redis.asyncio import Redis

from producer import contract
from producer.contract import JobState, Lane
from producer.contract.payloads import assess_job_id, fix_job_id
from producer.keys import GROUP, Keys
from producer.redis.raw_connection import replied
from producer.redis.script_pipe import ScriptPipe
from producer.redis.scripts import Arg, load_script

CANCEL: Final = load_script("producer.client", "cancel")
TOGETHER: Final = 500
_KNOWN: Final = ("kind", "lane", "batch")


async def cancel_jobs(
    redis: Redis, scripts: ScriptPipe, keys: Keys, job_ids: Iterable[str], *, result_ttl_s: int, job_ttl_s: int
) -> dict[str, JobState]:
    """Cancel jobs and return their states: ``cancelled``, ``running`` (stops within 5 s), or an earlier final state.

    Handles ``TOGETHER`` jobs per round trip and omits unknown jobs. Redis errors pass through. Safe to call twice. A
    scan's pending assessment and tried fixes are cancelled with it; their states are not returned.
    """
    asked = list(job_ids)
    left = [*asked, *map(assess_job_id, asked), *map(fix_job_id, asked)]
    states: dict[str, JobState] = {}
    while left:
        chunk, left = left[:TOGETHER], left[TOGETHER:]
        async with redis.pipeline(transaction=False) as pipe:
            for job_id in chunk:
                pipe.hmget(keys.job(job_id), list(_KNOWN))
            known = await replied(pipe.execute())
        ttls = (result_ttl_s, job_ttl_s)
        calls = [_call(keys, job_id, fields, ttls) for job_id, fields in zip(chunk, known, strict=True)]
        for job_id, reply in zip(chunk, await scripts.run_many(CANCEL, calls), strict=True):
            if isinstance(reply, Exception):
                raise reply
            if reply == b"moved":  # replayed between the two round trips, so its lane or batch may have changed
                left.append(job_id)
            elif reply != b"unknown":
                states[job_id] = JobState(reply.decode())
    return {job_id: states[job_id] for job_id in asked if job_id in states}


def _call(keys: Keys, job_id: str, known: Sequence[bytes | None], ttls: tuple[int, int]) -> tuple[list[str], list[Arg]]:
    """Return KEYS and ARGV of cancel.lua; ``known`` holds the job's fields ``_KNOWN``."""
    kind, lane, batch = ((part or b"").decode() for part in known)
    stream = lane if lane in set(Lane) else Lane.BATCH
    named = [
        keys.scheduled_in(lane),
        keys.lane(stream),
        keys.waiting(stream),
        keys.job(job_id),
        keys.result(job_id),
        keys.events,
        keys.secret(job_id),
    ]
    named += [keys.batch(batch)] if batch else []
    event = _event(job_id, kind, lane, batch)
    return named, [job_id, _result(job_id, kind), *ttls, event, keys.events_live, batch, lane, GROUP]


def _result(job_id: str, kind: str) -> str:
    error = contract.ErrorInfo(type="JobCancelled", message="cancelled on request")
    result = contract.FunctionResult(job_id=job_id, kind=kind, state=JobState.CANCELLED, error=error)
    return result.model_dump_json(exclude={"value"})


def _event(job_id: str, kind: str, lane: str, batch: str) -> str:
    about = {"v": 1, "event": "job.cancelled", "job_id": job_id, "kind": kind, "lane": lane, "state": "cancelled"}
    return json.dumps({**about, "batch": batch} if batch else about)
