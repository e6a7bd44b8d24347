"""Calls of many tasks over one connection: in order, each with its own reply, its own error."""

from __future__ import annotations

import asyncio
import gc
import hashlib
from collections.abc import AsyncGenerator

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from producer.redis.script_pipe import ScriptPipe
from producer.redis.scripts import Script
from worker.queue.arq_pool import connections_of


def script(text: str) -> Script:
    return Script("test", text, hashlib.sha1(text.encode()).hexdigest())  # noqa: S324  EVALSHA's own digest


ECHO = script("return ARGV[1]")
BROKEN = script("return redis.error_reply('NOPE not today')")


@pytest.fixture
async def pipe(redis: Redis) -> AsyncGenerator[ScriptPipe]:
    pipe = ScriptPipe(connections_of(redis))
    yield pipe
    await pipe.close()


async def test_each_of_many_calls_gets_its_own_reply(pipe: ScriptPipe):
    replies = await asyncio.gather(*(pipe.call(ECHO, (), (number,)) for number in range(1_000)))

    assert replies == [str(number).encode() for number in range(1_000)]


async def test_a_script_redis_has_never_seen_is_sent_with_its_text(pipe: ScriptPipe, redis: Redis):
    await redis.script_flush()

    assert await pipe.call(ECHO, (), ("ü",)) == "ü".encode()


async def test_an_error_reply_is_its_callers_alone(pipe: ScriptPipe):
    good, bad, late = pipe.call(ECHO, (), (1,)), pipe.call(BROKEN, (), ()), pipe.call(ECHO, (), (2,))

    with pytest.raises(ResponseError, match="not today"):
        await bad
    assert [await good, await late] == [b"1", b"2"]


async def test_an_error_that_its_caller_never_asks_for_is_not_logged(pipe: ScriptPipe):
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    refused = pipe.call(BROKEN, (), ())
    await asyncio.wait([refused])

    del refused
    gc.collect()

    assert told == []


async def test_an_argument_redis_has_no_form_for_is_its_callers_alone(pipe: ScriptPipe):
    good = pipe.call(ECHO, (), (1,))
    with pytest.raises(TypeError):
        pipe.call(ECHO, (), ({"no": "form"},))  # pyright: ignore[reportArgumentType]  # the mistake that is tested

    assert await good == b"1"


async def test_a_lost_connection_fails_its_calls_and_the_next_ones_go_through(pipe: ScriptPipe):
    await pipe.call(ECHO, (), (1,))
    assert pipe._connection is not None
    lost = pipe.call(ECHO, (), (2,))
    pipe.flush()
    pipe._connection.lose("cut")
    with pytest.raises(RedisConnectionError, match="cut"):
        await lost

    replies = [await pipe.call(ECHO, (), (number,)) for number in (3, 4)]

    assert replies == [b"3", b"4"]


async def test_an_error_of_opening_that_is_not_redis_fails_its_calls_too(
    pipe: ScriptPipe, monkeypatch: pytest.MonkeyPatch
):
    async def fail() -> None:
        raise ValueError("the token service is down")

    with monkeypatch.context() as outage:
        outage.setattr(pipe._pool, "get_connection", fail)
        with pytest.raises(RedisConnectionError, match="the token service is down"):
            await asyncio.wait_for(pipe.call(ECHO, (), (1,)), 20)

    assert await asyncio.wait_for(pipe.call(ECHO, (), (2,)), 20) == b"2"


async def test_closing_fails_what_still_waits(redis: Redis):
    pipe = ScriptPipe(connections_of(redis))
    await pipe.call(ECHO, (), (1,))
    waiting = pipe.call(ECHO, (), (2,))

    await pipe.close()

    with pytest.raises(RedisConnectionError):
        await waiting
