"""From what came of the pages to the exit code. Pure."""

from __future__ import annotations

from typing import Final

from producer.contract import Impact
from producer.reports.page import Summary

FINE: Final = 0
FINDINGS: Final = 1
NOT_SCANNED: Final = 2
NO_ANSWER: Final = 3

NEVER: Final = "never"


def exit_code(summary: Summary, *, timed_out: bool) -> int:
    """Return the exit code: what was not seen outranks what was found, for it may hide worse.

    ``NO_ANSWER`` when time ran out, ``NOT_SCANNED`` when a page could not be read whole, ``FINDINGS`` when a page has
    findings at or over the threshold the summary was made with.
    """
    if timed_out:
        return NO_ANSWER
    if summary.not_scanned:
        return NOT_SCANNED
    return FINDINGS if summary.failing else FINE


def threshold(fail_on: str) -> Impact | None:
    """Return the impact that ``--fail-on`` names; ``never`` is none."""
    return None if fail_on == NEVER else Impact(fail_on)
