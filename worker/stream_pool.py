"""``ArqRedis`` whose ``enqueue_job`` puts jobs on the stream, in the one contract: for stock arq producers.

Function name = kind, keyword arguments = payload, positional arguments = args; all of it JSON, nothing pickled.
Beside ``stream_worker.py`` the only file that imports arq.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Self, cast

from arq.connections import ArqRedis
from arq.jobs import Job
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool

from producer.keys import Keys
from producer.scripts import run_script
from producer.settings import ClientSettings
from producer.submission import SUBMIT, prepare, read_answer


class StreamPool(ArqRedis):
    """A pool of connections to one environment's queue."""

    environment: str = "dev"

    @classmethod
    def over(cls, pool: Redis, *, environment: str) -> Self:
        """Return a pool that shares the connections of ``pool``; closing it closes them."""
        made = cls(connections_of(pool))
        made.environment = environment
        return made

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
    ) -> Job | None:
        """Enqueue as arq does; None when a job of that id exists already.

        ``_queue_name`` names a lane, or is ignored; ``_expires`` and ``_job_try`` have no meaning here. Raises
        ``InvalidJob`` for arguments that JSON cannot carry, and ``QueueFull``.
        """
        if _defer_until and _defer_by:
            msg = "use either 'defer_until' or 'defer_by' or neither, not both"
            raise RuntimeError(msg)
        job_id = _job_id.replace(":", ".") if _job_id else None
        lane = _queue_name if _queue_name in {"interactive", "batch"} else None
        job = prepare(function, kwargs, job_id=job_id, lane=lane, defer_s=_defer_s(_defer_until, _defer_by), args=args)
        keys = Keys(self.environment)
        limits = ClientSettings(environment=self.environment)
        argv = job.args_of(backlog_limit=limits.backlog_limit, memory_share=limits.memory_limit_share)
        answer = read_answer(job, await run_script(self, SUBMIT, job.keys(keys), argv), keys)
        return Job(answer.job_id, self) if answer.created else None


def connections_of(client: Redis) -> ConnectionPool:
    """Return the client's connections; redis-py 5 types them as if they might be the blocking kind."""
    return cast("ConnectionPool", client.connection_pool)


def _defer_s(until: datetime | None, by: float | timedelta | None) -> float:
    if until is not None:
        now = datetime.now(until.tzinfo or UTC)
        return (until if until.tzinfo else until.astimezone(UTC)).timestamp() - now.timestamp()
    return by.total_seconds() if isinstance(by, timedelta) else float(by or 0)


_SYNC_OPTIONS = ("host", "port", "db", "username", "password", "path")


def sync_twin(client: Redis, *, timeout_s: float) -> BlockingRedis:
    """Return a blocking client to the same server with one connection of its own, for a thread."""
    connections = connections_of(client)
    given = connections.connection_kwargs
    options = {name: given[name] for name in _SYNC_OPTIONS if given.get(name) is not None}
    if "path" in options:
        options["unix_socket_path"] = options.pop("path")
    if "ssl_context" in given or "SSL" in connections.connection_class.__name__:
        options["ssl"] = True
        options |= {name: value for name, value in given.items() if name.startswith("ssl_") and value is not None}
    return BlockingRedis(**options, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
