"""What the form of ``sightline web`` submits: whole, however slow, and without a look at this machine's files."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from producer.cli.scan.submit import ScanPlan
from producer.client.client import Client
from producer.errors import QueueFull, RedisUnreachable
from producer.web import submit
from tests.support.queue import until
from tests.support.web_pages import app_over, browser, desk_over


async def test_a_submission_that_takes_longer_than_its_request_is_a_whole_batch(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_answered, submitted = asyncio.Event(), submit.submit_plan

    async def slowly(*given: Any, **named: Any) -> None:
        await is_answered.wait()
        await submitted(*given, **named)

    monkeypatch.setattr(submit, "submit_plan", slowly)
    monkeypatch.setattr(submit, "SUBMIT_S", 0.05)

    answer = await browser(app_over(client)).send("/scan", urls="https://a.example/\nhttps://b.example/", batch="slow")
    is_answered.set()
    sealed: Any = client.keys.batch("slow"), "sealed"
    await until(lambda: client.redis.hget(*sealed), what="the whole batch")

    assert answer.status_code == 303
    assert (await client.batch("slow")).total == 2


async def test_a_submission_goes_on_after_an_outage_that_follows_its_answer(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted, failures = submit.submit_plan, iter((True, True, False))

    async def failing(*given: Any, **named: Any) -> None:
        await asyncio.sleep(0.05)
        if next(failures):
            raise RedisUnreachable("gone for a moment")
        await submitted(*given, **named)

    monkeypatch.setattr(submit, "submit_plan", failing)
    monkeypatch.setattr(submit, "SUBMIT_S", 0.02)
    monkeypatch.setattr(submit, "AGAIN_S", 0.01)

    answer = await browser(app_over(client)).send("/scan", urls="https://a.example/\nhttps://b.example/", batch="slow")
    sealed: Any = client.keys.batch("slow"), "sealed"
    await until(lambda: client.redis.hget(*sealed), what="the whole batch")

    assert answer.status_code == 303
    assert (await client.batch("slow")).total == 2


@pytest.mark.parametrize("submitted", [(), ("https://a.example/",)])
@pytest.mark.parametrize(
    ("error", "why"),
    [
        (QueueFull("the queue is full"), "the queue is full"),
        (KeyError("a bug"), "internal error: KeyError"),
        (asyncio.CancelledError(), "stopped meanwhile"),
    ],
)
async def test_a_submission_that_fails_after_its_answer_is_reported_on_its_batch_s_page_and_logged(
    client: Client, monkeypatch: pytest.MonkeyPatch, submitted: tuple[str, ...], error: BaseException, why: str
) -> None:
    is_answered, submit_plan = asyncio.Event(), submit.submit_plan
    lines: list[str] = []

    async def failing(client: Client, plan: ScanPlan, **_: Any) -> None:
        for url in submitted:
            await client.submit("scan", {"url": url}, batch=plan.batch)
        await is_answered.wait()
        raise error

    monkeypatch.setattr(submit, "submit_plan", failing)
    monkeypatch.setattr(submit, "SUBMIT_S", 0.05)
    monkeypatch.setattr(submit, "OUTAGE_S", 0.0)
    some = browser(app_over(client, log=lines.append))

    async def is_told() -> bool:
        return why in (await some.get("/batches/half")).text

    answer = await some.send("/scan", urls="https://a.example/\nhttps://b.example/", batch="half")
    meanwhile = await some.get("/batches/half")
    is_answered.set()
    await until(is_told, what="the failure on the batch's page")

    assert (answer.status_code, meanwhile.status_code) == (303, 200)
    assert ("Its pages are being submitted" in meanwhile.text) == (not submitted)
    assert why not in meanwhile.text
    (logged,) = [entry for entry in map(json.loads, lines) if entry["event"] == "web.submission_failed"]
    assert logged["batch"] == "half"
    assert why in logged["error"]

    monkeypatch.setattr(submit, "submit_plan", submit_plan)
    await some.send("/scan", urls="https://a.example/\nhttps://b.example/", batch="half")

    assert not await is_told()


async def test_who_watches_a_batch_sees_that_its_submission_fails(client: Client) -> None:
    await client.submit("scan", {"url": "https://a.example/"}, batch="half")
    desk = desk_over(app_over(client))
    watching = desk.live.stream("half")
    await anext(watching)
    await anext(watching)

    desk.note_failure("half", "the queue is full")

    async with asyncio.timeout(60):
        assert b"the queue is full" in await anext(watching)
    await watching.aclose()
    await desk.live.close()


async def test_a_batch_name_that_takes_no_more_pages_is_refused(client: Client) -> None:
    some = browser(app_over(client))
    await some.send("/scan", urls="https://a.example/", batch="done")
    await some.send("/scan", sitemaps="https://a.example/", batch="map")

    answers = [
        await some.send("/scan", **{field: "https://b.example/"}, batch=name)
        for field in ("urls", "sitemaps")
        for name in ("done", "map")
    ]

    assert [answer.status_code for answer in answers] == [400] * 4
    assert all("takes no more pages: choose another batch name" in answer.text for answer in answers)
    assert (await client.queue()).lanes["batch"].queued == 2


async def test_an_address_line_reveals_no_file_of_this_machine(client: Client, tmp_path: Path) -> None:
    there, not_there = tmp_path / "there.txt", tmp_path / "gone!.txt"
    there.write_text("https://a.example/")
    some = browser(app_over(client))

    answers = [await some.send("/scan", urls=str(path)) for path in (there, not_there)]

    assert {answer.status_code for answer in answers} == {400}
    first, second = (
        answer.text.replace(path.name, "") for answer, path in zip(answers, (there, not_there), strict=True)
    )
    assert first == second
