"""Shared explanations are requested once, whichever job needs them first or is killed while asking."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from redis.asyncio import Redis

from producer.contract import JsonObject, Usage
from producer.errors import Busy
from producer.keys import Keys
from tests.support.key_types import assert_refused, typed_keys
from tests.support.queue import DEADLINE_S
from tests.support.scans import finding, scan_result
from worker.agent.assessment import shared_answers
from worker.agent.assessment.barriers import barriers_of
from worker.agent.assessment.explain import UNEXPLAINED, Explanation, explain_page
from worker.agent.assessment.shared_answers import TTL_S, UNANSWERED_S, SharedAnswers
from worker.models.protocols import ChatReply, Message, Tool

PAGE = scan_result(finding("image-alt", "a"), finding("label", "b"))
NAMES = ("one", "two", "three")
TOLD = Explanation(who="w", why="y", fix="f", model="m")


class Slow:
    """Explains what it is asked about once ``goes_on`` is set."""

    name = "slow"

    def __init__(self) -> None:
        self.goes_on = asyncio.Event()
        self.asked = asyncio.Event()
        self.calls = 0

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonObject | None = None, tools: Sequence[Tool] = ()
    ) -> ChatReply:
        del schema, tools
        self.calls += 1
        self.asked.set()
        await self.goes_on.wait()
        names = [one["barrier"] for one in json.loads(messages[1].content)["barriers"]]
        entries = [{"barrier": name, "who": "w", "why": "y", "fix": "f"} for name in names]
        return ChatReply(json.dumps({"explanations": entries}), self.name, Usage(calls=1))


@pytest.fixture
async def shared(redis: Redis, keys: Keys) -> SharedAnswers[Explanation]:
    return SharedAnswers(redis, keys, Explanation)


async def test_two_jobs_that_need_the_same_ask_once(shared: SharedAnswers[Explanation]):
    model = Slow()
    both = [asyncio.create_task(explain_page(model, PAGE, shared)) for _ in range(2)]
    await asyncio.wait_for(model.asked.wait(), DEADLINE_S)
    model.goes_on.set()

    verdicts = await asyncio.gather(*both)

    assert model.calls == 1
    assert [len(one.assessment.priorities) for one in verdicts if one.assessment] == [2, 2]
    assert sorted(one.saved for one in verdicts) == [0, 1]


async def test_a_job_that_was_killed_while_asking_holds_up_nobody_for_longer_than_its_lease(
    shared: SharedAnswers[Explanation], redis: Redis, keys: Keys
):
    model = Slow()
    model.goes_on.set()
    for barrier in barriers_of(PAGE, model=model.name):  # what take wrote, and nobody renews
        await redis.set(keys.explanation(barrier.digest), "token of a killed job", px=300)

    verdict = await asyncio.wait_for(explain_page(model, PAGE, shared), DEADLINE_S)

    assert verdict.assessment is not None
    assert model.calls == 1


async def test_a_long_call_keeps_its_lease_and_a_cancelled_one_ends_it_at_once(redis: Redis, keys: Keys):
    shared, model = SharedAnswers(redis, keys, Explanation, lease_s=2.0), Slow()
    asking = asyncio.create_task(explain_page(model, PAGE, shared))
    await asyncio.wait_for(model.asked.wait(), DEADLINE_S)
    digests = [barrier.digest for barrier in barriers_of(PAGE, model=model.name)]
    token = await redis.get(keys.explanation(digests[0]))
    assert token is not None
    async with asyncio.timeout(DEADLINE_S):
        last = await redis.pttl(keys.explanation(digests[0]))
        while (left := await redis.pttl(keys.explanation(digests[0]))) <= last:  # until it was renewed
            last = left
    assert await redis.get(keys.explanation(digests[0])) == token

    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)

    assert await redis.exists(*map(keys.explanation, digests)) == 0


async def test_a_waiter_that_waits_too_long_for_another_job_polls_later(
    shared: SharedAnswers[Explanation], redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shared_answers, "WAIT_S", 0.1)
    for barrier in barriers_of(PAGE, model="slow"):
        await redis.set(keys.explanation(barrier.digest), "token", ex=60)

    with pytest.raises(Busy) as raised:
        await explain_page(Slow(), PAGE, shared)

    assert raised.value.delay_s == shared_answers.LATER_S


async def test_a_call_takes_as_many_as_it_can_carry_and_leaves_the_rest_to_others(shared: SharedAnswers[Explanation]):
    async with shared.take(NAMES, most=2) as first, shared.take(NAMES, most=2) as second:
        assert (first.mine, second.mine) == (("one", "two"), ("three",))
        assert not first.known


async def test_an_explanation_lives_on_with_each_use_and_the_first_answer_stays(
    shared: SharedAnswers[Explanation], redis: Redis, keys: Keys
):
    await shared.keep({"one": TOLD})
    await shared.keep({"one": Explanation(fix="another"), "two": UNEXPLAINED})
    for name in ("one", "two"):
        await redis.expire(keys.explanation(name), 60)

    async with shared.take(NAMES[:2], most=8) as taken:
        assert taken.known == {"one": TOLD, "two": UNEXPLAINED}

    assert await redis.ttl(keys.explanation("one")) > TTL_S - 60
    assert await redis.ttl(keys.explanation("two")) <= 60
    await shared.keep({"two": TOLD, "three": UNEXPLAINED})
    assert 60 < await redis.ttl(keys.explanation("three")) <= UNANSWERED_S
    async with shared.take(["two"], most=8) as taken:
        assert taken.known == {"two": TOLD}


async def test_an_environment_has_explanations_to_itself(shared: SharedAnswers[Explanation], redis: Redis, keys: Keys):
    await shared.keep({"one": TOLD})
    other = SharedAnswers(redis, Keys(f"{keys.environment[:28]}-b"), Explanation)

    async with other.take(["one"], most=8) as taken:
        assert taken.mine == ("one",)


ARGS: dict[str, tuple[Any, ...]] = {
    "explain_take": ("token", 1000, 60, 8),
    "explain_keep": (60, 60, "{}", "{}"),
    "explain_renew": ("token", 1000),
}
TYPES = dict.fromkeys(ARGS, "first:string second:string")


@pytest.mark.parametrize(("name", "position", "expected"), typed_keys(TYPES))
async def test_a_key_of_another_type_is_named_and_nothing_is_written(
    redis: Redis, keys: Keys, name: str, position: int, expected: str
):
    script = ("worker.agent.assessment", name)

    await assert_refused(redis, keys, script, ARGS[name], names=TYPES[name], position=position, expected=expected)
