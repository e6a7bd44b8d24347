"""The checks of a page: axe-core's, and those of the page in use (``worker/scan/live``). Needs no pydantic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

AXE: Final = "axe"
LIVE: Final = "live"
CHECKS: Final = (AXE, LIVE)


def checked_checks(given: Sequence[str]) -> tuple[str, ...]:
    """Return the checks in order, without repeats; raises ``ValueError`` for unknown ones, and without ``axe``."""
    for name in given:
        if name not in CHECKS:
            msg = f"unknown check {name[:100]!r}: expected {' and '.join(CHECKS)}"
            raise ValueError(msg)
    if AXE not in given:
        msg = f"expected {AXE!r} among the checks: live checks need a page that axe-core has audited"
        raise ValueError(msg)
    return tuple(name for name in CHECKS if name in given)
