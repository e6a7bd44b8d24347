"""A program forked from a warm process looks like one started directly."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.support.command_line import SIGHTLINE
from tests.support.warm_start import ROOT, WarmPopen, may_be_warm, start_module

ENVIRONMENT = {"PATH": os.environ["PATH"], "REDIS_URL": "redis://127.0.0.1:1"}
PIPES: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)


def cold(module: str, *words: str, **options: Any) -> subprocess.Popen[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLD_STARTS", "1")
        return start_module(module, *words, **options)


@pytest.mark.parametrize("words", [["--version"], ["scan", "--file", "-", "--wait"], ["nonsense"]])
def test_a_warm_process_prints_and_exits_as_a_started_one_does(words: list[str]) -> None:
    ended: list[tuple[int, str, str]] = []
    kinds: list[type] = []
    starts: list[Callable[..., subprocess.Popen[Any]]] = [cold, start_module]
    for start in starts:
        with start(SIGHTLINE, *words, environment=ENVIRONMENT, text=True, **PIPES) as process:
            out, err = process.communicate("not an address\n", timeout=60)
            ended.append((process.returncode, out, err))
            kinds.append(type(process))

    assert kinds == [subprocess.Popen, WarmPopen]
    assert ended[0] == ended[1]
    assert any(ended[0][1:])


def test_a_warm_process_has_its_own_descriptors_and_ends_by_signals() -> None:
    program = partial(start_module, SIGHTLINE, "scan", "--file", "-", environment=ENVIRONMENT, **PIPES)
    with program() as first, program() as second:
        with pytest.raises(subprocess.TimeoutExpired):
            first.wait(0.01)
        first.send_signal(signal.SIGTERM)

        assert first.wait(60) == first.poll() == -signal.SIGTERM
        assert second.poll() is None, "it reads its own standard input"
        second.kill()
        assert second.wait(60) == -signal.SIGKILL


def test_a_command_with_another_environment_or_folder_is_started_cold() -> None:
    assert may_be_warm("worker", ENVIRONMENT, ROOT)
    assert not may_be_warm("worker", {**ENVIRONMENT, "PYTHONUTF8": "0"}, ROOT)
    assert not may_be_warm("worker", {**ENVIRONMENT, "LC_ALL": "C"}, ROOT)
    assert not may_be_warm("worker", ENVIRONMENT, ROOT.parent)
    assert not may_be_warm("ops.demo.run", ENVIRONMENT, ROOT)
