"""``ArqRedis`` whose ``enqueue_job`` puts jobs on the stream, in the one contract: for stock arq producers.

Function name = kind, keyword arguments = payload, positional arguments = args; all of it JSON, nothing pickled. The
client behind it is ``producer/client/client.py``; what a job is to arq's users is in ``arq_job.py``.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Self, cast

from arq.connections import ArqRedis
from arq.jobs import JobDef, JobResult
from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool

from producer.client.client import Client
from producer.contract import Lane
from producer.settings import ClientSettings
from worker.queue.arq_job import StreamJob, stream_job_id


class StreamPool(ArqRedis):
    """A pool of connections to one environment's queue."""

    environment: str = "dev"
    _jobs: Client | None = None

    @classmethod
    def over(cls, pool: Redis, *, environment: str) -> Self:
        """Return a pool that shares the connections of ``pool``; closing it closes them."""
        made = cls(connections_of(pool))
        made.environment = environment
        return made

    @property
    def jobs(self) -> Client:
        """The client of the pool's environment, over the pool's connections."""
        if self._jobs is None:
            self._jobs = Client(ClientSettings(environment=self.environment), redis=self)
        return self._jobs

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Stop waiting for jobs, and close the connections."""
        if self._jobs is not None:
            await self._jobs.close()
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
        """Enqueue as arq does; None when a job of that id exists already.

        ``_queue_name`` names a lane, or is ignored; ``_expires`` and ``_job_try`` have no meaning here. Raises
        ``InvalidJob`` for arguments that JSON cannot carry, and ``QueueFull``.
        """
        if _defer_until and _defer_by:
            msg = "use either 'defer_until' or 'defer_by' or neither, not both"
            raise RuntimeError(msg)
        answer = await self.jobs.submit(
            function,
            kwargs,
            args=args,
            job_id=stream_job_id(_job_id) if _job_id else None,
            lane=_queue_name if _queue_name in set(Lane) else None,
            defer_s=max(0.0, _defer_s(_defer_until, _defer_by)),  # arq runs at once what was due before
        )
        return self.job(answer.job_id) if answer.created else None

    def job(self, job_id: str) -> StreamJob:
        """Return a reference to a job, known or not: what ``arq.jobs.Job(job_id, pool)`` is on arq's own queue."""
        return StreamJob(job_id, self, client=self.jobs)

    async def all_job_results(self) -> list[JobResult]:
        """Return what is kept of all jobs that have ended, by time of submission. For tests and small queues."""
        prefix = self.jobs.keys.result("")
        found = [key.decode().removeprefix(prefix) async for key in self.scan_iter(match=f"{prefix}*", count=1000)]
        results = await asyncio.gather(*(self.job(job_id).result_info() for job_id in found))
        return sorted((result for result in results if result is not None), key=attrgetter("enqueue_time"))

    async def queued_jobs(self, *, queue_name: str | None = None) -> list[JobDef]:
        """Return the jobs that wait, run or are deferred, by the time they are due. For tests and small queues.

        ``queue_name`` names a lane; any other means all of them, and the deferred ones too.
        """
        keys, lanes = self.jobs.keys, {Lane(queue_name)} if queue_name in set(Lane) else set(Lane)
        found = [] if len(lanes) == 1 else list(cast("list[bytes]", await self.zrange(keys.scheduled, 0, -1)))
        for lane in lanes:
            found += [fields[b"id"] for _, fields in await self.xrange(keys.lane(lane)) if b"id" in fields]
        known = await asyncio.gather(*(self.job(job_id.decode()).info() for job_id in dict.fromkeys(found)))
        return sorted((job for job in known if job is not None), key=lambda job: job.score or 0)


def connections_of(client: Redis) -> ConnectionPool:
    """Return the client's connections; redis-py 5 types them as if they might be the blocking kind."""
    return cast("ConnectionPool", client.connection_pool)


def _defer_s(until: datetime | None, by: float | timedelta | None) -> float:
    if until is not None:
        now = datetime.now(until.tzinfo or UTC)
        return (until if until.tzinfo else until.astimezone(UTC)).timestamp() - now.timestamp()
    return by.total_seconds() if isinstance(by, timedelta) else float(by or 0)
