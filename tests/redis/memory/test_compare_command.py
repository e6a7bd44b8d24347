"""``sightline compare`` for people, on recorded scans and without a worker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from redis.asyncio import Redis

import worker.telemetry
from producer.errors import InputError
from producer.keys import Keys
from tests.support.recorded_shop import T1, T2, Shop, component
from worker.cli.compare import compare
from worker.memory.history.history import History
from worker.memory.vectors.embeddings import Embeddings
from worker.models.builtin.models import BuiltinEmbedder

Compare = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, redis_url: str, keys: Keys) -> Compare:
    """One component mended, one new on three pages; a fourth could not be read the second time."""

    async def seed() -> None:
        async with Redis.from_url(redis_url, protocol=2) as redis:
            history = History(Embeddings(redis, keys, BuiltinEmbedder()))
            await history.ensure_index()
            shop = Shop(redis, keys, history)
            await shop.named("a", "Header › logo", impact="serious")
            for number in range(3):
                await shop.scan(f"/{number}", component("b"), at=T1)
                await shop.scan(f"/{number}", component("a"), at=T2)
            await shop.period("nightly-1", T1, T1)
            await shop.period("nightly-2", T2, T2)

    asyncio.run(seed())
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("ENVIRONMENT", keys.environment)
    # It is configured once a process: to the stderr of this test, for all tests that follow.
    monkeypatch.setattr(worker.telemetry, "configure_logging", lambda **_: None)  # pyright: ignore[reportUnknownLambdaType]

    def call(*arguments: str) -> int:
        result: Any = compare.main(list(arguments), standalone_mode=False)
        return result

    return call


def test_two_batches_are_compared_in_a_pipe_as_json(run: Compare, capsys: pytest.CaptureFixture[str]):
    code = run("nightly-1", "nightly-2")

    found = json.loads(capsys.readouterr().out)
    assert code == 0
    assert [(one["change"], one["name"], len(one["gained"])) for one in found["changes"]] == [
        ("new", "Header › logo", 3),
        ("mended", "a component that fails image-alt", 0),
    ]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("nightly-1", "nightly-2", "--fail-on", "serious"), 1),
        (("nightly-1", "nightly-2", "--fail-on", "critical"), 0),
        (("nightly-2", "nightly-2", "--fail-on", "minor"), 0),
        (("nightly-1", "now", "--fail-on", "never"), 0),
    ],
)
@pytest.mark.usefixtures("capsys")
def test_what_is_new_fails_from_its_impact_on(run: Compare, arguments: tuple[str, ...], code: int):
    assert run(*arguments) == code


def test_several_formats_go_to_files(run: Compare, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run("nightly-1", "nightly-2", "--format", f"html={tmp_path / 'a.html'}", "--format", f"csv={tmp_path / 'a.csv'}")

    assert "worse and better: 1 new, 0 moved, 1 fixed" in capsys.readouterr().err
    assert "Header › logo" in (tmp_path / "a.html").read_text("utf-8")
    assert (tmp_path / "a.csv").read_text("utf-8-sig").startswith("change,impact,rule")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nightly-1", "nightly-9"), "'nightly-9' is neither a batch, nor a pipeline run"),
        (("1970-01-01", "now"), "no page is known both at 1970-01-01 00:00 UTC"),
        (("nightly-1", "nightly-2", "--site", "blog.example"), "no page of 'blog.example' is known"),
        (("nightly-1", "nightly-2", "--format", "sarif"), "'sarif' is not available for a comparison"),
    ],
)
def test_a_side_that_is_not_there_is_named(run: Compare, arguments: tuple[str, ...], said: str):
    with pytest.raises((InputError, click.ClickException), match=said):
        run(*arguments)
