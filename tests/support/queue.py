"""Opens streams, submits jobs and runs in-process workers on the test's own keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import ErrorInfo, Lane
from producer.keys import GROUP, Keys
from producer.redis.script_pipe import ScriptPipe
from producer.settings import ClientSettings
from worker.queue.arq_pool import StreamPool, connections_of
from worker.queue.delivery import Delivery, Entry
from worker.queue.stream import JobStream
from worker.queue.worker import StreamWorker

DEADLINE_S = 60.0
"""Time limit of a wait. Not a promise (those are measured): a command may take 20 s to start."""

BOOM = ErrorInfo(type="Boom", message="it broke")


async def add(_: dict[Any, Any], a: int, b: int = 0) -> int:
    """The job of tests that need any job."""
    return a + b


async def forever(ctx: dict[Any, Any]) -> None:
    """A job that only a cancellation ends; ``ctx["running"]`` is set when it runs."""
    ctx["running"].set()
    await asyncio.Event().wait()


async def submitted(client: Client, **options: Any) -> str:
    """Submit one job of ``add``; return its id."""
    return (await client.submit("add", {"a": 1}, **options)).job_id


def settings_for(url: str, keys: Keys, **fields: Any) -> ClientSettings:
    return ClientSettings(redis_url=url, environment=keys.environment, **fields)


@asynccontextmanager
async def open_stream(redis: Redis, keys: Keys, *, consumer: str = "w1") -> AsyncGenerator[JobStream]:
    """A consumer that acts only when the test calls it."""
    pipe = ScriptPipe(connections_of(redis))
    stream = JobStream(redis, pipe, keys, consumer=consumer, result_ttl_s=3600)
    await stream.lanes.ensure_groups()
    try:
        yield stream
    finally:
        await pipe.close()


@asynccontextmanager
async def running_worker(
    url: str,
    keys: Keys,
    functions: Sequence[Any],
    *,
    pool: StreamPool | None = None,
    worker_class: type[StreamWorker] = StreamWorker,
    **options: Any,
) -> AsyncGenerator[StreamWorker]:
    """Run a worker in this process, at ``url`` or on ``pool``; at the end it stops and requeues its running jobs."""
    pool = pool or StreamPool.from_url(url)
    options = {"handle_signals": False, "poll_delay": 0.05, "lease_s": 2.0, **options}
    worker = worker_class(functions, environment=keys.environment, redis_pool=pool, **options)
    worker.main_task = asyncio.create_task(worker.main())
    started = asyncio.create_task(worker.has_started.wait())
    await asyncio.wait({worker.main_task, started}, timeout=DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield worker
    finally:
        started.cancel()
        await worker.close()
        worker.main_task.result()


async def claim_one(stream: JobStream, lane: Lane = Lane.BATCH) -> Entry:
    entries = await stream.claim(slots=1, for_batch=1 if lane is Lane.BATCH else 0, turns=0)
    assert len(entries) == 1, "expected exactly one entry to claim"
    return entries[0]


async def start_one(stream: JobStream, *, tries: int = 3) -> Delivery:
    """Claim the next batch job and start it."""
    delivery = await stream.start(await claim_one(stream), tries=tries)
    assert isinstance(delivery, Delivery), f"expected the job to start, got {delivery}"
    return delivery


async def job_fields(redis: Redis, keys: Keys, job_id: str) -> dict[str, str]:
    fields = await cast("Any", redis).hgetall(keys.job(job_id))
    return {name.decode(): value.decode("utf-8", "replace") for name, value in fields.items()}


async def events_of(redis: Redis, keys: Keys) -> list[str]:
    """Return the event lines so far, oldest first."""
    rows = cast("list[Any]", await redis.xrange(keys.events))
    return [fields[b"event"].decode() for _, fields in rows]


async def pending(redis: Redis, keys: Keys, lane: Lane = Lane.BATCH) -> int:
    summary = await redis.xpending(keys.lane(lane), GROUP)
    return int(summary["pending"])


async def steal(redis: Redis, keys: Keys, delivery: Delivery, *, by: str) -> None:
    """Give the entry to another consumer, as a reclaim does."""
    await steal_entry(redis, keys, delivery.lane, delivery.entry, by=by)


async def steal_entry(redis: Redis, keys: Keys, lane: Lane, entry: str, *, by: str) -> None:
    """Give an entry to another consumer."""
    await redis.xclaim(keys.lane(lane), GROUP, by, 0, [entry], justid=True)


async def is_reading_events(redis: Redis) -> bool:
    """Return whether a client waits for events, as a program does once its jobs are queued."""
    connections: Any = await redis.client_list()
    return any(connection["cmd"] == "xread" for connection in connections)


async def until(
    condition: Callable[[], Any], *, what: str, timeout_s: float = DEADLINE_S, every_s: float = 0.01
) -> None:
    """Return once ``condition`` is true; after the deadline, fail with a message naming it."""
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                value = condition()
                if asyncio.iscoroutine(value):
                    value = await value
                if value:
                    return
                await asyncio.sleep(every_s)
    except TimeoutError:
        msg = f"not within {timeout_s:g} s: {what}"
        raise AssertionError(msg) from None
