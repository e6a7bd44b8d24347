"""The outage rule: no jobs are reclaimed before Redis has replied to this worker for a lease without a break."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace

import redis as blocking_redis
from redis.asyncio import Redis

from producer.keys import Keys
from tests.support.queue import open_stream, until
from tests.support.redis_server import StartServer
from tests.support.signals import Signal
from worker.own_redis.server import EmbeddedRedis
from worker.queue.executor import Executor
from worker.queue.leases import LeaseKeeper
from worker.queue.loop import Loop
from worker.queue.run import JobFunctions
from worker.queue.stream import JobStream

KEYS = Keys("outages")
LEASE_S = 60.0
RENEW_S = 0.5
"""Long against a round on a busy machine: a slow round is an outage."""
UNREACHABLE = 1
"""A port at which nothing listens."""


class Counted(LeaseKeeper):
    """Signals each round of renewals that Redis has answered."""

    rounds: Signal

    def answered(self, asked_at: float) -> None:
        super().answered(asked_at)
        self.rounds.raise_once()


@dataclass
class Watched:
    """A worker that Redis has answered for two leases."""

    loop: Loop
    stream: JobStream
    keeper: Counted


@asynccontextmanager
async def watched(server: EmbeddedRedis, connect: Callable[[], blocking_redis.Redis]) -> AsyncGenerator[Watched]:
    """A worker on ``server`` whose lease thread connects by ``connect``; nothing of it runs yet."""
    keeper = Counted(connect, KEYS, consumer="w1", renew_s=RENEW_S, on_lost=lambda _: None, on_cancel=lambda _: None)
    keeper.rounds = Signal("a round of renewals")
    options = SimpleNamespace(
        allow_pick_jobs=True, burst=False, max_burst_jobs=-1, max_jobs=4, functions={}, max_tries=3
    )
    async with Redis.from_url(server.url) as client, open_stream(client, KEYS) as stream:
        functions = JobFunctions(options, note_progress=stream.note_progress)
        executor = Executor(stream, keeper, functions)
        loop = Loop(stream, executor, keeper, lease_s=LEASE_S)
        await ask(stream)
        assert stream.pipe._connection is not None
        stream.pipe._connection.opened_at -= 2 * LEASE_S
        keeper.up_since -= 2 * LEASE_S
        keeper._ticked_at = math.inf  # no loop ticks here
        try:
            yield Watched(loop, stream, keeper)
        finally:
            keeper.stop()


async def ask(stream: JobStream) -> None:
    """Run a script as the loop does."""
    await stream.claim(slots=1, for_batch=1, turns=0)


def reach(server: EmbeddedRedis) -> Callable[[], blocking_redis.Redis]:
    return lambda: blocking_redis.Redis.from_url(server.url)


async def test_a_redis_that_has_answered_for_a_lease_lets_the_worker_reclaim(redis_server: StartServer):
    server = redis_server()
    async with watched(server, reach(server)) as own:
        own.keeper.start()
        await own.keeper.rounds.times(2)

        assert own.loop.may_reclaim


async def test_a_redis_that_the_lease_thread_cannot_reach_puts_off_the_reclaim(redis_server: StartServer):
    failures = Signal("a failed connection")
    connect = failures.after(lambda: blocking_redis.Redis(port=UNREACHABLE))
    async with watched(redis_server(), connect) as own:
        assert own.loop.may_reclaim
        own.keeper.start()
        await failures.times(2)  # the first has been judged by then
        await ask(own.stream)

        assert not own.loop.may_reclaim


async def test_a_redis_that_was_frozen_for_longer_than_a_renewal_puts_off_the_reclaim(redis_server: StartServer):
    server = redis_server()
    async with watched(server, reach(server)) as own, Redis.from_url(server.url) as client:
        own.keeper.start()
        await own.keeper.rounds.times(1)
        assert own.loop.may_reclaim

        await client.execute_command("CLIENT", "PAUSE", "1500", "ALL")
        await ask(own.stream)  # answered late, but without an error
        await own.keeper.rounds.times(1)

        assert not own.loop.may_reclaim


async def test_a_redis_restarted_between_two_renewals_puts_off_the_reclaim(redis_server: StartServer):
    server = redis_server()
    async with watched(server, reach(server)) as own:
        assert own.loop.may_reclaim

        server.kill()
        server.start()
        await until(lambda: not own.loop.may_reclaim, what="the lost connection")
        await ask(own.stream)

        assert not own.loop.may_reclaim
        assert time.monotonic() - own.keeper.up_since > LEASE_S  # no renewal has noticed it
