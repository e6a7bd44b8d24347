"""Tests random line mutants of the queue, its Lua, the limits and the GPU pool: ``make mutants RANDOM=20 SEED=1``.

The tests of the rooms are first run on the tree as it is, where they must pass; which lines each reaches is recorded
(``recorder.py``) and kept for the next run (``kept_reaches.py``). A mutant then runs only the tests that reach its
line, the fastest first, up to the first failure. A test or a run that takes several times as long as before is also a
failure.
"""

from __future__ import annotations

import compileall
import os
import py_compile
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import redis
from rich.console import Console
from rich.table import Table

from tests.mutants.kept_reaches import keep, kept_reaches
from tests.mutants.line_change import LineChange
from tests.mutants.reach import RECORDS, Reach, read_reaches, select_tests
from tests.mutants.recorder import ending
from tests.mutants.scope import ROOMS, Room, draw, files_with_tests, room_of
from worker.own_redis.server import EmbeddedRedis

ROOT: Final = Path(__file__).resolve().parents[2]
KEPT: Final = ROOT / ".cache" / "mutants-reaches.json.gz"
BASELINE_LIMIT_S: Final = 3_600.0
BASELINE_TEST_LIMIT_S: Final = 300.0
FILES_AT_ONCE: Final = 12
"""Test files recorded by one run of pytest: a run that is killed loses no more."""
MOST_LEFT_OUT: Final = 0.01
"""Share of tests that may fail without a mutant, twice: more say that the tree is broken."""
TIME_LIMIT: Final = "time limit"
SLOWER: Final = 3
"""Factor of the time without a mutant, plus some seconds: a longer run has failed."""
SETTINGS: Final = {
    "CI": "true",
    "PYTHONDONTWRITEBYTECODE": "1",  # a mutant of the same length and second would be taken for the file before
    "COLD_STARTS": "1",  # a program's import of a line is a test's reach of it
    "QUEUE_SEQUENCES": "50",  # of the state machine's random walks: a mutant that they catch is caught early
}
QUICK_S: Final = 2.0
"""Tests up to this duration run before the others, with their own limit: most hangs show there, at little cost."""
STARTING_S: Final = 120
"""Extra time for pytest itself, on a busy machine."""
JUDGING: Final = ("-x", "--timeout-method=thread")
"""By thread, which ends the process at once; a signal would leave a hanging test to its fixtures."""
SURVIVED: Final = ""
UNREACHED: Final = "SURVIVED: no test reaches it"


@dataclass(frozen=True, slots=True)
class Judged:
    """A mutant, the test that caught it (or ``SURVIVED``), the number of tests that reach it, and the time."""

    change: LineChange
    caught_by: str
    reached_by: int
    took_s: float

    @property
    def verdict(self) -> str:
        """The verdict for the table."""
        return self.caught_by or ("SURVIVED" if self.reached_by else UNREACHED)


class SuiteBroken(Exception):
    """The tests fail, or do not run, on the unchanged tree, so they say nothing about a mutant."""


def copy_tree(folder: Path) -> None:
    """Copy the tree, without files that git ignores."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.split(b"\0")
    there = [name for name in names if name and (ROOT / os.fsdecode(name)).is_file()]
    packed = subprocess.run(
        ["tar", "-c", "--null", "-T", "-"], cwd=ROOT, input=b"\0".join(there), check=True, capture_output=True
    )
    subprocess.run(["tar", "-x"], cwd=folder, input=packed.stdout, check=True)


def precompile(folder: Path) -> None:
    """Write bytecode that is checked by its source's digest: pytest starts sooner, and every mutant is read."""
    for package in ("producer", "worker", "tests/support"):
        mode = py_compile.PycInvalidationMode.CHECKED_HASH
        compileall.compile_dir(folder / package, quiet=2, invalidation_mode=mode)


def run_tests(
    folder: Path, tests: Sequence[str], limit_s: float, *, test_limit_s: float, options: Sequence[str] = JUDGING
) -> str:
    """Return the first test that failed, or ``SURVIVED``. Beyond ``limit_s`` the run itself counts as a failure."""
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-p", "no:randomly", "--tb=no"]
    command += [f"--timeout={test_limit_s:.0f}", *options, *tests]
    environment = {**os.environ, **SETTINGS, "PYTHONPATH": str(folder)}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        output, _ = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        return f"{TIME_LIMIT} of {limit_s:.0f} s"
    finally:
        with suppress(ProcessLookupError):  # what the tests have started goes too
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    if process.returncode == 0:
        return SURVIVED
    if failed := re.search(r"^(?:FAILED|ERROR) (tests/.+?)(?: - .*)?$", output, re.MULTILINE):
        return failed[1]
    begun = re.findall(r"^(tests/\S+::\S+)", output, re.MULTILINE)
    if begun and "+ Timeout +" in output:
        return begun[-1] + _too_long(test_limit_s)
    return f"pytest ended with {process.returncode}: {output[-200:]!r}"


def _too_long(limit_s: float) -> str:
    return f" (longer than {limit_s:.0f} s)"


@contextmanager
def recording(folder: Path) -> Generator[None]:
    """Let every program started in the copy inside the block record the lines it reaches."""
    (folder / RECORDS).mkdir()
    package = folder / "producer/__init__.py"
    before = package.read_text("utf-8")
    package.write_text(before + ending(folder), "utf-8")
    try:
        yield
    finally:
        package.write_text(before, "utf-8")
        shutil.rmtree(folder / RECORDS)


def record(folder: Path, files: Sequence[str]) -> list[Reach]:
    """Run the tests on the unchanged files; return the lines each reaches.

    ``is_failed`` are those that fail twice, with and without the recorder. Raises ``SuiteBroken`` if the run does not
    end.
    """
    options = ("-p", "tests.mutants.recorder")
    with recording(folder):
        said = run_tests(folder, files, BASELINE_LIMIT_S, test_limit_s=BASELINE_TEST_LIMIT_S, options=options)
        reaches = read_reaches(folder)
    failed = [reach.test for reach in reaches if reach.is_failed]
    if not reaches or said.startswith(TIME_LIMIT) or (said and not failed):
        msg = f"the tests do not run without a mutant: {said or 'there are none'}"
        raise SuiteBroken(msg)
    again = {
        test: run_tests(folder, [test], BASELINE_LIMIT_S, test_limit_s=BASELINE_TEST_LIMIT_S, options=())
        for test in failed
    }
    return [replace(reach, is_failed=bool(again.get(reach.test))) for reach in reaches]


def passing(reaches: Sequence[Reach]) -> list[Reach]:
    """Return the tests that pass; the others are named and left out.

    Raises ``SuiteBroken`` if these are more than ``MOST_LEFT_OUT``.
    """
    left_out = [reach.test for reach in reaches if reach.is_failed]
    if len(left_out) > MOST_LEFT_OUT * len(reaches):
        msg = f"fails without a mutant: {', '.join(left_out)}; make it pass, then run this again"
        raise SuiteBroken(msg)
    for test in left_out:
        print(f"left out, as it fails without a mutant: {test}", flush=True)  # noqa: T201  a program
    return [reach for reach in reaches if not reach.is_failed]


def judge(folder: Path, change: LineChange, reaches: Sequence[Reach]) -> Judged:
    """Run the tests that reach the mutant, up to the first failure; the folder is restored afterwards."""
    began = time.monotonic()
    wanted = select_tests(folder, change, reaches)
    caught_by = SURVIVED
    change.write(folder)
    try:
        for share in (
            [reach for reach in wanted if reach.took_s <= QUICK_S],
            [reach for reach in wanted if reach.took_s > QUICK_S],
        ):
            caught_by = caught_by or first_caught(folder, share)
    finally:
        change.undo(folder)
    return Judged(change, caught_by, len(wanted), time.monotonic() - began)


def first_caught(folder: Path, share: Sequence[Reach]) -> str:
    """Return the first test of ``share`` that fails, and again alone, or ``SURVIVED``.

    On a busy machine a test fails now and then by chance: that catches no mutant, and the next tests are run.
    """
    left = list(share)
    while left:
        tests, times_s = [reach.test for reach in left], [reach.took_s for reach in left]
        test_limit_s, limit_s = SLOWER * max(times_s) + 15, SLOWER * sum(times_s) + STARTING_S
        failed = run_tests(folder, tests, limit_s, test_limit_s=test_limit_s)
        test = failed.removesuffix(_too_long(test_limit_s))
        if test not in tests or run_tests(folder, [test], limit_s, test_limit_s=test_limit_s):
            return failed
        left = left[tests.index(test) + 1 :]
    return SURVIVED


def judge_all(changes: Mapping[str, LineChange], jobs: int) -> dict[str, Judged]:
    """Test the mutants, ``jobs`` at a time, each in a copy; prints each verdict at once."""
    with ExitStack() as stack:
        original, *folders = (
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sightline-mutant-"))) for _ in range(jobs + 1)
        )
        pool = stack.enter_context(ThreadPoolExecutor(jobs))
        list(pool.map(copy_tree, [original, *folders]))
        list(pool.map(precompile, folders))
        idle: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for folder in folders:
            idle.put(folder)

        def record_some(files: Sequence[str]) -> list[Reach]:
            folder = idle.get()
            try:
                return record(folder, files)
            finally:
                idle.put(folder)

        def judge_one(name: str) -> Judged:
            folder, change = idle.get(), changes[name]
            try:
                judged = judge(folder, change, reaches)
            finally:
                idle.put(folder)
            what = f"{change.before.strip()} → {change.after.strip()}"
            said = f"{name} {change.path}:{change.line}: {what}: {judged.verdict} ({judged.took_s:.0f} s)"
            print(said, flush=True)  # noqa: T201  a program
            return judged

        files = files_with_tests(original, {room_of(change) for change in changes.values()})
        reaches = passing(all_reaches(original, files, partial(pool.map, record_some)))
        return dict(zip(changes, pool.map(judge_one, changes), strict=True))


def all_reaches(
    original: Path, files: Sequence[str], record_each: Callable[[list[list[str]]], Iterable[list[Reach]]]
) -> list[Reach]:
    """Return what each test of ``files`` reaches: as it is kept, or else recorded, and kept unless a test fails."""
    began = time.monotonic()
    kept = kept_reaches(KEPT, original)
    reaches = [reach for file in files for reach in kept.get(file, ())]
    print(f"{len(reaches)} tests are known to pass without a mutant", flush=True)  # noqa: T201  a program
    missing = [file for file in files if file not in kept]
    parts = [missing[at : at + FILES_AT_ONCE] for at in range(0, len(missing), FILES_AT_ONCE)]
    for part, found in zip(parts, record_each(parts), strict=True):
        broken = {reach.file for reach in found if reach.is_failed}
        keep(KEPT, original, [file for file in part if file not in broken], found)
        reaches += found
        said = f"{len(reaches)} tests are recorded ({time.monotonic() - began:.0f} s), failed: {sorted(broken)}"
        print(said, flush=True)  # noqa: T201  a program
    return reaches


def chosen(changes: Sequence[LineChange], seed: int, only: Collection[str]) -> dict[str, LineChange]:
    """Return the drawn mutants by id, or only those named. Raises ``ValueError`` for an id that was not drawn."""
    drawn = {f"{seed}-{number}": change for number, change in enumerate(changes, 1)}
    if unknown := set(only) - drawn.keys():
        msg = f"not drawn: {', '.join(sorted(unknown))}; the ids are {seed}-1 to {seed}-{len(changes)}"
        raise ValueError(msg)
    return {name: change for name, change in drawn.items() if not only or name in only}


def run_random(
    *, count: int, seed: int, jobs: int, record_file: Path, rooms: tuple[Room, ...] = ROOMS, only: Collection[str] = ()
) -> int:
    """Draw, judge, print the table and write ``record_file``. Returns 1 when the tests fail without a mutant."""
    print(f"{count} random mutants, SEED={seed}", flush=True)  # noqa: T201  a program
    with tempfile.TemporaryDirectory(prefix="sightline-mutant-") as name:
        server = EmbeddedRedis(Path(name), die_with_parent=True).start()
        with redis.Redis.from_url(server.url) as client:
            changes = draw(ROOT, count, seed, client, rooms)
        server.stop()
    wanted = chosen(changes, seed, only)
    try:
        judged = judge_all(wanted, jobs)
    except SuiteBroken as error:
        print(f"mutants: {error}", file=sys.stderr)  # noqa: T201  a program
        return 1
    table = Table("id", "line", "before → after", "caught by", "s")
    for name, one in judged.items():
        change = f"{one.change.before.strip()}\n→ {one.change.after.strip()}"
        by = one.verdict.rpartition("::")[2]
        table.add_row(name, f"{one.change.path}:{one.change.line}", change, by, f"{one.took_s:.0f}")
    Console(highlight=False, markup=False, width=180).print(table)
    rows = [(one.caught_by, _row(name, one)) for name, one in judged.items()]
    record_file.parent.mkdir(parents=True, exist_ok=True)
    record_file.write_text("".join(row for _, row in sorted(rows, key=lambda row: row[0] != SURVIVED)), "utf-8")
    caught = sum(one.caught_by != SURVIVED for one in judged.values())
    share = 100 * caught / max(1, len(judged))
    print(f"SEED={seed}: {caught} of {len(judged)} caught ({share:.0f} %); all of them: {record_file}")  # noqa: T201
    return 0


def _row(name: str, judged: Judged) -> str:
    """Return a row for the README's table; a survivor's judgement is to be filled in."""
    change = judged.change
    before, after = (line.strip().replace("|", "\\|") for line in (change.before, change.after))
    return f"| {name} | {change.path}:{change.line} | `{before}` → `{after}` | {judged.verdict} |\n"
