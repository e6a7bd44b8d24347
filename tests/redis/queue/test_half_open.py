"""A connection that no longer answers although nobody closed it, as after a router or proxy dropped it."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from producer.client.client import Client
from producer.contract import JobState
from producer.keys import Keys
from producer.redis import raw_connection
from producer.redis.connection import SILENT_S, open_redis
from producer.settings import ClientSettings
from tests.support.queue import running_worker, until
from worker.queue import lane_reader

WAIT_S = 60


async def nothing(_: dict[Any, Any]) -> None:
    pass


async def test_a_worker_whose_scripts_get_no_answer_calls_them_on_another_connection(
    client: Client, redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lane_reader, "BLOCK_MS", 200)
    monkeypatch.setattr(raw_connection, "REPLY_S", 1.0)
    async with running_worker(redis_url, keys, [nothing], lease_s=0.6) as own:
        await until(lambda: own.job_loop.may_reclaim, what="a worker that looks for other workers' jobs")
        assert own._pipe._connection is not None
        own._pipe._connection._transport.pause_reading()  # pyright: ignore[reportAttributeAccessIssue]  # TCP: it can

        job = await client.submit("nothing", {})
        result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert result.state is JobState.SUCCEEDED


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux gives up by a time of ours")
async def test_the_kernel_gives_up_a_connection_to_a_silent_machine_within_seconds_not_within_minutes(redis_url: str):
    async with open_redis(ClientSettings(redis_url=redis_url)) as client:
        pool: Any = client.connection_pool
        connection = await pool.get_connection()
        opened: socket.socket = connection._writer.get_extra_info("socket")
        unanswered_ms = opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        asked_after_s = opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        is_asked = opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        await pool.release(connection)

    assert is_asked
    assert unanswered_ms == SILENT_S * 1000
    assert asked_after_s < SILENT_S
