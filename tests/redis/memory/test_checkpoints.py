from __future__ import annotations

import asyncio
import operator
import time
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, TypedDict, cast
from uuid import UUID

import langgraph.checkpoint.redis.aio
import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, Checkpoint, CheckpointTuple, empty_checkpoint
from langgraph.graph import END, START, StateGraph
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from producer.errors import ThreadBusy
from producer.keys import Keys
from producer.redis.scripts import run_script
from tests.support.cut_connection import cut_before
from tests.support.key_types import assert_refused, typed_keys
from tests.support.redis_server import StartServer
from worker.limits.conversation_hold import Hold
from worker.memory.checkpoints import FORGET, STEP, ConversationSaver, conversation_saver


class Conversation(TypedDict):
    turns: Annotated[list[str], operator.add]


def answer(state: Conversation) -> Conversation:
    return {"turns": [f"answer {len(state['turns'])}"]}


def conversation(saver: BaseCheckpointSaver[Any]) -> Any:
    """A graph that answers each turn with its number."""
    graph = StateGraph(Conversation)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=saver)


def thread(keys: Keys, name: str) -> RunnableConfig:
    return {"configurable": {"thread_id": f"{keys.environment}:talk:{name}"}}


async def keys_of(redis: Redis, keys: Keys) -> list[bytes]:
    return [key async for key in redis.scan_iter(match=f"*{keys.environment}:talk:*")]


async def test_a_conversation_goes_on_with_another_worker(redis: Redis, keys: Keys):
    state: Conversation = {"turns": []}
    for turn in range(3):
        talk = conversation(await conversation_saver(redis, keys, ttl_s=600))
        state = await talk.ainvoke({"turns": [f"question {turn}"]}, thread(keys, "a"), durability="sync")

    assert state["turns"] == ["question 0", "answer 1", "question 1", "answer 3", "question 2", "answer 5"]


async def test_every_key_of_a_conversation_expires_and_reading_renews_the_ttl(redis: Redis, keys: Keys):
    talk = conversation(await conversation_saver(redis, keys, ttl_s=600))
    await talk.ainvoke({"turns": ["question"]}, thread(keys, "a"), durability="sync")
    written = await keys_of(redis, keys)
    ttls = [await redis.ttl(key) for key in written]
    for key in written:
        await redis.expire(key, 60)

    await talk.aget_state(thread(keys, "a"))

    assert len(written) > 3
    assert all(590 < ttl <= 600 for ttl in ttls)
    assert max([await redis.ttl(key) for key in written]) > 590


async def test_one_conversation_is_deleted_and_no_other(redis: Redis, keys: Keys):
    saver = await conversation_saver(redis, keys, ttl_s=600)
    talk = conversation(saver)
    for name in ("a", "ab", "A"):
        await talk.ainvoke({"turns": [name]}, thread(keys, name), durability="sync")

    await saver.adelete_thread(f"{keys.environment}:talk:a")

    states = {name: await talk.aget_state(thread(keys, name)) for name in ("a", "ab", "A")}
    assert {name: state.values.get("turns") for name, state in states.items()} == {
        "a": None,
        "ab": ["ab", "answer 1"],
        "A": ["A", "answer 1"],
    }


async def test_a_conversation_leaves_nothing_in_the_workers_memory(redis: Redis, keys: Keys):
    saver = await conversation_saver(redis, keys, ttl_s=600)
    await conversation(saver).ainvoke({"turns": ["question"]}, thread(keys, "a"), durability="sync")

    assert saver._key_cache == {}


async def test_eight_workers_may_set_up_conversations_at_once(redis: Redis, keys: Keys):
    savers = await asyncio.gather(*(conversation_saver(redis, keys, ttl_s=600) for _ in range(8)))

    states = await asyncio.gather(
        *(conversation(one).ainvoke({"turns": ["q"]}, thread(keys, str(n))) for n, one in enumerate(savers))
    )

    assert [state["turns"] for state in states] == [["q", "answer 1"]] * 8


async def test_a_redis_that_went_away_is_called_by_its_name(redis_server: StartServer):
    server = redis_server()
    async with Redis.from_url(server.url, protocol=2) as client:
        talk = conversation(await conversation_saver(client, Keys("gone"), ttl_s=600))
        server.kill()

        with pytest.raises(RedisConnectionError):
            await talk.ainvoke({"turns": ["q"]}, thread(Keys("gone"), "a"), durability="sync")


async def test_what_a_woken_worker_writes_to_a_step_that_was_pruned_ends_by_itself(redis: Redis, keys: Keys):
    saver = await conversation_saver(redis, keys, ttl_s=600)
    talk = conversation(saver)
    await talk.ainvoke({"turns": ["first"]}, thread(keys, "a"), durability="sync")
    old = (await talk.aget_state(thread(keys, "a"))).config
    await talk.ainvoke({"turns": ["second"]}, thread(keys, "a"), durability="sync")
    await saver.keep_newest(f"{keys.environment}:talk:a")

    await saver.aput_writes(old, [("turns", ["late"])], "task")

    ttls = {key: await redis.ttl(key) for key in await keys_of(redis, keys)}
    assert len(ttls) > len([key for key in ttls if b"latest" in key]) + 1  # the newest step, and what came late
    assert all(0 < ttl <= 600 for ttl in ttls.values()), ttls


async def test_a_worker_killed_after_any_write_leaves_no_key_without_ttl(
    redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    async def killed(*_: object) -> None:
        raise RedisConnectionError

    saver = await conversation_saver(redis, keys, ttl_s=600)
    monkeypatch.setattr(langgraph.checkpoint.redis.aio, "aexpire_with_retry", killed)
    about: RunnableConfig = {"configurable": {"thread_id": f"{keys.environment}:talk:a", "checkpoint_ns": ""}}

    with suppress(RedisConnectionError):
        await saver.aput(about, empty_checkpoint(), {}, {})
    step = {**about["configurable"], "checkpoint_id": "1"}
    with suppress(RedisConnectionError):
        await saver.aput_writes({"configurable": step}, [("turns", ["late"])], "task")

    ttls = {key: await redis.ttl(key) for key in await keys_of(redis, keys)}
    assert len(ttls) >= 3  # the step, what its node returned, and the list of that
    assert all(0 < ttl <= 600 for ttl in ttls.values()), ttls


async def test_a_connection_lost_between_two_writes_leaves_no_key_without_ttl(redis: Redis, keys: Keys):
    saver = await conversation_saver(redis, keys, ttl_s=600)
    about = {"thread_id": f"{keys.environment}:talk:a", "checkpoint_ns": "", "checkpoint_id": "1"}

    async with cut_before(redis, b"JSON.MERGE") as through:
        saver.expire_at_once(through, 600)
        with pytest.raises(RedisConnectionError):
            await saver.aput_writes({"configurable": about}, [("turns", ["late"])], "task")

    assert await keys_of(redis, keys) == []


async def test_the_newest_step_is_the_one_written_last_though_its_writers_clock_is_behind(redis: Redis, keys: Keys):
    saver = await conversation_saver(redis, keys, ttl_s=600)
    talk, of_a = conversation(saver), thread(keys, "a")
    await talk.ainvoke({"turns": ["first"]}, of_a, durability="sync")
    known = await saver.aget_tuple(of_a)
    assert known is not None
    hour_ago = uuid6_of((time.time_ns() // 100) - 36_000_000_000)  # as a worker an hour behind would name its step
    step = {**known.checkpoint, "id": hour_ago, "channel_values": {"turns": ["first", "second"]}}
    await saver.aput(known.config, cast("Checkpoint", step), known.metadata, {})

    await saver.keep_newest(f"{keys.environment}:talk:a")

    assert (await talk.aget_state(of_a)).values == {"turns": ["first", "second"]}
    assert len([key for key in await keys_of(redis, keys) if b"checkpoint:" in key]) == 1
    assert [key for key in await keys_of(redis, keys) if known.checkpoint["id"].encode() in key] == []


def uuid6_of(ticks: int) -> str:
    """The id that LangGraph gives a step at that time, 100 ns since 1970."""
    since_1582 = ticks + 0x01B21DD213814000
    number = (since_1582 >> 12) << 80 | 6 << 76 | (since_1582 & 0xFFF) << 64 | 1 << 63
    return str(UUID(int=number))


# ---------------------------------------------------------------------------------------------- under a hold


async def add_steps(redis: Redis, *keys: str) -> None:
    for key in keys:
        await redis.execute_command("JSON.SET", key, "$", '{"checkpoint": {}, "has_writes": false}')


async def test_a_step_becomes_the_newest_only_under_the_hold_and_if_it_exists(redis: Redis, keys: Keys):
    held, newest, aside = keys.thread("t-a"), f"{keys.prefix}newest", f"{keys.prefix}aside"
    await cast("Any", redis).hset(held, "token", "mine")
    one, two, gone, rest = (f"{keys.prefix}{name}" for name in ("one", "two", "gone", "rest"))
    await add_steps(redis, one, two)
    await redis.execute_command("JSON.MERGE", rest, "$", '{"has_writes": true}')  # of one that another server has
    said: list[bytes] = []
    for token, step in (("mine", one), ("other", two), ("", two), ("mine", gone), ("mine", rest)):
        await redis.set(aside, step)
        said.append(await run_script(redis, STEP, [held, newest, aside, step], [token, 60, one]))
    await cast("Any", redis).hdel(held, "token")
    said.append(await run_script(redis, STEP, [held, newest, aside, two], ["mine", 60, one]))

    assert said == [b"kept", *[b"lost"] * 5]
    assert await redis.get(newest) == one.encode()
    assert 0 < await redis.ttl(newest) <= 60
    assert await redis.exists(aside) == 0


async def test_a_step_becomes_the_newest_only_after_the_one_that_it_was_made_from(redis: Redis, keys: Keys):
    held, newest, aside = keys.thread("t-a"), f"{keys.prefix}newest", f"{keys.prefix}aside"
    await cast("Any", redis).hset(held, "token", "mine")
    one, two, three = (f"{keys.prefix}{name}" for name in ("one", "two", "three"))
    await add_steps(redis, one, two, three)

    async def add(step: str, after: str) -> bytes:
        return await run_script(redis, STEP, [held, newest, aside, step], ["mine", 60, after])

    begun = [await add(one, ""), await add(two, one)]
    stale = [await add(three, one), await add(three, ""), await add(one, one)]
    newest_then = await redis.get(newest)
    repeated = await add(two, one)
    await redis.delete(two)  # as it may expire before the key that names it
    after_gone = await add(three, "")

    assert (begun, repeated, after_gone) == ([b"kept", b"kept"], b"kept", b"kept")
    assert (stale, newest_then) == ([b"lost"] * 3, two.encode())
    assert await redis.get(newest) == three.encode()


async def test_a_turn_that_was_read_from_a_server_that_lags_behind_discards_no_later_turn(redis: Redis, keys: Keys):
    saver = await conversation_saver(redis, keys, ttl_s=600)
    talk, of_a = conversation(saver), thread(keys, "a")
    hold = Hold(lambda: None, keys.thread("t-a"), "mine")
    await cast("Any", redis).hset(hold.key, "token", "mine")
    with saver.held(hold):
        await talk.ainvoke({"turns": ["first"]}, of_a, durability="sync")
        lagging = await saver.aget_tuple(of_a)
        await talk.ainvoke({"turns": ["second"]}, of_a, durability="sync")
        assert lagging is not None
        before = saver.aget_tuple
        saver.aget_tuple = cast("Any", partial(as_read, lagging))

        with pytest.raises(ThreadBusy):
            await talk.ainvoke({"turns": ["third"]}, of_a, durability="sync")
        with pytest.raises(ThreadBusy):
            await saver.confirm(lagging.config)

        saver.aget_tuple = before
        state = await talk.ainvoke({"turns": ["third"]}, of_a, durability="sync")

    assert state["turns"] == ["first", "answer 1", "second", "answer 3", "third", "answer 5"]


async def as_read(step: CheckpointTuple, _: RunnableConfig) -> CheckpointTuple:
    """Return what a primary returns that was replaced and does not know it yet."""
    return step


async def held(redis: Redis, keys: Keys) -> Hold:
    """Return a hold of the conversation ``a``."""
    hold = Hold(lambda: None, keys.thread("t-a"), "mine")
    await cast("Any", redis).hset(hold.key, "token", "mine")
    return hold


async def two_turns_of_which_redis_names_the_first(
    saver: ConversationSaver, redis: Redis, keys: Keys
) -> tuple[bytes, bytes]:
    """Return the keys of the last steps of both turns; a replaced primary and a promoted replica name the first."""
    pointer = saver._make_redis_checkpoint_latest_key(f"{keys.environment}:talk:a", "")
    last: list[bytes] = []
    for word in ("first", "second"):
        await conversation(saver).ainvoke({"turns": [word]}, thread(keys, "a"), durability="sync")
        last.append(await redis.get(pointer))
    await redis.set(pointer, last[0], ex=60)
    return last[0], last[1]


async def test_pruning_deletes_nothing_where_a_failover_lost_which_step_is_the_newest(redis: Redis, keys: Keys):
    saver = await conversation_saver(redis, keys, ttl_s=600)
    hold = await held(redis, keys)
    with saver.held(hold):
        await two_turns_of_which_redis_names_the_first(saver, redis, keys)

        with pytest.raises(ThreadBusy):
            await saver.keep_newest(f"{keys.environment}:talk:a")

    state = await conversation(saver).aget_state(thread(keys, "a"))
    assert state.values["turns"] == ["first", "answer 1"]


async def test_a_step_that_another_server_lacks_is_not_an_empty_conversation(
    redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    saver = await conversation_saver(redis, keys, ttl_s=600)
    await conversation(saver).ainvoke({"turns": ["first"]}, thread(keys, "a"), durability="sync")
    pending = saver._aload_pending_writes

    async def meanwhile(*about: Any) -> Any:
        await redis.delete(*[key async for key in redis.scan_iter(match=f"{keys.checkpoints}:*")])
        return await pending(*about)

    async def late(**about: Any) -> Any:
        await asyncio.sleep(0.2)
        return await values(**about)

    values = saver.aget_channel_values
    monkeypatch.setattr(saver, "_aload_pending_writes", meanwhile)
    monkeypatch.setattr(saver, "aget_channel_values", late)

    with pytest.raises(ThreadBusy):
        await saver.aget_tuple(thread(keys, "a"))


async def test_steps_are_deleted_only_under_the_hold(redis: Redis, keys: Keys):
    held, newest, *steps = keys.thread("t-a"), f"{keys.prefix}newest", *(f"{keys.prefix}step-{n}" for n in range(3))
    await cast("Any", redis).hset(held, "token", "mine")
    await add_steps(redis, *steps)
    await redis.set(newest, steps[2])

    assert await run_script(redis, FORGET, [held, newest, *reversed(steps)], ["other"]) == b"lost"
    assert await run_script(redis, FORGET, [held, newest, *steps], ["mine"]) == b"lost", "another is the newest"
    assert await redis.exists(*steps) == 3
    assert await run_script(redis, FORGET, [held, newest, *reversed(steps)], ["mine"]) == b"gone"
    assert await redis.exists(steps[2]) == 1
    assert await redis.exists(*steps[:2]) == 0

    await redis.delete(steps[2])
    await add_steps(redis, steps[0])
    assert await run_script(redis, FORGET, [held, newest, *reversed(steps)], ["mine"]) == b"lost", "it does not exist"
    assert await redis.exists(steps[0]) == 1


async def test_a_failover_that_lost_the_last_step_leaves_the_conversation_of_before(redis: Redis, keys: Keys):
    saver = await conversation_saver(redis, keys, ttl_s=600)
    hold = await held(redis, keys)
    with saver.held(hold):
        _, newest = await two_turns_of_which_redis_names_the_first(saver, redis, keys)
        await redis.delete(newest)  # it was not replicated

        with pytest.raises(ThreadBusy):
            await saver.keep_newest(f"{keys.environment}:talk:a")

    state = await conversation(saver).aget_state(thread(keys, "a"))
    assert state.values["turns"] == ["first", "answer 1"]


SCRIPTS = {
    "thread_step": "thread:hash newest:string aside step job:hash",
    "thread_forget": "thread:hash newest:string step",
}


@pytest.mark.parametrize(("name", "position", "expected"), typed_keys(SCRIPTS))
async def test_a_key_of_another_type_is_named_and_nothing_is_written(
    redis: Redis, keys: Keys, name: str, position: int, expected: str
):
    script, args = ("worker.memory", name), ("token", 60, "")

    await assert_refused(redis, keys, script, args, names=SCRIPTS[name], position=position, expected=expected)


@pytest.mark.parametrize("act", ["keep_newest", "step"])
async def test_a_query_that_lost_the_conversation_is_notified_and_changes_nothing(redis: Redis, keys: Keys, act: str):
    saver = await conversation_saver(redis, keys, ttl_s=600)
    talk, of_a = conversation(saver), thread(keys, "a")
    for word in ("first", "second"):
        await talk.ainvoke({"turns": [word]}, of_a, durability="sync")
    before = await keys_of(redis, keys)

    late = {
        "step": lambda: talk.ainvoke({"turns": ["late"]}, of_a, durability="sync"),
        "keep_newest": lambda: saver.keep_newest(f"{keys.environment}:talk:a"),
    }
    with pytest.raises(ThreadBusy), saver.held(Hold(lambda: None, keys.thread("t-a"), "not mine")):
        await late[act]()

    assert set(before) <= set(await keys_of(redis, keys))
    assert (await talk.aget_state(of_a)).values["turns"][-1] != "late"


async def test_a_turn_under_a_hold_leaves_no_key_without_its_ttl(redis: Redis, keys: Keys):
    saver = await conversation_saver(redis, keys, ttl_s=600)
    hold = Hold(lambda: None, keys.thread("t-a"), "mine")
    await cast("Any", redis).hset(hold.key, "token", "mine")
    with saver.held(hold):
        await conversation(saver).ainvoke({"turns": ["first"]}, thread(keys, "a"), durability="sync")
        await saver.keep_newest(f"{keys.environment}:talk:a")

    ttls = {key: await redis.ttl(key) for key in await keys_of(redis, keys) if key != hold.key.encode()}
    assert ttls
    assert all(0 < ttl <= 600 for ttl in ttls.values()), ttls
    assert not [key for key in await redis.keys(f"{keys.prefix}*") if b"aside" in key]


async def test_conversations_whose_workers_are_killed_within_a_step_leave_one_permanent_key_not_one_each(
    redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    async def killed(*_: object) -> None:
        msg = "killed before the key has its time"
        raise OSError(msg)

    saver = await conversation_saver(redis, keys, ttl_s=600)
    monkeypatch.setattr(langgraph.checkpoint.redis.aio, "aexpire_with_retry", killed)
    for name in "abc":
        hold = Hold(lambda: None, keys.thread(f"t-{name}"), "mine")
        with saver.held(hold), pytest.raises(OSError, match="killed"):
            await conversation(saver).ainvoke({"turns": ["first"]}, thread(keys, name), durability="sync")

    pointers = [key async for key in redis.scan_iter(match=f"{keys.checkpoints}_latest*")]
    assert len(pointers) == 1
