"""A scan behind a login whose headers and cookies are gone must not scan the page as an anonymous visitor."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.errors import InvalidJob
from producer.keys import Keys
from producer.stored.dead_letters import DeadLetters
from tests.redis.agent.scanning import BARRIERS, HOME, graph, jobs
from tests.support.queue import BOOM, open_stream, settings_for, start_one
from tests.support.scans import FixedEngine
from worker.agent.job_secrets import secrets_of
from worker.memory.history.history import History

LOGIN = {"headers": {"Authorization": "Bearer t0ken"}}


@pytest.mark.parametrize("lost", ["expired", "replayed", "replayed later"])
async def test_a_scan_without_the_login_it_was_given_is_refused_not_run(
    redis: Redis, redis_url: str, keys: Keys, history: History, lost: str
):
    engine = FixedEngine([BARRIERS])
    async with Client(settings_for(redis_url, keys)) as client, open_stream(redis, keys) as stream:
        job = await client.submit("scan", {"url": HOME}, secrets=LOGIN)
        if lost == "expired":
            await redis.delete(keys.secret(job.job_id))
        else:
            await stream.bury(await start_one(stream), BOOM)
            if lost == "replayed later":
                await redis.delete(keys.job(job.job_id))
            letters = DeadLetters(client)
            await letters.replay(await letters.find(job.job_id))
        scans = jobs(keys, graph(engine, history, keys), secrets_of(redis, keys))

        with pytest.raises(InvalidJob, match="submit it again"):
            await scans.run({"job_id": job.job_id}, {"url": HOME})

    assert engine.calls == 0


async def test_a_scan_that_was_given_no_login_needs_none(redis: Redis, redis_url: str, keys: Keys, history: History):
    async with Client(settings_for(redis_url, keys)) as client:
        job = await client.submit("scan", {"url": HOME})
    scans = jobs(keys, graph(FixedEngine([BARRIERS]), history, keys), secrets_of(redis, keys))

    assert await scans.run({"job_id": job.job_id}, {"url": HOME})
