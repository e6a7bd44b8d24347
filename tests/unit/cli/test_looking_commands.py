"""Commands of a worker need its packages when they run, and none of them to show their help."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from producer.cli import main
from producer.contract import IMPACTS
from worker.cli import history


@pytest.mark.parametrize("arguments", [*([name] for name in main._WORKER_COMMANDS), ["history", "prune"]])
def test_the_help_loads_click_and_nothing_else(arguments: list[str]) -> None:
    script = (
        f"import sys, json\nfrom producer.cli.main import run\nassert run({[*arguments, '--help']!r}) == 0\n"
        "print(json.dumps([name.partition('.')[0] for name in sys.modules]))"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    *shown, loaded = done.stdout.splitlines()
    assert not set(json.loads(loaded)) & {"redis", "pydantic", "rich", "asyncio", "numpy", "redisvl", "structlog"}
    assert shown[0].startswith(f"Usage: sightline {arguments[0]}")


def test_choices_of_impact_are_those_of_the_contract() -> None:
    assert tuple(impact.value for impact in IMPACTS) == history.IMPACTS
