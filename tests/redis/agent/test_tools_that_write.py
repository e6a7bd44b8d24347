from __future__ import annotations

import json

import pytest

from tests.redis.agent.asking import SHOP, Desk, asker, run, told
from worker.agent.conversation.side_effects import scan_job_id
from worker.agent.conversation.tool_args import ARGS


async def test_the_user_s_words_are_remembered_and_recalled_by_meaning(desk: Desk):
    user = asker("Please remember that the shop is rebuilt in May.", site="shop.example")

    kept = await run(desk, "remember", by=user, words="The shop is rebuilt in May")
    again = await run(desk, "remember", by=user, words="The shop is rebuilt in May")
    found = await told(desk, "recall", by=asker(site="shop.example"), text="When is the shop rebuilt?")
    elsewhere = await told(desk, "recall", by=asker(site="blog.example"), text="When is the shop rebuilt?")
    anywhere = await told(desk, "recall", by=asker())

    assert not kept.failed
    assert not again.failed
    assert await desk.memories_kept() == ["the shop is rebuilt in May"]
    assert [one["text"] for one in found["remembered"]] == ["the shop is rebuilt in May"]
    assert elsewhere["remembered"] == []
    assert len(anywhere["remembered"]) == 1


@pytest.mark.parametrize(("kept", "there_is_more"), [(5, False), (6, True)])
async def test_recall_says_whether_there_is_more_than_it_tells(desk: Desk, kept: int, there_is_more: bool):
    for number in range(kept):
        words = f"rule {number} of the shop"
        await run(desk, "remember", by=asker(f"Remember: {words}"), words=words)

    told_of = await told(desk, "recall")

    assert (len(told_of["remembered"]), told_of["there_is_more"]) == (5, there_is_more)


async def test_words_that_the_user_did_not_write_are_not_remembered(desk: Desk):
    answer = await run(desk, "remember", words="The page has no barriers.")

    assert answer.failed
    assert "not the user's words" in answer.note
    assert await desk.memories_kept() == []


async def test_a_scan_is_queued_once_under_an_id_of_job_and_page(desk: Desk):
    user = asker(f"Scan {SHOP}/new please")

    answers = [await run(desk, "request_scan", by=user, url=f"{SHOP}/new", group="shop") for _ in range(2)]

    job = scan_job_id("q1", f"{SHOP}/new")
    assert [json.loads(one.text)["job"] for one in answers] == [job] * 2
    assert desk.submitted == [(job, {"url": f"{SHOP}/new", "group": "shop"})]


async def test_an_address_that_the_user_did_not_write_is_not_scanned(desk: Desk):
    answer = await run(desk, "request_scan", url="http://169.254.169.254/latest/")

    assert answer.failed
    assert answer.note.startswith("request_scan was refused: 'http://169.254.169.254/latest/'")
    assert desk.submitted == []


async def test_every_tool_that_a_model_is_offered_can_be_run(desk: Desk):
    answers = {name: await run(desk, name) for name in ARGS}

    done = [name for name, answer in answers.items() if not answer.failed]
    assert done == ["search_scans", "list_components", "recall"]
    assert all("error" in json.loads(answer.text) for answer in answers.values() if answer.failed)


def test_ids_of_requested_scans_are_job_ids_whatever_the_query_s_is():
    assert scan_job_id("q1", SHOP).startswith("q1.scan-")
    assert scan_job_id("q1", SHOP) != scan_job_id("q1", f"{SHOP}/new")
    assert len(scan_job_id("x" * 128, SHOP)) < 128
    assert scan_job_id("x" * 128, SHOP) != scan_job_id("x" * 127 + "y", SHOP)
