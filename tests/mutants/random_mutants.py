"""Judges random line mutants of the queue, its Lua, the limits and the GPU pool: ``make mutants RANDOM=20 SEED=1``.

Each job has a copy of the tree as it is. The tests of each room are first run there unchanged: they must pass, and
``SLOWER`` times their time plus a minute is the limit of a mutant of that room. Past it, the mutant is caught.
"""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import redis
from rich.console import Console
from rich.table import Table

from tests.mutants.line_change import LineChange
from tests.mutants.scope import ROOMS, Room, draw, files_to_run, room_of
from worker.own_redis.server import EmbeddedRedis

ROOT: Final = Path(__file__).resolve().parents[2]
SLOWER: Final = 3
BASELINE_LIMIT_S: Final = 1_800.0
TEST_LIMIT_S: Final = 60
FAILED: Final = 1
SURVIVED: Final = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """A mutant, the test that caught it (or ``SURVIVED``), and the time that took."""

    change: LineChange
    caught_by: str
    took_s: float


class TestsBroken(Exception):
    """The tests fail, or do not run, on the tree as it is: they could say nothing about a mutant."""


def copy_tree(folder: Path) -> None:
    """Copy the tree as it is, without what git ignores."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.split(b"\0")
    there = [name for name in names if name and (ROOT / os.fsdecode(name)).is_file()]
    packed = subprocess.run(
        ["tar", "-c", "--null", "-T", "-"], cwd=ROOT, input=b"\0".join(there), check=True, capture_output=True
    )
    subprocess.run(["tar", "-x"], cwd=folder, input=packed.stdout, check=True)


def run_tests(folder: Path, files: list[str], limit_s: float) -> str:
    """Return the first test that failed, or ``SURVIVED``. Past ``limit_s`` the run itself counts as the failure."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--tb=no"]
    command += [f"--timeout={TEST_LIMIT_S}", *files]
    # No bytecode: a mutant of the same length, written in the same second, would be taken for the file before.
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "CI": "true"}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        output, _ = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        return f"time limit of {limit_s:.0f} s"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode == 0:
        return SURVIVED
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
    return failed[1] if failed else f"pytest ended with {process.returncode}: {output[-200:]!r}"


def baseline(folder: Path, room: Room) -> dict[tuple[str, ...], float]:
    """Return the time limits of the room's two stages. Raises ``TestsBroken`` where a test fails without a mutant."""
    limits: dict[tuple[str, ...], float] = {}
    for places in (room.tests, room.later):
        began = time.monotonic()
        if failed := run_tests(folder, files_to_run(folder, places), BASELINE_LIMIT_S):
            msg = f"room {room.name!r}: fails without a mutant: {failed}; make it pass, then run this again"
            raise TestsBroken(msg)
        limits[places] = SLOWER * (time.monotonic() - began) + 60
    return limits


def judge(folder: Path, change: LineChange, limits: dict[tuple[str, ...], float]) -> Judged:
    """Run the nearest tests on the mutant, then the later ones if it survives; the folder is as before afterwards."""
    room = room_of(change)
    name = Path(change.path).stem.removeprefix("_")
    began = time.monotonic()
    caught_by = SURVIVED
    change.write(folder)
    try:
        for places in (room.tests, room.later):
            caught_by = caught_by or run_tests(folder, files_to_run(folder, places, name), limits[places])
    finally:
        change.undo(folder)
    return Judged(change, caught_by, time.monotonic() - began)


def judge_all(changes: list[LineChange], jobs: int) -> list[Judged]:
    """Judge the mutants, ``jobs`` at a time, each in a copy; prints each verdict as it comes."""
    with ExitStack() as stack:
        folders: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for _ in range(jobs):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sightline-mutant-")))
            copy_tree(folder)
            folders.put(folder)
        first = folders.get()
        limits: dict[tuple[str, ...], float] = {}
        for room in ROOMS:
            if any(room_of(change) == room for change in changes):
                limits |= baseline(first, room)
        folders.put(first)

        def judge_one(change: LineChange) -> Judged:
            folder = folders.get()
            try:
                judged = judge(folder, change, limits)
            finally:
                folders.put(folder)
            print(f"{change.path}:{change.line}: {judged.caught_by or 'SURVIVED'}", flush=True)  # noqa: T201  a program
            return judged

        with ThreadPoolExecutor(jobs) as pool:
            return list(pool.map(judge_one, changes))


def run_random(*, count: int, seed: int, jobs: int, survivors: Path, rooms: tuple[Room, ...] = ROOMS) -> int:
    """Draw, judge, print the table and write ``survivors``. Returns 1 when the tests fail without a mutant."""
    print(f"{count} random mutants, SEED={seed}", flush=True)  # noqa: T201  a program
    with tempfile.TemporaryDirectory(prefix="sightline-mutant-") as name:
        server = EmbeddedRedis(Path(name), die_with_parent=True).start()
        with redis.Redis.from_url(server.url) as client:
            changes = draw(ROOT, count, seed, client, rooms)
        server.stop()
    try:
        judged = judge_all(changes, jobs)
    except TestsBroken as error:
        print(f"mutants: {error}", file=sys.stderr)  # noqa: T201  a program
        return 1
    table = Table("id", "line", "before → after", "caught by", "s")
    for number, one in enumerate(judged, 1):
        change = f"{one.change.before.strip()}\n→ {one.change.after.strip()}"
        by = one.caught_by.rpartition("::")[2] or "SURVIVED"
        table.add_row(f"{seed}-{number}", f"{one.change.path}:{one.change.line}", change, by, f"{one.took_s:.0f}")
    Console(highlight=False, markup=False, width=180).print(table)
    lived = [(number, one.change) for number, one in enumerate(judged, 1) if one.caught_by == SURVIVED]
    survivors.parent.mkdir(parents=True, exist_ok=True)
    survivors.write_text("".join(_row(f"{seed}-{number}", change) for number, change in lived), "utf-8")
    caught = len(judged) - len(lived)
    share = 100 * caught / max(1, len(judged))
    print(f"SEED={seed}: {caught} of {len(judged)} caught ({share:.0f} %); survivors: {survivors}")  # noqa: T201
    return 0


def _row(name: str, change: LineChange) -> str:
    """Return the row of the README's table, its judgement to be filled in."""
    before, after = (line.strip().replace("|", "\\|") for line in (change.before, change.after))
    return f"| {name} | {change.path}:{change.line} | `{before}` → `{after}` | |\n"
