from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from producer.contract import JsonObject
from producer.errors import ModelError
from producer.keys import Keys
from tests.redis.agent.asking import SHOP, Desk, ScriptedChat, call, open_desk
from tests.support.scans import finding, scan_result
from worker.models.builtin.models import BuiltinEmbedder
from worker.models.protocols import ChatReply, EmbedReply, Message

WORST = "Which page has the worst barriers?"


async def test_the_same_question_is_answered_from_the_cache_until_the_next_scan(shop: Desk):
    chat = ScriptedChat(call("search_scans", order="worst"), "The cart [scan cart-1].")
    first = await shop.ask(chat, WORST, job="q1")
    second = await shop.ask(chat, WORST, job="q2")
    asked = len(chat.asked)

    await shop.record(scan_result(url=f"{SHOP}/new", scan_id="new-1"))
    third = await shop.ask(chat, WORST, job="q3")

    assert (first.cached, second.cached, third.cached) == (False, True, False)
    assert (second.answer, second.sources, second.model) == (first.answer, first.sources, "scripted:1b")
    assert second.usage.cache_hit
    assert "to the question: Which page has the worst barriers?" in second.notes[0]
    assert (asked, len(chat.asked)) == (2, 4)  # with the look-up that the last answer lacked


class FromTheCloud(ScriptedChat):
    """Answers in place of the model in the settings, and says why."""

    async def chat(self, messages: Sequence[Message], **options: Any) -> ChatReply:
        return replace(await super().chat(messages, **options), reason="no Ollama answers")


async def test_a_cached_answer_says_why_its_model_gave_it(shop: Desk):
    chat = FromTheCloud(call("search_scans", order="worst"), "The cart [scan cart-1].")
    await shop.ask(chat, WORST, job="q1")

    again = await shop.ask(chat, WORST, job="q2")

    assert (again.cached, again.model, again.model_reason) == (True, "scripted:1b", "no Ollama answers")


async def test_a_caller_may_refuse_cached_answers(shop: Desk):
    await shop.ask(None, WORST, job="q1")

    assert not (await shop.ask(None, WORST, job="q2", use_cache=False)).cached
    assert (await shop.ask(None, WORST, job="q3")).cached


class OneMeaning(BuiltinEmbedder):
    """An embedder that gives all questions the same meaning: worse than any model."""

    async def embed_queries(self, texts: Sequence[str]) -> EmbedReply:
        return await self.embed_documents(["the same"] * len(texts))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"question": WORST}, {"question": WORST, "site": "shop.example"}),
        ({"question": "What changed since 2026-11-01?"}, {"question": "What changed since 2026-11-02?"}),
        ({"question": "Which pages are new?"}, {"question": "Which pages are old?"}),
        ({"question": "How bad is the checkout group?"}, {"question": "How bad is the product group?"}),
    ],
)
async def test_an_answer_is_not_given_to_another_question_however_near(
    shop: Desk, first: JsonObject, second: JsonObject
):
    desk = await open_desk(shop.redis, shop.keys, OneMeaning())
    chat = ScriptedChat(call("search_scans"), "The cart [scan cart-1].", call("search_scans"), "Home [scan home-1].")
    await desk.ask(chat, job="q1", **first)

    other = await desk.ask(chat, job="q2", **second)
    same = await desk.ask(chat, job="q3", **first)

    assert (other.cached, same.cached) == (False, True)


async def test_the_same_words_after_other_turns_are_another_question(shop: Desk):
    await shop.ask(None, WORST, job="q1", thread_id="a")
    await shop.ask(None, "What is wrong with that page?", job="q2", thread_id="a")

    other = await shop.ask(None, "What is wrong with that page?", job="q3", thread_id="b")

    assert not other.cached
    assert "Which page do you mean?" in other.answer


@pytest.mark.parametrize(
    "steps",
    [
        (call("recall"), call("search_scans"), "You like labels: the cart [scan cart-1]."),
        (call("get_scan", scan="nope"), call("search_scans"), "The cart [scan cart-1]."),
        (call("search_scans"), "The cart, without a source."),
        (call("search_scans"), "The cart [scan cart-1], and [scan invented]."),
    ],
    ids=["memory", "failed tool", "no source", "invented source"],
)
async def test_an_answer_that_is_not_whole_or_not_for_all_is_not_given_again(shop: Desk, steps: tuple[Any, ...]):
    await shop.ask(ScriptedChat(*steps), WORST, job="q1")

    assert not (await shop.ask(ScriptedChat(*steps), WORST, job="q2")).cached


async def test_a_scan_that_lands_while_the_question_is_answered_leaves_no_stale_answer(shop: Desk):
    class Landing(ScriptedChat):
        """A scan of the site that ends while the model is answering."""

        async def chat(self, messages: Sequence[Message], **options: Any) -> ChatReply:
            await shop.record(scan_result(url=f"{SHOP}/new", scan_id=f"new-{len(self.asked)}"))
            return await super().chat(messages, **options)

    stale = ScriptedChat(call("search_scans", order="worst"), "The cart [scan cart-1].")
    during = Landing(call("search_scans", order="worst"), "The cart [scan cart-1].")

    first = await shop.ask(during, WORST, job="q1", site="shop.example")
    second = await shop.ask(stale, WORST, job="q2", site="shop.example")
    third = await shop.ask(stale, WORST, job="q3", site="shop.example")

    assert (first.cached, second.cached, third.cached) == (False, False, True)


async def test_a_cache_that_cannot_be_asked_costs_a_note_and_not_the_answer(redis: Redis, keys: Keys):
    class Away(BuiltinEmbedder):
        async def embed_queries(self, texts: Sequence[str]) -> EmbedReply:
            msg = f"no host answers, asked for {len(texts)}"
            raise ModelError(msg)

    desk = await open_desk(redis, keys, Away())
    await desk.record(scan_result(finding("label", "c"), scan_id="cart-1"))

    result = await desk.ask(None, WORST)

    assert result.sources == ("cart-1",)
    assert "the cache was not used: no host answers, asked for 1" in result.notes
