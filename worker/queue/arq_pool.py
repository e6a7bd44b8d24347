"""An ``ArqRedis`` whose ``enqueue_job`` submits to the stream, for unchanged arq producers.

The function's name is the kind, keyword arguments are the payload, positional arguments the args; all of it is JSON,
nothing is pickled. It wraps ``producer/client/client.py``; ``arq_job.py`` has arq's view of a job.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from functools import wraps
from operator import attrgetter
from typing import Any, ClassVar, Final, Self, cast

from arq.connections import ArqRedis, RedisSettings
from arq.connections import create_pool as create_arq_pool
from arq.constants import default_queue_name, expires_extra_ms
from arq.jobs import Job, JobDef, JobResult
from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool

from producer.client.client import Client
from producer.client.submission import Submission, prepare
from producer.contract import Lane
from producer.contract.terms import SUBMITTED
from producer.errors import InvalidJob
from producer.keys import Keys
from producer.redis.dial import address_of
from producer.settings import ClientSettings
from worker.queue.arq_job import StreamJob
from worker.queue.arq_wire import (
    Deserializer,
    Serializer,
    check_arguments,
    environment_of,
    given_job_id,
    milliseconds,
    outages_of_redis,
    own_kind_named,
    pack,
    stream_job_id,
)

_IS_CRON: ContextVar[bool] = ContextVar("is_cron", default=False)
KEEP_ABORTED_S: Final = 3600
"""Lifetime of the result of a job aborted before its start: arq's default, since no worker has seen the job."""


class PoolSettings(ClientSettings):
    """Settings of a client that uses a program's own connections; ``server`` is the address they lead to."""

    server: ClassVar[str] = ""

    @property
    def public_redis_url(self) -> str:
        """The address, without password."""
        return self.server


class StreamPool(ArqRedis):
    """A pool of connections to one environment's queue."""

    _environment: str | None = None
    _clients: dict[str, Client] | None = None
    """By queue name."""

    @classmethod
    def over(cls, pool: Redis, *, environment: str | None = None) -> Self:
        """Return a pool that shares the connections and arq options of ``pool``; closing it closes the connections.

        ``environment`` defaults to ``ENVIRONMENT``, or ``dev``.
        """
        made = cls(connections_of(pool))
        made._environment = environment
        if isinstance(pool, ArqRedis):
            made.job_serializer, made.job_deserializer = pool.job_serializer, pool.job_deserializer
            made.default_queue_name, made.expires_extra_ms = pool.default_queue_name, pool.expires_extra_ms
        return made

    @property
    def environment(self) -> str:
        """The environment of the pool; its named queues are separate environments."""
        return self._environment or default_environment()

    @environment.setter
    def environment(self, name: str) -> None:
        self._environment = name

    @property
    def jobs(self) -> Client:
        """The client of the pool's default queue, on the pool's connections."""
        return self.client_of(self.default_queue_name)

    def client_of(self, queue_name: str) -> Client:
        """Return the client of a queue, on the pool's connections."""
        clients = self._clients = self._clients or {}
        if queue_name not in clients:
            environment = environment_of(self.environment, queue_name)
            settings = PoolSettings(environment=environment, result_ttl_s=KEEP_ABORTED_S)
            object.__setattr__(settings, "server", address_of(connections_of(self)))
            clients[queue_name] = Client(settings, redis=self)
        return clients[queue_name]

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Stop waiting for jobs, and close the connections."""
        for client in (self._clients or {}).values():
            await client.close()
        await super().aclose(close_connection_pool)

    async def enqueue_job(
        self,
        function: str,
        *args: Any,
        _job_id: str | None = None,
        _queue_name: str | None = None,
        _defer_until: datetime | None = None,
        _defer_by: float | timedelta | None = None,
        _expires: float | timedelta | None = None,
        _job_try: int | None = None,
        **kwargs: Any,
    ) -> StreamJob | None:
        """Enqueue as arq does; None if a job with that id has not ended, or its result still exists.

        Raises arq's ``SerializationError`` for unsupported arguments, ``InvalidJob`` and ``QueueFull``.
        """
        given = {name: value for name, value in locals().items() if name[0] == "_" and value is not None}
        return cast("StreamJob | None", await ArqRedis.enqueue_job(self, function, *args, **given, **kwargs))

    async def submit(
        self,
        function: str,
        *args: Any,
        _job_id: str | None = None,
        _queue_name: str | None = None,
        _defer_until: datetime | None = None,
        _defer_by: float | timedelta | None = None,
        _expires: float | timedelta | None = None,
        _job_try: int | None = None,
        **kwargs: Any,
    ) -> StreamJob | None:
        """Enqueue a job, bypassing instrumentation of ``ArqRedis.enqueue_job``."""
        if _defer_until and _defer_by:
            msg = "use either 'defer_until' or 'defer_by' or neither, not both"
            raise RuntimeError(msg)
        queue_name = _queue_name or self.default_queue_name
        lane = Lane(queue_name) if queue_name in set(SUBMITTED) else None
        queue_name = default_queue_name if lane else queue_name
        by_ms = milliseconds("_defer_by", _defer_by)
        job = self.prepared(function, args, kwargs, job_id=_job_id, job_try=_job_try, lane=lane)
        if _defer_until:
            job.due_ms = int(_defer_until.timestamp() * 1000)  # a naive one is local time, as in arq
            by_ms = job.due_ms - int(time.time() * 1000)
        job.delay_ms = by_ms
        job.expires_ms = milliseconds("_expires", _expires) or max(1, by_ms + self.expires_extra_ms)
        is_tick = _IS_CRON.get() and str(_job_id).startswith(f"{function}:")
        job.frees_id = not is_tick
        with outages_of_redis():
            answer = await self.client_of(queue_name).submit_prepared(job)
        return self.job(_job_id or answer.job_id, queue_name=queue_name) if answer.created else None

    def prepared(
        self,
        function: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        job_id: str | None,
        job_try: int | None,
        lane: Lane | None = None,
    ) -> Submission:
        """Convert an arq job for the stream, without delay and expiry.

        Raises arq's ``SerializationError``, ``InvalidJob`` and ``JobTooLarge``.
        """
        stream_id = stream_job_id(job_id) if job_id else None
        if stream_id and given_job_id(stream_id) != job_id:
            msg = f"_job_id {job_id!r:.80} is too long: expected at most 100 characters; use a hash of it"
            raise InvalidJob(msg)
        payload = self._payload(function, args, kwargs, job_try)
        positional = () if payload is not kwargs else args
        with own_kind_named(function):
            job = prepare(function, payload, args=positional, job_id=stream_id, lane=lane)
        job.frees_id = True
        job.attempts = max(0, (job_try or 1) - 1)
        return job

    def _payload(
        self, function: str, args: tuple[Any, ...], kwargs: dict[str, Any], job_try: int | None
    ) -> dict[str, Any]:
        """Return the validated ``kwargs``, or args and kwargs encoded by the pool's serializer."""
        if self.job_serializer is None:
            check_arguments(function, args, kwargs)
            return kwargs
        about = {"t": job_try, "f": function, "a": args, "k": kwargs, "et": int(datetime.now(UTC).timestamp() * 1000)}
        return pack(self.job_serializer, about, what=f'job "{function}"')

    def job(self, job_id: str, *, queue_name: str | None = None) -> StreamJob:
        """Return a reference to a job, which need not exist; in the pool's default queue by default."""
        job = StreamJob(job_id, self)
        if queue_name:
            job.set_queue(queue_name)
        return job

    async def all_job_results(self) -> list[JobResult]:
        """Return the results of all ended jobs of all queues, by time of submission. For small queues."""
        of_queue = re.compile(re.escape(Keys(self.environment).prefix[:-1]) + "(?:-q-([a-z0-9_-]+))?:result:(.+)")
        pattern = Keys(self.environment).result("*").replace(":result:", "*:result:")
        names = {environment_of(self.environment, name): name for name in (default_queue_name, *(self._clients or ()))}
        jobs: list[StreamJob] = []
        async for key in self.scan_iter(match=pattern, count=1000):
            if found := of_queue.fullmatch(key.decode()):
                suffix, job_id = found.groups()
                environment = f"{self.environment}-q-{suffix}" if suffix else self.environment
                queue_name = names.get(environment, suffix or default_queue_name)
                jobs.append(self.job(given_job_id(job_id), queue_name=queue_name))
        results = await asyncio.gather(*(job.result_info() for job in jobs))
        return sorted((result for result in results if result is not None), key=attrgetter("enqueue_time"))

    async def queued_jobs(self, *, queue_name: str | None = None) -> list[JobDef]:
        """Return the waiting, running and deferred jobs of a queue, by due time. For small queues."""
        queue_name = queue_name or self.default_queue_name
        keys = self.client_of(queue_name).keys
        found = list(cast("list[bytes]", await self.zrange(keys.scheduled, 0, -1)))
        for lane in Lane:
            found += [fields[b"id"] for _, fields in await self.xrange(keys.lane(lane)) if b"id" in fields]
        names = (given_job_id(job_id.decode()) for job_id in dict.fromkeys(found))
        known = await asyncio.gather(*(self.job(name, queue_name=queue_name).info() for name in names))
        return sorted((job for job in known if job is not None), key=lambda job: job.score or 0)


async def create_pool(
    settings_: RedisSettings | None = None,
    *,
    retry: int = 0,
    job_serializer: Serializer | None = None,
    job_deserializer: Deserializer | None = None,
    default_queue_name: str = default_queue_name,
    expires_extra_ms: int = expires_extra_ms,
    environment: str | None = None,
) -> StreamPool:
    """Return a pool of ``environment``'s queues, connecting like arq's ``create_pool``."""
    pool = await create_arq_pool(
        settings_,
        retry=retry,
        job_serializer=job_serializer,
        job_deserializer=job_deserializer,
        default_queue_name=default_queue_name,
        expires_extra_ms=expires_extra_ms,
    )
    return StreamPool.over(pool, environment=environment)


def default_environment() -> str:
    """Return ``ENVIRONMENT``, by default ``dev``; raises ``SettingsError`` if it is malformed."""
    return ClientSettings.from_env({"ENVIRONMENT": os.environ.get("ENVIRONMENT", "")}).environment


def connections_of(client: Redis) -> ConnectionPool:
    """Return the client's connections; redis-py 5 types them as possibly blocking."""
    return cast("ConnectionPool", client.connection_pool)


@contextmanager
def cron_ticks() -> Generator[None]:
    """Keep the ids of cron jobs enqueued in this block taken for a minute after their end.

    Otherwise a worker that is late with a tick would enqueue it again.
    """
    token = _IS_CRON.set(True)
    try:
        yield
    finally:
        _IS_CRON.reset(token)


def _new_job(cls: type[Job], job_id: str, redis: object, *_: Any, **__: Any) -> Job:
    """Make ``arq.jobs.Job(job_id, pool)`` a ``StreamJob`` on a ``StreamPool``; else it would read arq's keys."""
    del job_id
    return object.__new__(StreamJob if cls is Job and isinstance(redis, StreamPool) else cls)


_enqueue_on_arq = ArqRedis.enqueue_job


@wraps(_enqueue_on_arq)
async def _enqueue_job(self: ArqRedis, function: str, *args: Any, **options: Any) -> Job | None:
    """Enqueue on the pool's kind of queue; instruments of ``ArqRedis.enqueue_job`` wrap this function for both."""
    if isinstance(self, StreamPool):
        return await self.submit(function, *args, **options)
    return await _enqueue_on_arq(self, function, *args, **options)


# arq has no hooks for these; its version is pinned
cast("Any", Job).__new__ = _new_job
cast("Any", ArqRedis).enqueue_job = _enqueue_job
