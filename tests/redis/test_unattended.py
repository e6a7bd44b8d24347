"""A waiting command reports that no worker runs its jobs."""

from __future__ import annotations

from typing import Any

import pytest

from producer.cli import connect
from producer.cli.connect import warning_without_worker
from producer.client.client import Client
from producer.client.queue_info import QueueInfo
from producer.keys import Keys
from tests.support.queue import running_worker, until
from worker.queue.worker import func


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "PATIENCE_S", 0.05)


async def brief(ctx: dict[Any, Any]) -> int:
    return ctx["job_try"]


async def test_a_waiter_without_a_worker_gets_one_hint(
    client: Client, keys: Keys, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []

    async with warning_without_worker(client):
        await until(lambda: bool(said.append(capsys.readouterr().err) or "".join(said)), what="a line on stderr")

    assert f"no worker is alive in environment {keys.environment!r}" in "".join(said)
    assert "sightline worker" in "".join(said)


async def test_a_waiter_gets_no_hint_while_a_worker_lives(
    client: Client, redis_url: str, keys: Keys, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_worker(redis_url, keys, [func(brief, name="brief")]):
        await until(lambda: has_workers(client), what="a worker that is heard of")
        looks = counted_looks(client, monkeypatch)
        async with warning_without_worker(client):
            await until(lambda: bool(looks), what="a look for workers")

    assert capsys.readouterr().err == ""


async def has_workers(client: Client) -> bool:
    return bool((await client.queue()).workers)


def counted_looks(client: Client, monkeypatch: pytest.MonkeyPatch) -> list[QueueInfo]:
    """Collect the queue states that the client gets."""
    looks: list[QueueInfo] = []
    ask = client.queue

    async def told() -> QueueInfo:
        looks.append(await ask())
        return looks[-1]

    monkeypatch.setattr(client, "queue", told)
    return looks
