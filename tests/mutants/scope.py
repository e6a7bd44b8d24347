"""The files for random mutants, the tests that must catch them, and the draw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import redis

from tests.mutants.line_change import LineChange
from tests.mutants.lua_changes import compiles, lua_changes
from tests.mutants.python_changes import is_valid_python, python_changes


@dataclass(frozen=True, slots=True)
class Room:
    """A package: its ``folders``, and the ``tests`` that must catch its mutants."""

    name: str
    folders: tuple[str, ...]
    tests: tuple[str, ...]


ROOMS: Final = (
    Room(
        "queue",
        ("worker/queue", "producer/client/lua", "producer/redis/lua"),
        (
            "tests/unit/queue",
            "tests/redis/queue",
            "tests/redis/agent/test_components.py",
            "tests/redis/agent/test_component_history.py",
            "tests/crash",
        ),
    ),
    Room(
        "limits",
        ("worker/limits",),
        (
            "tests/redis/limits",
            "tests/redis/test_politeness.py",
            "tests/redis/test_shared_leases.py",
            "tests/redis/memory/test_threads.py",
            "tests/redis/agent/test_query_turns.py",
        ),
    ),
    Room("gpu", ("worker/gpu",), ("tests/redis/gpu", "tests/crash/test_gpu_processes.py")),
)


def room_of(change: LineChange) -> Room:
    """Return the room of the file."""
    return next(room for room in ROOMS if change.path.startswith(tuple(f"{folder}/" for folder in room.folders)))


def files_with_tests(root: Path, rooms: Iterable[Room]) -> list[str]:
    """Return the test files of the rooms, each once."""
    places = {place for room in rooms for place in room.tests if (root / place).exists()}
    found = {
        file.relative_to(root).as_posix()
        for place in places
        for file in ((root / place).rglob("test_*.py") if (root / place).is_dir() else [root / place])
    }
    return sorted(found)


def all_changes(root: Path, rooms: tuple[Room, ...] = ROOMS) -> list[LineChange]:
    """Return every line mutant of the rooms, by path and line."""
    changes: list[LineChange] = []
    for folder in sorted(folder for room in rooms for folder in room.folders):
        for file in sorted((root / folder).rglob("*")):
            path = file.relative_to(root).as_posix()
            if file.suffix == ".py":
                changes += python_changes(path, file.read_text("utf-8"))
            elif file.suffix == ".lua":
                changes += lua_changes(path, file.read_text("utf-8"))
    return changes


def is_valid(root: Path, change: LineChange, client: redis.Redis) -> bool:
    """Return whether Python, or Redis, compiles the changed file."""
    if change.path.endswith(".py"):
        return is_valid_python(change.changed((root / change.path).read_text("utf-8")))
    return compiles(root, change, client)


def draw(root: Path, count: int, seed: int, client: redis.Redis, rooms: tuple[Room, ...] = ROOMS) -> list[LineChange]:
    """Return ``count`` mutants, each of another line; every line is as likely as any other. One seed, one draw."""
    of_line: dict[tuple[str, int], list[LineChange]] = defaultdict(list)
    for change in all_changes(root, rooms):
        of_line[change.path, change.line].append(change)
    random = Random(seed)  # noqa: S311  no secret
    lines = sorted(of_line)
    random.shuffle(lines)
    drawn: list[LineChange] = []
    for line in lines:
        if len(drawn) == count:
            break
        change = random.choice(of_line[line])
        if is_valid(root, change, client):
            drawn.append(change)
    return drawn
