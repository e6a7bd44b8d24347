"""A failover may lose a turn's acknowledged last step: the job's end is then lost with it."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from producer.client.client import Client
from producer.contract import JsonObject
from producer.errors import ThreadBusy
from producer.keys import Keys
from producer.redis.scripts import as_text
from tests.redis.agent.asking import Desk, ScriptedChat
from tests.redis.agent.asking import call as called
from tests.support.queue import job_fields, open_stream, start_one
from worker.agent.conversation.citations import NO_SCAN_SAYS
from worker.agent.conversation.side_effects import scan_job_id
from worker.agent.conversation.state import parse_turns
from worker.agent.handlers import QueryJobs
from worker.queue.outcome import Commit
from worker.queue.stream import JobStream

ASKED = {"question": "One?", "thread_id": "a", "use_cache": False}


async def submit_scan(client: Client, job_id: str, payload: JsonObject) -> None:
    await client.submit("scan", payload, job_id=job_id)


async def as_before_the_last_step(redis: Redis, keys: Keys, job_id: str) -> None:
    """Take from Redis what ``thread_step.lua`` wrote, as a replica that became the primary lacks it."""
    pointers = [key async for key in redis.scan_iter(match=f"{keys.checkpoints}_latest*")]
    assert len(pointers) == 1
    await redis.delete(*pointers)
    await redis.execute_command("HDEL", keys.job(job_id), "step")


async def test_a_turn_whose_last_step_is_lost_before_its_job_ends_is_repeated_and_ends_then(
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


async def test_a_complete_turn_that_a_failover_loses_before_its_jobs_second_run_commits_is_spoken_again(
    desk: Desk, client: Client, redis: Redis, keys: Keys
):
    chat = ScriptedChat("One.")
    jobs = QueryJobs(await desk.graph(chat))
    async with open_stream(redis, keys) as stream:
        await client.submit("query", ASKED, job_id="q1", lane="batch")
        delivery = await start_one(stream)

        async def run() -> Commit:
            return await jobs.run({"job_id": "q1", "score": delivery.enqueued_ms}, dict(ASKED))

        await run()
        asked = len(chat.asked)
        found_complete = await run()
        assert len(chat.asked) == asked, "the second run adds no step"
        await as_before_the_last_step(redis, keys, "q1")

        standings = [await stream.finish(delivery, commit=commit) for commit in (found_complete, await run())]

    assert standings == ["lost", "committed"]
    assert len(chat.asked) > asked


async def test_a_turn_is_committed_with_its_last_step_and_not_with_what_its_last_node_returned(
    desk: Desk, client: Client, redis: Redis, keys: Keys
):
    chat = ScriptedChat("One.")
    graph = await desk.graph(chat)
    jobs = QueryJobs(graph)
    async with open_stream(redis, keys) as stream:
        await client.submit("query", ASKED, job_id="q1", lane="batch")
        delivery = await start_one(stream)
        put = graph._checkpointer.aput

        async def lost_with_its_server(*given: Any) -> RunnableConfig:
            if '"job_id":"q1"' in given[1]["channel_values"].get("turns", ""):
                raise RedisConnectionError
            return await put(*given)

        graph._checkpointer.aput = cast("Any", lost_with_its_server)
        with pytest.raises(RedisConnectionError):
            await jobs.run({"job_id": "q1", "score": delivery.enqueued_ms}, dict(ASKED))
        graph._checkpointer.aput = put
        asked = len(chat.asked)

        standing = await stream.finish(
            delivery, commit=await jobs.run({"job_id": "q1", "score": delivery.enqueued_ms}, dict(ASKED))
        )

        kept = await graph._checkpointer.aget_tuple({"configurable": {"thread_id": f"{keys.environment}:talk:t-a"}})
    assert (standing, len(chat.asked)) == ("committed", asked), "what the node returned is not asked for again"
    assert kept is not None
    assert [turn.job_id for turn in parse_turns(kept.checkpoint["channel_values"]["turns"])] == ["q1"]


@pytest.mark.parametrize("has_it", [True, False], ids=["complete", "gone"])
async def test_an_answer_is_not_committed_by_a_run_that_stored_no_step_of_it(
    desk: Desk, client: Client, *, has_it: bool
):
    graph = await desk.graph(ScriptedChat("One."))
    saver, jobs = graph._checkpointer, QueryJobs(graph)
    await client.submit("query", ASKED, job_id="q1", lane="batch")
    begun: list[Any] = []
    put, read = saver.aput, saver.aget_tuple

    async def noting(*given: Any) -> RunnableConfig:
        stored = await put(*given)
        if not begun and given[1]["channel_values"].get("turn"):
            begun.append(await read(desk_thread(desk)))
        return stored

    async def from_a_promoted_replica_then_from_the_primary_of_before(config: RunnableConfig) -> Any:
        return begun.pop() if begun else await read(config) if has_it else None

    saver.aput = cast("Any", noting)
    await jobs.run({"job_id": "q1"}, dict(ASKED))
    saver.aput = put
    saver.aget_tuple = cast("Any", from_a_promoted_replica_then_from_the_primary_of_before)

    assert len(begun) == 1
    with pytest.raises(ThreadBusy):
        await jobs.run({"job_id": "q1"}, dict(ASKED))
    assert begun == []


async def read_first_from_a_primary_without_it(desk: Desk, chat: ScriptedChat) -> QueryJobs:
    """Return jobs whose next look at a conversation is answered by a replaced primary that has no step of it."""
    graph = await desk.graph(chat)
    reads = iter([None])
    read = graph._checkpointer.aget_tuple

    async def aget_tuple(config: RunnableConfig) -> CheckpointTuple | None:
        return next(reads, await read(config))

    graph._checkpointer.aget_tuple = cast("Any", aget_tuple)
    return QueryJobs(graph)


async def turns_kept(desk: Desk) -> list[tuple[str, str | None]]:
    kept = await (await desk.graph())._checkpointer.aget_tuple(desk_thread(desk))
    assert kept is not None
    return [(turn.question, turn.result.answer) for turn in parse_turns(kept.checkpoint["channel_values"]["turns"])]


def desk_thread(desk: Desk) -> RunnableConfig:
    return {"configurable": {"thread_id": f"{desk.keys.environment}:talk:t-a"}}


async def test_finished_turns_that_a_replaced_primary_lacks_stay_in_the_conversation(desk: Desk):
    chat = ScriptedChat("One.", "One.", "Two.", "Two.")
    await desk.ask(chat, "One?", job="q1", thread_id="a", use_cache=False)
    jobs = await read_first_from_a_primary_without_it(desk, chat)

    await jobs.run({"job_id": "q2", "score": 1}, {**ASKED, "question": "Two?"})

    assert [question for question, _ in await turns_kept(desk)] == ["One?", "Two?"]


async def test_a_turn_that_a_replaced_primary_lacks_is_not_answered_again(desk: Desk):
    chat = ScriptedChat("One.")
    await desk.ask(chat, "One?", job="q1", thread_id="a", use_cache=False)
    answered, asked = await turns_kept(desk), len(chat.asked)
    jobs = await read_first_from_a_primary_without_it(desk, chat)

    with pytest.raises(ThreadBusy):
        await jobs.run({"job_id": "q1", "score": 1}, dict(ASKED))
    then = await jobs.run({"job_id": "q1", "score": 1}, dict(ASKED))

    assert (await turns_kept(desk), len(chat.asked)) == (answered, asked)
    assert then.writes


async def test_side_effects_that_a_failover_lost_are_repeated_before_the_turn_s_answer_is_given(
    desk: Desk, client: Client, redis: Redis, keys: Keys
):
    async with open_stream(redis, keys) as stream:
        question = "Remember that May is busy, and scan https://shop.example/new"
        page = {"url": "https://shop.example/new"}
        chat = ScriptedChat([called("remember", words="May is busy"), called("request_scan", **page)], "Done.")
        desk.submit = partial(submit_scan, client)  # pyright: ignore[reportAttributeAccessIssue]  # a scan that is queued
        jobs = QueryJobs(await desk.graph(chat))
        payload = {**ASKED, "question": question}
        await client.submit("query", payload, job_id="q1", lane="batch")
        delivery = await start_one(stream)
        scan = keys.job(scan_job_id("q1", page["url"]))

        async def run() -> Commit:
            return await jobs.run({"job_id": "q1", "score": delivery.enqueued_ms}, dict(payload))

        standings: list[str] = []
        for lost in ([key async for key in redis.scan_iter(match=f"{keys.memory_prefix}*")], [scan]):
            commit = await run()
            memories = [key async for key in redis.scan_iter(match=f"{keys.memory_prefix}*")]
            await redis.delete(*(lost or memories))
            standings.append(await stream.finish(delivery, commit=commit))
        standings.append(await stream.finish(delivery, commit=await run()))

    assert standings == ["lost", "lost", "committed"]
    assert len(chat.asked) == 2
    assert await desk.memories_kept() == ["May is busy"]
    assert await redis.execute_command("HGET", scan, "kind") == b"scan"
