"""Submits jobs: the writing half of ``client.py``'s ``Client``. Next: ``submission.py``, which prepares one job."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool

from producer.client.durability import check_durable, run_durably
from producer.client.submission import SUBMIT, Submission, Submitted, doubt_of_many, prepare, read_answer
from producer.contract import JsonObject, Lane
from producer.errors import QueueFull
from producer.keys import Keys
from producer.redis.connection import open_redis, redis_errors
from producer.redis.raw_connection import replied
from producer.redis.script_pipe import ScriptPipe
from producer.settings import ClientSettings

if TYPE_CHECKING:
    from pydantic import BaseModel

READ_AT_ONCE: Final = 500
"""Payloads that ``submit_many`` reads before it sends their jobs; limits the client's memory."""
PIPELINED: Final = 100
"""Jobs per round trip: while Redis adds some, the next are prepared. Limits how long one client keeps Redis busy."""
DURABLE_CHECK_EVERY_S: Final = 5.0
"""Interval of the check of how Redis persists data, which a failover or CONFIG SET may change."""
MEMORY_CHECK_EVERY_S: Final = 0.5
"""Interval of the memory check, since INFO costs as much as a submit."""

Payload: TypeAlias = "BaseModel | JsonObject"


class Submitter:
    """A connection to one environment's queue that submits jobs."""

    def __init__(self, settings: ClientSettings | None = None, *, redis: Redis | None = None) -> None:
        self.settings = settings or ClientSettings.from_env(os.environ)
        self.keys = Keys(self.settings.environment)
        self._redis = redis or open_redis(self.settings, gives_up=True)
        self._owns_redis = redis is None
        self._scripts = ScriptPipe(cast("ConnectionPool", self._redis.connection_pool))
        self._memory_due_at = 0.0
        self._durable_due_at = 0.0

    async def close(self) -> None:
        """Close the connections. Jobs are unaffected."""
        await self._scripts.close()
        if self._owns_redis:
            await self._redis.aclose()

    async def submit(
        self,
        kind: str,
        payload: Payload,
        *,
        job_id: str | None = None,
        lane: Lane | str | None = None,
        batch: str | None = None,
        defer_s: float = 0.0,
        tries: int | None = None,
        args: Sequence[Any] = (),
        secrets: JsonObject | None = None,
        durable: bool = False,
    ) -> Submitted:
        """Submit one job.

        ``job_id`` makes it unique: a second job with that id is not created (``created`` is False) until 7 days after
        the first one ended. ``defer_s`` delays the start. With ``durable`` the call returns once the job is on disk,
        or raises ``NotDurable`` if Redis cannot guarantee that. ``secrets`` (headers, cookies, storage_state) give
        access to a page behind a login; they are stored separately until the job ends, for a day at most. Raises
        ``InvalidJob``, ``JobTooLarge`` and ``QueueFull``, without writing anything. After ``Unconfirmed``, submit
        again with the id in the message.
        """
        job = prepare(
            kind,
            payload,
            job_id=job_id,
            lane=lane,
            batch=batch,
            defer_s=defer_s,
            tries=tries,
            args=args,
            secrets=secrets,
        )
        return await self.submit_prepared(job, durable=durable)

    async def submit_prepared(self, job: Submission, *, durable: bool = False) -> Submitted:
        """Submit a job made by ``submission.prepare``; raises as ``submit`` does."""
        with redis_errors(self.settings, job.doubt):
            if durable:
                return await self._submit_durably(job)
            reply = await self._scripts.run(SUBMIT, job.keys(self.keys), self._submit_args(job))
        return self._answered(job, reply)

    async def _submit_durably(self, job: Submission) -> Submitted:
        """Submit and wait for the disk; an interrupted call is repeated and recognised by its nonce."""
        if (now := time.monotonic()) >= self._durable_due_at:
            await replied(check_durable(self._redis))
            self._durable_due_at = now + DURABLE_CHECK_EVERY_S
        what = f"job {job.job_id!r}"
        reply = await run_durably(self._redis, SUBMIT, job.keys(self.keys), self._submit_args(job), what=what)
        return self._answered(job, reply)

    async def submit_many(
        self,
        kind: str,
        payloads: Iterable[Payload],
        *,
        lane: Lane | str | None = None,
        batch: str | None = None,
        job_ids: Iterable[str] | None = None,
        secrets: JsonObject | None = None,
    ) -> AsyncGenerator[Submitted]:
        """Submit many jobs, ``PIPELINED`` at a time, and yield each once it is queued.

        ``payloads`` may be a generator: memory is bounded. Every job gets the same ``secrets``. Raises as ``submit``
        does at the first refused job; jobs already yielded are queued.
        """
        pairs = ((p, None) for p in payloads) if job_ids is None else zip(payloads, job_ids, strict=True)
        prepared = partial(_prepared, kind, lane=lane, batch=batch, secrets=secrets)
        # Payloads are read while no job is on its way: a slow generator would make Redis look silent.
        while chunk := list(islice(pairs, READ_AT_ONCE)):
            jobs, failure = prepared(chunk[:PIPELINED])
            for following in range(PIPELINED, READ_AT_ONCE + PIPELINED, PIPELINED):
                if failure is not None:
                    raise failure
                adding = asyncio.ensure_future(self._add(jobs))
                try:
                    await asyncio.sleep(0)  # they are sent
                    added, (jobs, failure) = jobs, prepared(chunk[following : following + PIPELINED])
                    replies = await adding
                finally:
                    adding.cancel()
                for job, reply in zip(added, replies, strict=True):
                    if isinstance(reply, Exception):
                        with redis_errors(self.settings):
                            raise reply
                    yield self._answered(job, reply)

    async def _add(self, jobs: Sequence[Submission]) -> list[Any]:
        """Return submit.lua's replies."""
        calls = [(job.keys(self.keys), self._submit_args(job)) for job in jobs]
        with redis_errors(self.settings, partial(doubt_of_many, jobs)):
            return await self._scripts.run_many(SUBMIT, calls) if calls else []

    def _submit_args(self, job: Submission) -> list[Any]:
        now, share = time.monotonic(), 0.0
        if now >= self._memory_due_at:
            self._memory_due_at = now + MEMORY_CHECK_EVERY_S
            share = self.settings.memory_limit_share
        return job.args_of(backlog_limit=self.settings.backlog_limit, memory_share=share)

    def _answered(self, job: Submission, reply: Sequence[Any]) -> Submitted:
        try:
            return read_answer(job, reply, self.keys)
        except QueueFull:
            self._memory_due_at = 0.0  # while memory is full, check on every submit
            raise


def _prepared(
    kind: str, pairs: Iterable[tuple[Payload, str | None]], **options: Any
) -> tuple[list[Submission], Exception | None]:
    """Return a job for each payload and id; or none, and the error of a payload."""
    try:
        return [prepare(kind, payload, job_id=job_id, **options) for payload, job_id in pairs], None
    except Exception as error:  # noqa: BLE001  raised when its turn comes
        return [], error
