"""``--assess-wait``: how long a command waits for assessments and tried fixes."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from subprocess import CompletedProcess

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.keys import Keys
from tests.redis.agent.scanning import HOME
from tests.redis.agent.test_fix_jobs import TryingEngine
from tests.redis.agent.test_tries_in_outages import Outage, working
from tests.support.command_line import run_sightline
from tests.support.queue import DEADLINE_S, is_reading_events, until
from worker.agent.assessment import job as assess_job
from worker.memory.history.history import History


async def test_result_waits_for_the_assessment_as_long_as_it_is_told_and_no_longer(
    redis: Redis, keys: Keys, redis_url: str, history: History, client: Client, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(assess_job, "PAUSE_S", 0.05)
    chat = Outage()
    env = {"REDIS_URL": redis_url, "ENVIRONMENT": keys.environment}

    def result(*words: str) -> asyncio.Task[CompletedProcess[str]]:
        command = partial(run_sightline, env, "result", "s0", "--format", "jsonl", *words)
        return asyncio.create_task(asyncio.to_thread(command))

    async def is_tried_again() -> bool:
        return chat.tasks["explain"] > asked

    async with working(redis, keys, redis_url, history, TryingEngine(), chat):
        await client.submit("scan", {"url": HOME}, job_id="s0")
        await client.wait("s0", timeout_s=DEADLINE_S)
        short = await result("--assess-wait", "0.3")
        assert not await is_reading_events(redis)
        waiting = result("--assess-wait", str(DEADLINE_S))
        await until(lambda: is_reading_events(redis), what="a client that reads events")
        asked = chat.tasks["explain"]
        await until(is_tried_again, what="another try")
        assert not waiting.done()
        chat.is_away = False
        long = await waiting

    pending, assessed = (json.loads(answer.stdout.splitlines()[0]) for answer in (short, long))
    assert pending["assessment_source"].startswith("none: pending"), short
    assert (assessed["assessment_source"], assessed["fixes_state"]) == ("m", "tried"), long
    assert pending["findings"] == assessed["findings"]
