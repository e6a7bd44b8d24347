"""A failover may lose a turn's last step after the worker was told that it is kept: the job's end is lost with it."""

from __future__ import annotations

from redis.asyncio import Redis

from producer.client.client import Client
from producer.keys import Keys
from producer.redis.scripts import as_text
from tests.redis.agent.asking import Desk, ScriptedChat
from tests.support.queue import job_fields, open_stream, start_one
from worker.agent.conversation.citations import NO_SCAN_SAYS
from worker.agent.handlers import QueryJobs
from worker.queue.outcome import Commit
from worker.queue.stream import JobStream

ASKED = {"question": "One?", "thread_id": "a", "use_cache": False}


async def as_before_the_last_step(redis: Redis, keys: Keys, job_id: str) -> None:
    """Take from Redis what ``thread_step.lua`` wrote, as a replica that became the primary lacks it."""
    pointers = [key async for key in redis.scan_iter(match=f"{keys.checkpoints}_latest*")]
    assert len(pointers) == 1
    await redis.delete(*pointers)
    await redis.execute_command("HDEL", keys.job(job_id), "step")


async def test_a_turn_whose_last_step_is_lost_before_its_jobs_end_is_spoken_again_and_ends_then(
    desk: Desk, client: Client, redis: Redis, keys: Keys
):
    async with open_stream(redis, keys) as stream:
        await spoken_twice(desk, client, stream, redis, keys)


async def spoken_twice(desk: Desk, client: Client, stream: JobStream, redis: Redis, keys: Keys) -> None:
    chat = ScriptedChat("One.")
    jobs = QueryJobs(await desk.graph(chat))
    await client.submit("query", ASKED, job_id="q1", lane="batch")
    delivery = await start_one(stream)

    async def run() -> Commit:
        return await jobs.run({"job_id": "q1", "score": delivery.enqueued_ms}, dict(ASKED))

    lost = await run()
    asked = len(chat.asked)
    await as_before_the_last_step(redis, keys, "q1")
    standing = await stream.finish(delivery, commit=lost)
    state_then, result_then = (await job_fields(redis, keys, "q1"))["state"], await redis.get(keys.result("q1"))
    spoken = await stream.finish(delivery, commit=await run())
    await desk.ask(chat, "Two?", job="q2", thread_id="a", use_cache=False)

    assert (standing, state_then, result_then) == ("lost", "running", None)
    assert (spoken, len(chat.asked) > asked) == ("committed", True)
    assert "step" not in await job_fields(redis, keys, "q1")
    assert [one.content for one in chat.asked[-1] if one.role == "user"] == ["One?", "Two?"]
    assert NO_SCAN_SAYS in as_text(await redis.get(keys.result("q1")) or b"")
