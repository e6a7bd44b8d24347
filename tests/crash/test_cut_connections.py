"""Connections of a client are cut twenty times a second: each call ends, nothing is lost, nothing runs twice."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from producer.client.client import Client
from producer.contract import JobState
from producer.errors import RedisUnreachable
from producer.keys import Keys
from tests.support.queue import events_of, running_worker, settings_for
from worker.queue.worker import func

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "ops" / "chaos"))

from tcp_proxy import TcpProxy  # pyright: ignore[reportMissingImports]  # a program's own folder, no package

CUT_EVERY_S = 0.05
CUTS_FOR_S = 3.0
CUTS = 15
"""Minimum number, however long a busy machine takes to reconnect."""
CUTS_WITHIN_S = 60.0
CALL_WITHIN_S = 30.0
"""The script pipe's limit for repetitions (``REPLY_S``)."""


async def test_what_is_acknowledged_while_connections_are_cut_all_the_time_ends_once(
    redis_url: str, keys: Keys
) -> None:
    acknowledged: list[str] = []
    calls_s: list[float] = []

    async def quick(ctx: dict[Any, Any]) -> str:
        return str(ctx["job_id"])

    cuts = 0

    async def submit_all(client: Client, number: int, *, begun_s: float) -> None:
        while (spent_s := time.monotonic() - begun_s) < CUTS_FOR_S or (cuts < CUTS and spent_s < CUTS_WITHIN_S):
            begun = time.monotonic()
            try:
                submitted = await client.submit("quick", {}, job_id=f"{number}-{len(calls_s)}")
            except RedisUnreachable:  # said, and so not acknowledged
                continue
            finally:
                calls_s.append(time.monotonic() - begun)
            acknowledged.append(submitted.job_id)

    async with (
        running_worker(redis_url, keys, [func(quick, name="quick")]),
        TcpProxy(int(redis_url.rpartition(":")[2].partition("/")[0])) as proxy,
        Client(settings_for(f"redis://127.0.0.1:{proxy.port}", keys)) as cut,
        Client(settings_for(redis_url, keys)) as client,
    ):
        start_s = time.monotonic()
        submitting = asyncio.gather(*(submit_all(cut, number, begun_s=start_s) for number in range(3)))
        while not submitting.done():
            await asyncio.sleep(CUT_EVERY_S)
            cuts += proxy.reset()
        await submitting
        states = Counter([(await client.wait(job_id, timeout_s=60)).state for job_id in acknowledged])
        events = [json.loads(line) for line in await events_of(client.redis, keys)]

    ends = Counter(event["job_id"] for event in events if event["event"] == "job.succeeded")
    assert cuts >= CUTS
    assert states == {JobState.SUCCEEDED: len(acknowledged)}
    assert set(acknowledged) <= ends.keys()
    assert set(ends.values()) == {1}
    assert max(calls_s) < 2 * CALL_WITHIN_S
