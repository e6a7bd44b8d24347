"""The modules that commands have imported after their work with a real Redis, since start-up dominates their time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable

import pytest

from producer.keys import Keys
from tests.support.scan_worker import ROOT, environment_for

RUN = """
import os, sys
from producer.cli.main import run
for words in sys.argv[1:]:
    if pid := os.fork():
        assert os.waitpid(pid, 0)[1] == 0, words
        continue
    code = run(words.split())
    print(code, *sys.modules, file=sys.stderr, flush=True)
    os._exit(0)
"""
PLAIN = {"terms", "payloads", "distribution", "nearest", "page_counts", "variables"}
CHOICES = {"checks", "doubts", "rules", "selectors", "states"}
"""What options of pages may be, for the help of commands that have them: data without pydantic."""
REPORTS = {f"producer.reports.{name}" for name in ("table", "html", "junit", "sarif", "markdown", "csv")}


def loaded_by(url: str, keys: Keys, *commands: str) -> list[tuple[int, set[str]]]:
    """Run each command, forked from one start; return its exit code and every module that it loaded."""
    script = [sys.executable, "-c", RUN, *commands]
    done = subprocess.run(
        script, cwd=ROOT, env=environment_for(url, keys), capture_output=True, text=True, check=True, timeout=100
    )
    ends = [line.split() for line in done.stderr.splitlines() if " producer.cli.main " in line]
    assert len(ends) == len(commands), done.stderr
    return [(int(code), set(modules)) for code, *modules in ends]


@pytest.fixture(scope="module")
def floor() -> set[str]:
    """Packages that come with the two which every command stands on."""
    script = "import click, redis.asyncio, hiredis, sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return packages(done.stdout.split())


def packages(modules: Iterable[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules} - sys.stdlib_module_names


def own(modules: set[str]) -> int:
    """Return the number of Sightline's modules: each takes a command about 0.5 ms, and a dataclass 1 ms more."""
    return sum(name.partition(".")[0] == "producer" for name in modules)


def parts_of_the_contract(modules: set[str]) -> set[str]:
    return {name.rpartition(".")[2] for name in modules if name.startswith("producer.contract.")}


LOOKS = {
    "status": (0, 43),
    "status nobody": (64, 42),
    "top --once --json": (0, 48),
    "result nobody --json": (64, 46),
    "cancel nobody": (64, 43),
    "dead list": (0, 44),
    "waive --list": (0, 44),
    "schedule list": (0, 63),
    "usage": (0, 50),
}
"""Commands that only look, with their exit codes and the number of Sightline's modules that they may load."""
SHOW_ADDRESSES = {"top --once --json", "schedule list", "usage"}
SUBMITTING = 71
"""As above, for a scan that is submitted."""


def test_commands_that_only_read_load_just_click_and_redis(redis_url: str, keys: Keys, floor: set[str]) -> None:
    for (command, expected), (ended, modules) in zip(LOOKS.items(), loaded_by(redis_url, keys, *LOOKS), strict=True):
        addresses = {"addresses"} if command in SHOW_ADDRESSES else set[str]()
        assert ended == expected[0], command
        assert packages(modules) - floor == {"producer"}, command
        assert not {name for name in modules if name.startswith("producer.reports.")} & REPORTS, command
        assert parts_of_the_contract(modules) - {"waiver", "decision"} - CHOICES == PLAIN | addresses, command
        assert own(modules) <= expected[1], command
        assert "difflib" not in modules, command


def test_commands_that_only_submit_load_just_the_models_of_requests(redis_url: str, keys: Keys) -> None:
    [(code, modules)] = loaded_by(redis_url, keys, "scan https://shop.example/ --json")

    assert code == 0
    of_requests = {"appearance", "certificates", "hosts", "message", "requests", "step_selectors", "steps"}
    assert parts_of_the_contract(modules) == (PLAIN | CHOICES | of_requests | {"addresses"}) - {"page_counts"}
    assert own(modules) <= SUBMITTING
    for_results = {
        "producer.cli.scan.wait",
        "producer.cli.scan.gate",
        "producer.reports.page",
        "producer.client.queue_view",
    }
    assert not {"rich", "tomllib", "difflib", "producer.cli.report_extras", *for_results} & modules
