"""No command waits endlessly for a frozen Redis: each names the server and what may have taken effect."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path
from types import FrameType
from typing import Final

import pytest

import worker.telemetry
from producer.cli import connect, main
from producer.cli.scan import wait
from producer.client import event_stream
from producer.redis import raw_connection, script_pipe
from tests.support.redis_server import start_or_skip
from worker.backup import folder as folders
from worker.cli import backup, up
from worker.doctor import examination
from worker.own_redis.server import EmbeddedRedis

DEADLINE_S: Final = 60.0
SILENCE_S: Final = 0.2
PAGE: Final = "https://shop.example/"
REVIEWED: Final = f"{'a' * 16}-{'b' * 8}"
READ: Final = "did not reply"
"""The message if nothing can have taken effect."""
WITHOUT_REDIS: Final = {"comment", "config", "web"}
"""``web`` starts without one: its pages say that Redis does not answer, and recover."""
CALLS: Final[list[tuple[list[str], str]]] = [
    (["arq", "drain", "--trust-pickle"], "may have taken effect"),
    (["ask", "why?"], "may have been added"),
    (["ask", "why?", "--wait", "--timeout", "0.1"], "may have been added"),
    (["backup", "DIR/new"], READ),
    (["batch", "close", "night"], "may be sealed"),
    (["cancel", "one"], READ),
    (["compare", "nightly-1", "nightly-2"], READ),
    (["dead", "list"], READ),
    (["dead", "show", "one"], READ),
    (["dead", "replay", "one"], READ),
    (["dead", "replay", "--all"], READ),
    (["dead", "drop", "one"], READ),
    (["doctor"], READ),
    (["doctor", "--cache"], READ),
    (["eval"], READ),
    (["history"], READ),
    (["history", "--search", "forms"], READ),
    (["history", "--trend", "--since", "yesterday"], READ),
    (["history", "prune", "--older-than", "1 year"], "may have been deleted"),
    (["issues", "sync", "--site", "shop.example", "--to", "json", "-o", "DIR/issues.json"], READ),
    (["limits", "clear", "shop.example"], "may have been changed"),
    (["limits", "set", "shop.example", "--slots", "2"], "may have been changed"),
    (["limits", "show"], READ),
    (["pause", "lane", "batch"], "may have been changed"),
    (["resume", "lane", "batch"], "may have been changed"),
    (["drain", "worker-1"], READ),
    (["workers"], READ),
    (["reindex", "--to", "builtin"], "run it again to continue"),
    (["restore", "DIR/made"], "may have been loaded"),
    (["result", "one"], READ),
    (["result", "one", "--wait", "--timeout", "0.1"], "may have ended"),
    (["review", "--list"], READ),
    (["review", REVIEWED, "barrier", "--reason", "too light"], "may have been added"),
    (["review", "--remove", REVIEWED], "may have been removed"),
    (["scan", PAGE], "may have been added"),
    (["scan", PAGE, "--wait"], READ),
    (["scan", PAGE, "--timeout", "0.1"], READ),
    (["scan", PAGE, "--batch", "night"], READ),
    (["schedule", "add", "nightly", "0 3 * * *", PAGE], "may have been added"),
    (["schedule", "list"], READ),
    (["schedule", "remove", "nightly"], "may have been removed"),
    (["schedule", "report", "nightly"], READ),
    (["status"], READ),
    (["status", "one"], READ),
    (["top", "--once"], READ),
    (["top"], READ),
    (["up"], "nothing answers"),
    (["usage"], READ),
    (["waive", "--list"], READ),
    (["waive", "a" * 24, "--reason", "a new shop"], "may have been added"),
    (["waive", "--remove", "a" * 24], "may have been removed"),
    (["watch"], READ),
    (["watch", "--since", "0"], READ),
    (["worker", "--check"], READ),
]


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Generator[EmbeddedRedis]:
    server = EmbeddedRedis(tmp_path_factory.mktemp("redis"), die_with_parent=True)
    start_or_skip(server)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    yield server
    server.kill()


@pytest.fixture
def impatient(frozen: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Commands wait for a fifth of a second, and are stopped by a signal if they wait for ever."""
    for module in (raw_connection, script_pipe):
        monkeypatch.setattr(module, "REPLY_S", SILENCE_S)
    monkeypatch.setattr(event_stream, "GRACE_S", SILENCE_S / 4)
    for module in (backup, up):
        monkeypatch.setattr(module, "ANSWER_WITHIN_S", SILENCE_S)
    monkeypatch.setattr(worker.telemetry, "configure_logging", _nothing)
    monkeypatch.setattr(examination, "started_browser_lines", _no_lines)
    for name, value in {"REDIS_URL": frozen.url, "CHAT_MODEL": "builtin", "EMBEDDING_MODEL": "builtin"}.items():
        monkeypatch.setenv(name, value)
    before = signal.signal(signal.SIGALRM, _give_up)
    signal.setitimer(signal.ITIMER_REAL, DEADLINE_S)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


async def _no_lines(*_: object, **__: object) -> list[object]:
    return []


def _nothing(**_: object) -> None:
    """A log is no part of this."""


def _give_up(_: int, __: FrameType | None) -> None:
    pytest.fail(f"the command had not ended after {DEADLINE_S:g} s")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ask", "why?", "--json"], "the question may have been asked: see 'sightline status "),
        (["scan", PAGE, "--json"], "may be queued: see 'sightline status "),
        (["scan", PAGE, "--json", "--batch", "night"], "repeat the command with --batch night --resume"),
        (["schedule", "report", "nightly"], "try again"),
    ],
)
def test_a_wait_ends_in_its_time_and_says_what_may_have_been_queued(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    for module in (raw_connection, script_pipe):
        monkeypatch.setattr(module, "REPLY_S", 2 * DEADLINE_S)
    for module in (connect, wait):
        monkeypatch.setattr(module, "GRACE_S", SILENCE_S)

    code = main.run([*words, "--timeout", "0.1"])

    shown = capsys.readouterr()
    assert code == 3, shown
    assert said in shown.err
    assert '"job_id":""' not in shown.out


def test_every_command_is_called() -> None:
    assert {words[0] for words, _ in CALLS} == {*main._COMMANDS, *main._WORKER_COMMANDS} - WITHOUT_REDIS


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("words", "said"), CALLS, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_a_command_ends_on_a_frozen_redis_and_names_it(
    frozen: EmbeddedRedis, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    made = tmp_path / "made"
    folders.prepare(made)
    size, digest = folders.keep(made, [b"REDIS0011"])
    folders.seal(made, folders.Manifest("2026-11-28", "7.4.1", (), 0, size, digest))

    code = main.run([word.replace("DIR", str(tmp_path)) for word in words])

    shown = "".join(capsys.readouterr())
    assert code == 3, shown
    assert frozen.url in shown
    assert said in shown
    assert "may have" not in shown or said != READ
