"""Commands of a worker need its packages when they run, and none of them to show their help."""

from __future__ import annotations

import pytest

from producer.cli import main
from producer.cli.drain import named
from producer.contract import IMPACTS
from tests.support.helps import helps_of
from worker.cli import history


def test_the_help_loads_click_and_nothing_else() -> None:
    unwanted = {"redis", "pydantic", "rich", "asyncio", "numpy", "redisvl", "structlog"}
    commands = [*([name] for name in main._WORKER_COMMANDS), ["history", "prune"]]

    ended = dict(helps_of(commands))

    assert {command: one.packages & unwanted for command, one in ended.items()} == {
        command: set[str]() for command in ended
    }
    assert [one.said.startswith(f"Usage: sightline {command}") for command, one in ended.items()] == [True] * len(
        commands
    )


def test_choices_of_impact_are_those_of_the_contract() -> None:
    assert tuple(impact.value for impact in IMPACTS) == history.IMPACTS


@pytest.mark.parametrize(("text", "found"), [("gpu-1", "gpu-1-4711"), ("gpu", ""), ("", ""), ("gpu-2", "gpu-2")])
def test_a_worker_is_named_by_the_only_name_that_begins_so(text: str, found: str) -> None:
    assert named(text, ["gpu-1-4711", "gpu-2", "gpu-2-12"]) == found


def test_an_empty_name_means_no_worker() -> None:
    assert named("", ["the-only-one"]) == ""
