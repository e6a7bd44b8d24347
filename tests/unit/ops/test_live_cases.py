"""The table of W3C's cases counts what was found, and bad input gets one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "ops" / "truth"))

import live_cases  # noqa: E402  # pyright: ignore[reportMissingImports]  # a program's own folder, no package

from producer.contract.rules import LIVE_RULES  # noqa: E402


def seen(expected: str, *, found: bool) -> object:
    return live_cases.Seen(live_cases.Case("80af7b", "No trap", expected, "p.html"), found, "", 1)


def test_the_table_counts_found_failed_cases_apart_from_wrongly_found_ones() -> None:
    looked_at = [seen("failed", found=True), seen("failed", found=False), seen("passed", found=True)]

    lines = live_cases.table_of(looked_at).splitlines()

    assert lines[2] == "| 80af7b: No trap | `live-trap` | 1 of 2 | 1 of 1 | none |"
    assert lines[-1] == "| all | | 1 of 2 | 1 of 1 | none |"


def test_only_rules_that_exist_are_held_against_cases() -> None:
    assert {rule for rules in live_cases.ABOUT.values() for rule in rules} <= LIVE_RULES


def test_a_folder_without_cases_gets_one_line(tmp_path: Path) -> None:
    program = [sys.executable, str(ROOT / "ops/truth/live_cases.py"), str(tmp_path)]

    done = subprocess.run(program, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT)})

    assert done.returncode == 64
    assert done.stderr.count("\n") == 1
    assert "cases.json" in done.stderr
