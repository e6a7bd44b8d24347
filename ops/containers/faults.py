"""Rows about faults: kills during work, ``down`` and ``up``, no network, bad input."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Final

from contact import PAGE, QUESTION, UP_S, ask, expect, start
from engine import CommandFailed
from fleet import Fleet, until

PAGES: Final = 30
END_S: Final = 600.0
CONVERSATION: Final = """
import json, urllib.request
calls = json.load(urllib.request.urlopen("http://127.0.0.1:11434/stub/journal"))
chats = [json.dumps(call["body"]["messages"]) for call in calls if call["path"] == "/api/chat"]
print(chats[-1].count("worst barriers?"))
"""
"""How often the question is in the model's last prompt: once now, and once for each earlier time."""


def submit(fleet: Fleet, batch: str, pages: int = PAGES) -> None:
    """Queue pages as the user ``producer``, who may do nothing else."""
    urls = "\n".join(f"{PAGE}?{batch}{number}" for number in range(pages))
    fleet.client("scan", "--file", "-", "--batch", batch, "--no-assess", stdin=urls)


def status(fleet: Fleet, batch: str) -> dict[str, Any]:
    """Return the state of a batch, as the producer sees it."""
    return json.loads(fleet.client("status", batch, "--json"))


def until_done(fleet: Fleet, batch: str, count: int) -> float:
    """Wait until that many of a batch's jobs have ended."""
    return until(lambda: status(fleet, batch)["done"] >= count, END_S)


def expect_whole(fleet: Fleet, batch: str, pages: int = PAGES) -> None:
    """Expect every page of a batch to be scanned, with a stored result."""
    found = status(fleet, batch)
    expect((found["total"], found["pages"]["scanned"], found["dead"]) == (pages, pages, 0), f"of {pages}: {found}")


def kills(fleet: Fleet) -> str:
    """SIGKILL a worker, restart Redis and SIGKILL Redis in the middle of a batch: every page is scanned."""
    submit(fleet, "kills")
    until_done(fleet, "kills", 3)
    fleet.kill("worker")
    until_done(fleet, "kills", 8)
    fleet.compose("restart", "redis")
    until_done(fleet, "kills", 14)
    fleet.kill("redis")
    until_done(fleet, "kills", PAGES)
    until(fleet.is_up, UP_S)
    expect_whole(fleet, "kills")
    return f"{PAGES} of {PAGES} pages"


def down_up(fleet: Fleet) -> str:
    """Take the set down and start it again: results, history and conversation are still there."""
    before = history(fleet)
    fleet.compose("down")
    took_s = start(fleet)
    expect_kept(fleet, before)
    return f"healthy after {took_s:.0f} s, {PAGES} of {PAGES} results, {before} records, conversation goes on"


def history(fleet: Fleet) -> int:
    """Return the number of records in the history."""
    return len(fleet.sightline("history", "list", "--limit", "1000", "--json").splitlines())


def expect_kept(fleet: Fleet, records: int) -> None:
    """Expect the batch of ``kills``, at least that many records, and the conversation."""
    expect_whole(fleet, "kills")
    found = history(fleet)
    expect(found >= records, f"the history has {found} records: expected {records}")  # more: work went on
    ask(fleet)
    asked = int(fleet.compose("exec", "-T", "ollama", "python3", "-c", CONVERSATION))
    expect(asked > 1, f"the conversation begins again: {QUESTION!r} is {asked} times in the model's prompt")


def offline(fleet: Fleet) -> str:
    """Start the set with every pull refused; models and images are present."""
    fleet.compose("exec", "-T", "ollama", "touch", "/models/offline")
    fleet.compose("down")
    return f"healthy after {start(fleet, '--pull', 'never'):.0f} s"


def typo(fleet: Fleet) -> str:
    """Request a missing model: `up` fails and names it."""
    try:
        fleet.compose("up", "--detach", given={"CHAT_MODEL": "qwen3.5:4bb"})
    except CommandFailed:
        said = fleet.compose("logs", "--no-log-prefix", "models", given={"CHAT_MODEL": "qwen3.5:4bb"})
        expect("qwen3.5:4bb can be neither found nor pulled" in said, f"it says: {said[-300:]}")
        return "`up` fails, and the log of `models` names it"
    finally:
        start(fleet)
    raise CommandFailed("`up` went on with a model that is not there")


def beside(fleet: Fleet) -> str:
    """Start a second set beside the first, without an Ollama, and fill its disk: the first is not affected."""
    files = (*fleet.files, "ops/compose.builtin.yml", "ops/containers/compose.small.yml")
    other = dataclasses.replace(fleet, project=f"{fleet.project}-beside", files=files, first_port=31000)
    try:
        took_s = start(other)
        other.sightline("scan", PAGE, "--batch", "beside", "--wait", "--fail-on", "never")
        said = _with_full_disk(other)
        other.client("scan", f"{PAGE}?room", "--batch", "room", "--no-assess")
        until_done(other, "room", 1)
    finally:
        other.end()
    expect(fleet.is_up(), f"the first set: {fleet.states()}")
    return f"healthy after {took_s:.0f} s with the built-in model; with a full disk: {said!r}; goes on with room"


def _with_full_disk(fleet: Fleet) -> str:
    """Return the error of a submit while Redis' disk is full."""
    fill = ["sh", "-c", "head -c 64m /dev/zero >/data/fill 2>/dev/null; redis-cli ping >/dev/null"]
    fleet.compose("exec", "-T", "redis", *fill)
    try:
        until(lambda: _is_refused(fleet), 60)
        try:
            submit(fleet, "full", 1)
        except CommandFailed as error:
            return str(error).rpartition(": ")[2]
        raise CommandFailed("a submit is acknowledged with a full disk")
    finally:
        fleet.compose("exec", "-T", "redis", "rm", "/data/fill")


def _is_refused(fleet: Fleet) -> bool:
    """Return whether Redis refuses writes; it notices a full disk at its next write."""
    return "MISCONF" in fleet.redis("SET", "sightline:dev:probe", "1")


ROWS: Final = {"kills": kills, "down-up": down_up}
BAD_INPUT: Final = {"offline": offline, "typo": typo, "beside": beside}
