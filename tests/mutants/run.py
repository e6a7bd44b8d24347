"""Breaks one promise of the product at a time and checks that a test fails: ``make mutants``.

Each ``*.patch`` beside this file begins with the broken promise and the tests that must fail. It is applied to a copy
of HEAD, never to the work tree. The tests named are first run on the copy as it is, where they must pass. The exit code
is 1 if a mutant survives. ``test_patches.py`` checks that every patch still applies. After the patches come random line
mutants (``random_mutants.py``); README.md says how to read both.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from rich.console import Console
from rich.table import Table

from tests.mutants.random_mutants import run_random
from tests.mutants.scope import ROOMS

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]
LIMIT_S: Final = 600
FAILED: Final = 1
"""pytest's exit code when tests ran and failed; any other means that they did not run."""
NO_END: Final = -1
"""In place of an exit code, if the tests take longer than ``LIMIT_S``."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One patch: ``what`` it breaks, and the arguments of pytest for the tests that must catch it."""

    path: Path
    what: str
    caught_by: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the two lines before the patch itself."""
        what, caught_by = path.read_text(encoding="utf-8").splitlines()[:2]
        return cls(path, what.removeprefix("what: "), tuple(caught_by.removeprefix("caught by: ").split()))


def all_mutants() -> list[Mutant]:
    """Return the mutants, by name."""
    return [Mutant.read(path) for path in sorted(HERE.glob("*.patch"))]


def apply(mutant: Mutant, folder: Path, *, only_check: bool = False) -> None:
    """Apply the patch below ``folder``. Raises ``CalledProcessError`` if it does not apply."""
    options = ["--check"] if only_check else []
    # Outside a repository, so that the patch is of the folder's files and no index is asked.
    environment = {
        **os.environ,
        "GIT_DIR": str(folder / "no-repository"),
        "GIT_CEILING_DIRECTORIES": str(folder.parent),
    }
    command = ["git", "apply", *options, "-C1", "--recount", str(mutant.path)]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)


def copy_of_head(folder: Path) -> None:
    """Write the files of HEAD below ``folder``."""
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x"], cwd=folder, input=archive, check=True)


def run_tests(folder: Path, arguments: tuple[str, ...]) -> tuple[int, str]:
    """Return pytest's exit code and the first test that failed."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=no", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(folder), "CI": "true"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return NO_END, f"no end within {LIMIT_S} s"
    failed = [line.split(" ")[1] for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return done.returncode, failed[0].rpartition("::")[2] if failed else done.stdout[-300:]


def judge(mutant: Mutant) -> tuple[bool, str]:
    """Return whether the mutant was caught, and by what; or why not."""
    with tempfile.TemporaryDirectory(prefix="sightline-mutant-") as name:
        folder = Path(name)
        copy_of_head(folder)
        status, said = run_tests(folder, mutant.caught_by)
        if status != 0:
            return False, f"the tests fail without it: {said}"
        apply(mutant, folder)
        status, said = run_tests(folder, mutant.caught_by)
    return status == FAILED, said if status == FAILED else f"pytest ended with {status}: {said}"


def judge_patches(names: list[str]) -> int:
    """Judge the patches named, or all; return the exit code."""
    wanted = [m for m in all_mutants() if not names or any(name in m.path.name for name in names)]
    table = Table("taken out", "caught", "by", "s")
    survivors = 0
    for mutant in wanted:
        began = time.monotonic()
        is_caught, by = judge(mutant)
        survivors += not is_caught
        table.add_row(mutant.what, "yes" if is_caught else "NO", by, f"{time.monotonic() - began:.0f}")
        print(f"{mutant.path.stem}: {'caught' if is_caught else 'SURVIVED'}: {by}", flush=True)  # noqa: T201  a program
    Console(highlight=False, width=130).print(table)
    return 1 if survivors or not wanted else 0


def main() -> int:
    """Judge the patches named, or all, then the random mutants; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="parts of the patches' names; all without")
    parser.add_argument("--random", type=int, default=0, metavar="N", help="judge N random line mutants too")
    parser.add_argument("--seed", type=int, help="draw the same mutants again; a new seed without")
    parser.add_argument("--only", default="", metavar="IDS", help="judge these of the draw only: 7-4,7-9")
    parser.add_argument("--room", choices=[room.name for room in ROOMS], help="draw from this room only")
    parser.add_argument("--jobs", type=int, default=2, help="random mutants judged at a time (2)")
    parser.add_argument("--no-patches", action="store_true", help="judge the random mutants only")
    parser.add_argument("--record", type=Path, default=ROOT / ".cache" / "mutants.md", help="file of all that is found")
    options = parser.parse_args()
    if options.random < 0 or options.jobs < 1:
        parser.error("--random must be 0 or more, and --jobs 1 or more")
    status = 0 if options.no_patches else judge_patches(options.names)
    if options.random:
        seed = secrets.randbelow(10_000) if options.seed is None else options.seed
        rooms = tuple(room for room in ROOMS if options.room in {None, room.name})
        only = options.only.split(",") if options.only else ()
        found = run_random(
            count=options.random, seed=seed, jobs=options.jobs, record_file=options.record, rooms=rooms, only=only
        )
        status = status or found
    return status


if __name__ == "__main__":
    sys.exit(main())
