"""Runs ``docker-compose.yml`` and the runbook's procedures for real: ``python ops/containers/run.py [row …]``.

Uses the machine's engine if one answers; otherwise, as root on Debian, starts one (``engine.py``) with stand-ins for
the base images (``images.py``). A row is a check; the rows of a run share one set, in the order given here. Everything
started is stopped; layers are kept under ``--cache`` for the next run. The exit code is 1 if a row fails.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import contact
import faults
import procedures
from engine import CommandFailed, engine
from fleet import Fleet, clone, set_passwords
from images import ROOT, make

ROWS: Final[dict[str, Callable[[Fleet], str]]] = {**contact.ROWS, **faults.ROWS, **procedures.ROWS, **faults.BAD_INPUT}
NEEDED: Final = ("build", "up")
"""The first rows of every run."""


def main() -> int:
    """Run the rows, print a line for each, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("rows", nargs="*", help=f"some of {', '.join(ROWS)}; all without")
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache/containers", help="folder of the layers")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    if unknown := set(options.rows) - set(ROWS):
        parser.error(f"no row {', '.join(sorted(unknown))}: expected some of {', '.join(ROWS)}")
    names = [name for name in ROWS if not options.rows or name in options.rows or name in NEEDED]
    folder: Path = options.cache.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        failed = run_rows(names, folder)
    except CommandFailed as error:
        print(f"containers: {error}", file=sys.stderr)
        return 1
    print(summary(names, failed))
    return 1 if failed else 0


def summary(names: list[str], failed: list[str]) -> str:
    """Return one line: how many rows passed, failed and were not run, because a row that all others need had failed."""
    last = next((name for name in failed if name in NEEDED), names[-1])
    left = len(names) - names.index(last) - 1
    passed = len(names) - len(failed) - left
    not_run = f", {left} not run" if left else ""
    return f"{passed} rows passed, {len(failed)} failed{': ' if failed else ''}{', '.join(failed)}{not_run}"


def run_rows(names: list[str], folder: Path) -> list[str]:
    """Return the rows that failed. Raises ``CommandFailed`` without an engine or an image."""
    failed: list[str] = []
    with engine(folder) as of_machine:
        make(of_machine, folder)
        fleet = Fleet(of_machine, folder / "tree")
        clone(fleet.home)
        set_passwords(fleet)
        try:
            for name in names:
                if not _holds(name, fleet):
                    failed.append(name)
                    if name in NEEDED:
                        break
        finally:
            fleet.end()
    return failed


def _holds(name: str, fleet: Fleet) -> bool:
    began = time.monotonic()
    try:
        said, holds = ROWS[name](fleet), True
    except CommandFailed as error:
        said, holds = str(error), False
    print(f"{'ok    ' if holds else 'FAILED'} {name:<12} {time.monotonic() - began:5.0f} s  {said}", flush=True)
    return holds


if __name__ == "__main__":
    sys.exit(main())
