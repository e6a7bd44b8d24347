"""The choice of elements for screenshots, and their margins."""

from __future__ import annotations

import pytest

from producer.contract import Finding, Node
from worker.scan.pictures import (
    CROPS_PER_FINDING,
    MARGIN,
    MAX_AREA,
    MAX_CROP,
    MAX_CROPS,
    Box,
    areas_of,
    crop_of,
    crops_wanted,
)

PAGE = Box(0, 0, 1280, 2000)


def finding(rule: str, *boxes: list[int] | None) -> Finding:
    nodes = tuple(
        Node.model_validate({"selector": ["a"], "snippet": "", "fingerprint": f"{rule}-{i}", "box": box})
        for i, box in enumerate(boxes)
    )
    return Finding(rule=rule, help="", help_url="", nodes=nodes, node_count=len(nodes), fingerprint=rule)


def test_an_element_is_shown_with_a_margin() -> None:
    assert crop_of([100, 200, 50, 20], PAGE) == Box(100 - MARGIN, 200 - MARGIN, 50 + 2 * MARGIN, 20 + 2 * MARGIN)


def test_a_crop_ends_with_the_page() -> None:
    assert crop_of([0, 1990, 1280, 50], PAGE) == Box(0, 1990 - MARGIN, 1280, 10 + MARGIN)


def test_a_large_element_is_shown_from_its_top() -> None:
    crop = crop_of([0, 0, 1280, 2000], PAGE)

    assert crop is not None
    assert (crop.width, crop.height) == MAX_CROP


@pytest.mark.parametrize("box", [[5, 5, 0, 9], [-300, 5, 100, 10], [5, -300, 10, 10], [5, 2100, 9, 9], [1400, 5, 9, 9]])
def test_what_cannot_be_seen_is_not_shown(box: list[int]) -> None:
    assert crop_of(box, PAGE) is None


def test_each_finding_shows_its_first_nodes_and_nodes_in_frames_are_passed_over() -> None:
    seen = [[i, i, 9, 9] for i in range(9)]

    wanted = crops_wanted([finding("image-alt", None, *seen), finding("label", [5, 5, 0, 0])], PAGE)

    assert list(wanted) == [f"image-alt-{i}" for i in range(1, CROPS_PER_FINDING + 1)]


def test_the_worst_findings_are_shown_where_there_are_too_many() -> None:
    wanted = crops_wanted([finding(f"rule{i}", *([[1, 1, 9, 9]] * 3)) for i in range(50)], PAGE)

    assert len(wanted) == MAX_CROPS
    assert next(iter(wanted)) == "rule0-0"


def test_boxes_near_each_other_are_drawn_together_and_each_once() -> None:
    left, right, below = Box(10, 500, 40, 30), Box(900, 510, 50, 20), Box(30, 700, 9, 9)

    assert areas_of([below, left, right, left]) == [(Box(10, 500, 940, 209), [left, right, below])]


def test_boxes_far_apart_are_drawn_apart_and_the_area_of_the_first_comes_first() -> None:
    page = Box(0, 0, 1280, 16_000)
    low, high = [Box(0, 15_000 + i, 900, 20) for i in (0, 50)], [Box(0, i, 900, 20) for i in (9, 70)]

    areas = areas_of([page, *low, *high])

    assert areas == [(page, [page]), (Box(0, 15_000, 900, 70), low), (Box(0, 9, 900, 81), high)]


def test_no_area_of_several_boxes_is_larger_than_its_limit() -> None:
    boxes = [Box(40 * (i % 7), 300 * i, 900, 100) for i in range(60)]

    areas = areas_of(boxes)

    assert 2 < len(areas) < len(boxes)
    assert max(area.width * area.height for area, _ in areas) <= MAX_AREA
    assert sorted(box for _, some in areas for box in some) == sorted(boxes)
