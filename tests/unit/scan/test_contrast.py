"""Verdicts on measured contrast, on plain values."""

from __future__ import annotations

from typing import Any, cast

import pytest

from producer.contract import Viewport
from worker.scan.axe import AxeReport, ElementId
from worker.scan.contrast import Text, choose, judge, measure_contrast, needed_of
from worker.scan.edges import Edges, area_around

WINDOW = Edges(0, 0, 1000, 800)


def text(left: float, top: float, *, within: tuple[ElementId, ...] = (), is_clear: bool = False) -> Text:
    box = Edges(left, top, left + 100, top + 20)
    return Text((box,), box, WINDOW, is_clear, frozenset(within), font_px=16, weight=400)


@pytest.mark.parametrize(
    ("lowest", "highest", "needed", "verdict"),
    [
        (10, 43, 4.5, "fails"),
        (10, 44, 4.5, "undecided"),
        (45, 210, 4.5, "undecided"),
        (46, 210, 4.5, "passes"),
        (20, 28, 3.0, "fails"),
        (31, 31, 3.0, "passes"),
        (10, 210, 3.0, "undecided"),
    ],
)
def test_only_what_is_clearly_on_one_side_of_the_threshold_is_decided(
    lowest: int, highest: int, needed: float, verdict: str
) -> None:
    found = judge(lowest, highest, needed)

    assert (found.verdict, found.lowest, found.highest, found.needed) == (verdict, lowest / 10, highest / 10, needed)


@pytest.mark.parametrize(
    ("rule", "font_px", "weight", "needed"),
    [
        ("color-contrast", 16, 400, 4.5),
        ("color-contrast", 23.9, 400, 4.5),
        ("color-contrast", 24, 400, 3.0),
        ("color-contrast", 18, 700, 4.5),
        ("color-contrast", 18.66, 700, 3.0),
        ("color-contrast", 18.66, 600, 4.5),
        ("color-contrast-enhanced", 16, 400, 7.0),
        ("color-contrast-enhanced", 24, 400, 4.5),
    ],
)
def test_large_text_needs_less(rule: str, font_px: float, weight: int, needed: float) -> None:
    assert needed_of(rule, font_px=font_px, weight=weight) == needed


def test_texts_are_painted_together_unless_one_would_be_painted_over() -> None:
    texts = {
        (0, 1): text(0, 0),
        (0, 2): text(50, 10),  # over the first one's letters
        (0, 3): text(0, 100),
        (0, 4): text(20, 100, within=((0, 3),)),  # inside: painted after what is around it
        (0, 5): text(0, 200),
        (0, 6): text(20, 200, within=((0, 5),), is_clear=True),  # what is around it would show through
        (0, 7): text(0, 790),  # half below the window
        (0, 8): text(0, 900),
    }

    assert choose(texts, shown=(0, 8)) == [(0, 1), (0, 3), (0, 4), (0, 5), (0, 8)]


async def test_a_page_with_nothing_undecided_costs_nothing() -> None:
    nobody = cast("Any", None)  # asking it anything would fail
    decided = AxeReport(
        violations=[{"id": "color-contrast", "nodes": [{}]}], incomplete=[{"id": "label", "nodes": [{}]}]
    )

    await measure_contrast(nobody, decided, viewport=Viewport(), may_scroll=True, left_s=30)


def test_a_screenshot_needs_the_part_of_the_window_that_has_the_texts() -> None:
    assert area_around([Edges(10.4, 20, 60, 30.5), Edges(100, 8, 120, 25)]) == (8, 6, 122, 33)
