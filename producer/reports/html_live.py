"""Live checks for the HTML report: screenshots before and after, keys, the keyboard's path. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from producer.contract.live_shots import PATH_SHOT, shot_name

if TYPE_CHECKING:
    from producer.contract import Node
    from producer.contract.live import LivePath
    from producer.reports.page import Page

_RADIUS_SHARE: Final = 75
"""Diameter of a number's circle as a share of the screenshot's width."""
_LEAST_RADIUS: Final = 11


@dataclass(frozen=True, slots=True)
class DrawnStop:
    """A stop to draw: its box, and the centre of its number."""

    number: int
    left: int
    top: int
    width: int
    height: int
    x: int
    y: int
    radius: int


def drawn_stops(path: LivePath) -> list[DrawnStop]:
    """Return the stops on the screenshot, each with its number at the upper left corner."""
    width, height = path.size or (0, 0)
    radius = max(_LEAST_RADIUS, width // _RADIUS_SHARE)
    drawn: list[DrawnStop] = []
    for number, stop in enumerate(path.stops, start=1):
        left, top, wide, high = stop.box or (0, 0, 0, 0)
        if wide < 1 or high < 1 or left >= width or top >= height or left + wide <= 0 or top + high <= 0:
            continue
        x, y = max(left - radius // 2, radius), max(top - radius // 2, radius)
        drawn.append(DrawnStop(number, left, top, wide, high, x, y, radius))
    return drawn


def keys_text(keys: Sequence[str]) -> list[str]:
    """Return the keys with repeats joined: ``Tab, 3 times``."""
    runs = ((key, len(list(group))) for key, group in groupby(keys))
    return [key if count == 1 else f"{key}, {count} times" for key, count in runs]


def evidence_pictures(node: Node) -> list[tuple[str, str]]:
    """Return the names and captions of an element's screenshots, before and after."""
    evidence = node.evidence
    both = (("before", evidence.before), ("after", evidence.after)) if evidence else ()
    return [(shot_name(node.fingerprint, when), caption) for when, caption in both if caption]


def live_shots(page: Page) -> Iterator[str]:
    """Yield the names of all screenshots of the live checks that the page's result mentions."""
    result = page.result
    if result is None or result.live is None:
        return
    yield PATH_SHOT
    for finding in (*result.findings, *result.incomplete):
        for node in finding.nodes:
            yield from (name for name, _ in evidence_pictures(node))
