"""A batch call gives way to a question: it is closed at once and repeated later, and its tokens are counted."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from redis.asyncio import Redis

from producer.errors import SlotLost
from producer.keys import Keys
from tests.support.gpu import hold, holders, listening, waiting
from tests.support.ollama_models import ASK, Open, OpenPool
from tests.support.ollama_server import Fault, OllamaServer
from tests.support.queue import DEADLINE_S, until
from worker.gpu.hosts import parse_hosts
from worker.models import slot_calls
from worker.models.job_context import serving
from worker.models.protocols import ChatReply
from worker.models.routing import Models


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot_calls, "WAY_PAUSE_S", 0.01)


def start(models: Models, lane: str) -> asyncio.Task[ChatReply]:
    with serving(f"a {lane} job", lane):
        return asyncio.create_task(models.chat.chat(ASK))


async def test_a_question_does_not_wait_for_a_batch_call_which_is_closed_and_made_again(
    open_with: Open, ollama: OllamaServer
):
    ollama.faults.append(Fault("stall"))  # a piece of its answer, and then nothing more
    asking, answering = await open_with(ollama.url), await open_with(ollama.url)
    batch = start(answering, "batch")
    (first,) = await ollama.wait_for_calls(1)

    reply = await asyncio.wait_for(start(asking, "interactive"), DEADLINE_S)
    again = await asyncio.wait_for(batch, DEADLINE_S)

    assert (reply.text, again.text) == (ollama.answer, ollama.answer)
    assert [call.end for call in ollama.calls()] == ["left", "answered", "answered"]
    assert first.ended <= ollama.calls()[1].arrived  # one call at a time on the card, all the while
    assert again.usage.calls == 2
    assert again.usage.output_tokens > reply.usage.output_tokens  # those of the call that was ended, too


async def test_a_batch_call_that_yielded_for_long_runs_to_its_end(
    open_with: Open, ollama: OllamaServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(slot_calls, "GIVES_WAY_S", 0.0)
    ollama.faults.extend([Fault("stall"), Fault("none"), Fault("load", seconds=0.5)])
    models = await open_with(ollama.url)
    batch = start(models, "batch")
    await ollama.wait_for_calls(1)
    await asyncio.wait_for(start(models, "interactive"), DEADLINE_S)
    await ollama.wait_for_calls(3)  # the batch call again

    question = start(models, "interactive")
    await asyncio.wait_for(asyncio.gather(batch, question), DEADLINE_S)

    assert [call.end for call in ollama.calls()] == ["left", "answered", "answered", "answered"]


@pytest.mark.parametrize(("lane", "gives_way"), [("interactive", True), ("batch", False)])
async def test_a_question_preempts_neither_a_question_nor_a_call_that_may_not_yield(
    open_pool: OpenPool, redis: Redis, keys: Keys, lane: str, gives_way: bool
):
    pool = await open_pool("w1")
    async with listening(redis, keys) as ear, pool.acquire("chat", priority=lane, gives_way=gives_way) as slot:
        asking = asyncio.create_task(hold(pool, priority="interactive"))
        await waiting(pool, 1)
        await redis.publish(keys.gpu_wake("w1"), "the first message")

        assert await ear.next() == "the first message"
        assert slot.is_held
    await asyncio.wait_for(asking, DEADLINE_S)


async def test_only_the_batch_call_that_began_last_yields(open_pool: OpenPool, redis: Redis, keys: Keys):
    pool = await open_pool("w1", hosts=parse_hosts("http://gpu1:1#chat=2"))

    async def call() -> None:
        async with pool.acquire("chat", gives_way=True) as slot:
            await slot.run(asyncio.Event().wait())

    first = asyncio.create_task(call())
    await until(partial(_are_held, redis, keys, 1), what="one slot held")
    second = asyncio.create_task(call())
    await until(partial(_are_held, redis, keys, 2), what="two slots held")

    await asyncio.wait_for(hold(pool, priority="interactive"), DEADLINE_S)

    with pytest.raises(SlotLost, match="gave way to a question"):
        await asyncio.wait_for(second, DEADLINE_S)
    assert not first.done()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def _are_held(redis: Redis, keys: Keys, wanted: int) -> bool:
    return len(await holders(redis, keys)) == wanted
