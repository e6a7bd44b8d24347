"""Compares the live checks with a folder of W3C's ACT test cases: ``python ops/truth/live_cases.py FOLDER``.

The folder has ``cases.json`` (rule, name, expected, path) and the pages in ``site/``, which is served at the root of a
loopback server. Prints for each ACT rule: failed cases found, and passed or inapplicable cases wrongly found. A case
counts as found when one of the rule's live rules has a finding; other findings are ignored.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

sys.path.insert(0, str(Path(__file__).parent))

from run import addresses_of

from producer.contract import ScanRequest
from producer.errors import DependencyMissing
from worker.scan.engine import ScanEngine, ScanSettings

ABOUT: Final[Mapping[str, tuple[str, ...]]] = {
    "80af7b": ("live-trap",),
    "a1b64e": ("live-trap",),
    "ebe86a": ("live-trap",),
    "oj04fd": ("live-focus-visible",),
    "59br37": ("live-zoom",),
    "80f0bf": ("live-autoplay",),
    "aaa1bf": ("live-autoplay",),
    "4c31df": ("live-autoplay",),
    "ffbc54": ("live-shortcut",),
    "ucwvc8": ("live-page-language",),
    "off6ek": ("live-part-language",),
    "efbfc7": ("live-motion",),
    "fd3a94": ("live-same-name",),
}
"""ACT rules, and the live rules that decide them; empty where there is no live rule yet."""
_PAGES: Final = "WAI/content-assets/wcag-act-rules"
_BAD_INPUT: Final = 64
_AT_A_TIME: Final = 2


@dataclass(frozen=True, slots=True)
class Case:
    """One test case of an ACT rule."""

    rule: str
    name: str
    expected: str
    path: str


@dataclass(frozen=True, slots=True)
class Seen:
    """The live checks' result for a case; ``note`` names the checks that were left out."""

    case: Case
    found: bool
    note: str
    spent_ms: int


def read_cases(folder: Path, rules: Sequence[str]) -> list[Case]:
    """Return the cases of the rules; raises ``SystemExit`` for bad input."""
    try:
        listed: list[dict[str, Any]] = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
        cases = [Case(one["rule"], one["name"], one["expected"], one["path"]) for one in listed]
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(
            f"live_cases: {str(folder / 'cases.json')!r} cannot be read as a list of cases with rule, name, expected "
            f"and path: {error}",
            file=sys.stderr,
        )
        raise SystemExit(_BAD_INPUT) from None
    return [case for case in cases if case.rule in rules]


async def look_at_all(cases: Sequence[Case], root: str) -> list[Seen]:
    """Scan the cases, two at a time; print those that come out differently from what W3C expects."""
    slots = asyncio.Semaphore(_AT_A_TIME)
    async with ScanEngine(ScanSettings(allow_private=True, max_concurrent=_AT_A_TIME)) as engine:

        async def look(case: Case) -> Seen:
            url = f"{root}/{_PAGES}/{case.path}"
            asked = {"url": url, "checks": ["axe", "live"], "standard": "wcag22aa", "deadline_s": 60}
            async with slots:
                begun_s = time.monotonic()
                result = (await engine.audit(ScanRequest.model_validate(asked))).result
            rules = {one.rule: one for one in result.incomplete if one.engine == "live"}
            mine = [rules[rule] for rule in ABOUT[case.rule] if rule in rules]
            left_out = str(result.live.left_out) if result.live and result.live.left_out else ""
            note = left_out if result.status == "scanned" else f"{result.status}: {result.reason}"
            seen = Seen(case, bool(mine), note, round((time.monotonic() - begun_s) * 1000))
            if seen.found != (case.expected == "failed") or note:
                why = "; ".join(node.failure_summary.rpartition("\n  ")[2] for one in mine for node in one.nodes)
                said = "found" if seen.found else "not found"
                print(f"{case.rule} {case.expected:12} {said:9} {case.path}  {why[:200]} {note[:200]}", flush=True)
            return seen

        return await asyncio.gather(*map(look, cases))


def table_of(seen: Sequence[Seen]) -> str:
    """Return the table for ``docs/live.md``."""
    lines = ["| ACT rule | our rule | failed, found | passed, wrongly found | inapplicable, wrongly found |"]
    lines.append("|---|---|---|---|---|")
    for rule, live in ABOUT.items():
        mine = [one for one in seen if one.case.rule == rule]
        if mine:
            cells = " | ".join(_share(mine, expected) for expected in ("failed", "passed", "inapplicable"))
            lines.append(
                f"| {rule}: {mine[0].case.name} | {', '.join(f'`{one}`' for one in live) or 'none yet'} | {cells} |"
            )
    whole = " | ".join(_share(seen, expected) for expected in ("failed", "passed", "inapplicable"))
    return "\n".join((*lines, f"| all | | {whole} |"))


def _share(seen: Sequence[Seen], expected: str) -> str:
    mine = [one for one in seen if one.case.expected == expected]
    return f"{sum(one.found for one in mine)} of {len(mine)}" if mine else "none"


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description="Hold the live checks against W3C's ACT test cases.")
    parser.add_argument("folder", type=Path, help="a folder with cases.json and site/")
    parser.add_argument("--rules", default=",".join(ABOUT), help="ACT rules, separated by commas (default: all)")
    given = parser.parse_args()
    rules = given.rules.split(",")
    if unknown := [rule for rule in rules if rule not in ABOUT]:
        print(f"live_cases: no live rule decides {unknown[0]!r}: expected {', '.join(ABOUT)}", file=sys.stderr)
        return _BAD_INPUT
    cases = read_cases(given.folder, rules)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with addresses_of(given.folder / "site") as urls:
        if not cases or not urls:
            print(f"live_cases: {str(given.folder)!r} has no cases of {given.rules}", file=sys.stderr)
            return _BAD_INPUT
        root = urls[0].split("/WAI/", 1)[0]
        try:
            seen = asyncio.run(look_at_all(cases, root))
        except DependencyMissing as error:
            print(f"live_cases: {error}", file=sys.stderr)
            return _BAD_INPUT
    print(f"\n{table_of(seen)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
