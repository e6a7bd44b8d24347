"""What the form of ``sightline web`` submits: whole, however slow, and without a look at this machine's files."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from producer.client.client import Client
from producer.errors import RedisUnreachable
from producer.web import submit
from tests.support.queue import until
from tests.support.web_pages import app_over, browser


async def test_a_submission_that_takes_longer_than_its_request_is_a_whole_batch(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted = submit.submit_plan

    async def slowly(*given: Any, **named: Any) -> None:
        await asyncio.sleep(0.5)
        await submitted(*given, **named)

    monkeypatch.setattr(submit, "submit_plan", slowly)
    monkeypatch.setattr(submit, "SUBMIT_S", 0.05, raising=False)
    monkeypatch.setattr("producer.web.desk.PATIENCE_S", 0.2)

    answer = await browser(app_over(client)).send("/scan", urls="https://a.example/\nhttps://b.example/", batch="slow")
    sealed: Any = client.keys.batch("slow"), "sealed"
    await until(lambda: client.redis.hget(*sealed), what="the whole batch")

    assert answer.status_code == 303
    assert (await client.batch("slow")).total == 2


async def test_a_submission_goes_on_after_an_outage_that_follows_its_answer(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted, failures = submit.submit_plan, iter((True, True, False))

    async def failing(*given: Any, **named: Any) -> None:
        await asyncio.sleep(0.2)
        if next(failures):
            raise RedisUnreachable("gone for a moment")
        await submitted(*given, **named)

    monkeypatch.setattr(submit, "submit_plan", failing)
    monkeypatch.setattr(submit, "SUBMIT_S", 0.05)
    monkeypatch.setattr(submit, "AGAIN_S", 0.01)

    answer = await browser(app_over(client)).send("/scan", urls="https://a.example/\nhttps://b.example/", batch="slow")
    sealed: Any = client.keys.batch("slow"), "sealed"
    await until(lambda: client.redis.hget(*sealed), what="the whole batch")

    assert answer.status_code == 303
    assert (await client.batch("slow")).total == 2


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
