"""Unexpected names, questions and losses: a clear error or a correct answer, nothing mixed up or lost."""

from __future__ import annotations

from typing import cast

import pytest

from producer.contract import JsonObject, QueryResult
from producer.errors import ContextExceeded, InvalidJob
from tests.redis.agent.asking import Desk, ScriptedChat, call
from tests.redis.agent.scanning import apply, graph, run
from tests.support.scans import FixedEngine, finding, scan_result
from worker.agent.conversation.citations import NO_SCAN_SAYS
from worker.agent.handlers import QueryJobs
from worker.memory.history.history import ScanFilter

WORST = "Which page has the worst barriers?"
ODD = ["a,b", "a|b", "a:b", "{a}", "A", "a", " a ", "ä", "日本", "a*", "@a:{b}", "'\"\\", "-", "x" * 200]


async def asked(desk: Desk, job: str, **payload: object) -> QueryResult:
    """Run a question as the worker does, from its payload."""
    commit = await QueryJobs(await desk.graph()).run({"job_id": job}, payload)
    assert isinstance(commit.result, QueryResult)
    return commit.result


async def test_threads_with_any_name_keep_their_own_words(shop: Desk):
    for number, thread in enumerate(ODD):
        chat = ScriptedChat(f"Answer {number}.")
        await shop.ask(chat, f"Question {number}", job=f"a{number}", thread_id=thread, use_cache=False)

    again: dict[str, list[str]] = {}
    for number, thread in enumerate(ODD):
        chat = ScriptedChat("Yes.")
        result = await shop.ask(chat, "And now?", job=f"b{number}", thread_id=thread, use_cache=False)
        assert result.thread_id == thread
        again[thread] = [one.content for one in chat.asked[0] if one.content.startswith(("Question", "No scan"))]

    assert again == {thread: [f"Question {n}", f"{NO_SCAN_SAYS}Answer {n}."] for n, thread in enumerate(ODD)}


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"question": WORST, "thread_id": "x" * 10_240}, "thread_id"),
        ({"question": WORST, "site": "x" * 10_240}, "site"),
        ({"question": "x" * 51_200}, "question"),
        ({"question": ""}, "question"),
        ({"question": 7}, "question"),
        ({"question": " \n\t"}, "question is empty"),
        ({"question": WORST, "site": "a b"}, "is not a host: expected one such as shop.example"),
        ({"question": WORST, "site": "http://[a"}, "is not a host: expected one such as shop.example"),
        ({}, "question"),
    ],
    ids=str,
)
async def test_what_cannot_be_used_is_refused_in_a_short_sentence(shop: Desk, payload: JsonObject, said: str):
    with pytest.raises(InvalidJob) as refused:
        await asked(shop, "q1", **payload)

    assert said in str(refused.value)
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize("question", ["?", "x", "日", "barriers " * 500])
async def test_a_question_of_one_character_or_of_thousands_gets_an_answer(shop: Desk, question: str):
    result = await asked(shop, "q1", question=question)

    assert result.answer


async def test_a_question_that_no_context_holds_is_refused_with_what_to_do(shop: Desk):
    with pytest.raises(ContextExceeded, match=r"has 19,800 characters, and only about 1\d,\d{3} .* a shorter"):
        await asked(shop, "q1", question="barriers " * 2_200)


@pytest.mark.parametrize("site", ["a,b", "a|b", "{shop.example}", "SHOP.example:443", "shöp.example", "*", "@host:{x}"])
async def test_a_site_is_one_host_whatever_is_in_its_name(shop: Desk, site: str):
    result = await asked(shop, "q1", question=WORST, site=site)

    assert result.sources == (("cart-1", "home-1") if site.startswith("SHOP") else ())


async def test_a_group_with_any_name_is_found_by_that_name_alone(shop: Desk):
    for number, name in enumerate(ODD):
        await shop.record(scan_result(finding("label", "n"), scan_id=f"g{number}", group=name))

    found = {name: await shop.history.find(ScanFilter(group=name)) for name in ODD}
    near = {name: await shop.history.search("a form", ScanFilter(group=name)) for name in ODD}

    ids = {name: [record.scan_id for record in records] for name, records in found.items()}
    assert ids == {name: [f"g{number}"] for number, name in enumerate(ODD)}
    assert {name: [one.record.group for one in ones] for name, ones in near.items()} == {name: [name] for name in ODD}


async def test_every_index_dropped_under_a_running_worker_comes_back_and_nothing_is_lost(shop: Desk):
    remembering = ScriptedChat(call("remember", words="I like tea"), "Noted.")
    await shop.ask(remembering, "I like tea", job="q1", thread_id="a")
    scans = graph(FixedEngine([scan_result(finding("label", "z"))]), shop.history, shop.keys)
    jobs_before = QueryJobs(await shop.graph(None))
    names = cast("list[bytes]", await shop.redis.execute_command("FT._LIST"))
    dropped = [name for name in names if shop.keys.environment.encode() in name]
    for name in dropped:
        await shop.redis.execute_command("FT.DROPINDEX", name)

    commit = await jobs_before.run({"job_id": "q2"}, {"question": WORST, "thread_id": "a"})
    result, written = await run(shop.keys, scans, "s1", url="https://shop.example/new")
    await apply(shop.redis, written)
    again = await jobs_before.run({"job_id": "q3"}, {"question": WORST, "thread_id": "a"})

    assert len(dropped) >= 3
    assert isinstance(commit.result, QueryResult)
    assert isinstance(again.result, QueryResult)
    assert commit.result.sources == ("cart-1", "home-1")
    assert "s1" in [record.scan_id for record in await shop.history.find()]
    assert result.status == "scanned"
    found = await shop.memories.search((), query="tea")
    assert [item.value["text"] for item in found] == ["I like tea"]
    chat = ScriptedChat("Yes.")
    await shop.ask(chat, "And before?", job="q4", thread_id="a", use_cache=False)
    assert [one.content for one in chat.asked[0] if one.role == "user"] == ["I like tea", WORST, WORST, "And before?"]
