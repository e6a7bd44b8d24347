"""A connection taken over from redis-py: replies arrive in order, and losses are reported."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hiredis import pack_command
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from producer.client.client import Client
from producer.keys import Keys
from producer.redis.raw_connection import RawConnection, ReplyLost
from tests.support.queue import until
from worker.queue.arq_pool import connections_of

DEADLINE_S = 60


def packed(*words: str) -> bytes:
    command: Any = words  # hiredis types it as a tuple of one
    return pack_command(command)


async def opened(redis: Redis) -> RawConnection:
    return await RawConnection.open(connections_of(redis))


async def test_replies_come_in_order_and_errors_are_told_as_errors(redis: Redis):
    connection, replies = await opened(redis), list[Any]()

    connection.send(packed("ECHO", "ü") + packed("NOPE") + packed("ECHO", "2"), [replies.append] * 3)
    await until(lambda: len(replies) == 3, what="three replies")
    await connection.release()

    assert (replies[0], replies[2]) == ("ü".encode(), b"2")
    assert isinstance(replies[1], ResponseError)


async def test_calls_on_a_lost_connection_are_answered_once(redis: Redis):
    connection, replies = await opened(redis), list[Any]()
    connection.send(packed("CLIENT", "ID"), [replies.append])
    await until(lambda: replies, what="the connection's id")

    connection.send(packed("BLPOP", "never", "0"), [replies.append])
    await redis.execute_command("CLIENT", "KILL", "ID", replies.pop())
    await until(lambda: replies, what="the loss")
    connection.send(packed("PING"), [replies.append])
    await connection.release()

    assert connection.is_lost
    assert [type(reply) for reply in replies] == [ReplyLost, RedisConnectionError]


async def test_closing_the_pool_does_not_wait_for_a_connection_that_is_held(redis_url: str):
    redis = Redis.from_url(redis_url)
    connection = await opened(redis)

    async with asyncio.timeout(DEADLINE_S):
        await redis.aclose()

    assert connection.is_lost


async def test_a_connection_with_no_reply_to_come_goes_back_to_the_pool_open(redis: Redis):
    connection = await opened(redis)
    client_id = await connection.call(packed("CLIENT", "ID"))

    await connection.release()

    assert await redis.client_id() == client_id


async def test_a_connection_with_a_reply_to_come_goes_back_to_the_pool_closed(redis: Redis):
    connection = await opened(redis)
    client_id = await connection.call(packed("CLIENT", "ID"))
    late = connection.call(packed("BLPOP", "never", "0"))

    await connection.release()

    with pytest.raises(RedisConnectionError, match="closed"):
        await late
    assert await redis.client_id() != client_id


async def test_an_answer_that_is_no_protocol_ends_the_connection(redis: Redis):
    connection, replies = await opened(redis), list[Any]()
    connection.send(packed("PING"), [replies.append])

    connection.data_received(b"HTTP/1.1 400 Bad Request\r\n")
    await connection.release()

    assert connection.is_lost
    assert isinstance(replies[0], RedisConnectionError)


async def test_submits_of_many_tasks_share_a_connection_and_outlive_it(client: Client, redis: Redis, keys: Keys):
    before = len(await redis.client_list())
    await client.submit("add", {})
    assert client._scripts._connection is not None

    jobs = [asyncio.ensure_future(client.submit("add", {"n": n})) for n in range(200)]
    await asyncio.sleep(0)  # all are sent, none is answered
    client._scripts._connection.lose("cut")
    submitted = await asyncio.gather(*jobs)

    assert all(job.created for job in submitted)
    assert await redis.xlen(keys.lane("batch")) == 201
    assert len(await redis.client_list()) <= before + 1


async def test_a_cancelled_submit_leaves_the_connection_to_the_others(client: Client):
    await client.submit("add", {})
    connection = client._scripts._connection
    given_up = asyncio.ensure_future(client.submit("add", {}))
    await asyncio.sleep(0)
    given_up.cancel()

    job = await client.submit("add", {})

    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert job.created
    assert client._scripts._connection is connection


async def test_a_submit_goes_on_when_redis_has_forgotten_the_script(client: Client, redis: Redis, keys: Keys):
    await client.submit("mine", {"n": 1})
    await redis.script_flush()

    again = await client.submit("mine", {"n": 2})

    assert again.created
    assert await redis.xlen(keys.lane("batch")) == 2
