from __future__ import annotations

from dataclasses import replace

import pytest

from producer.contract import Counts
from producer.reports.site_days import Day, parse_days
from worker.memory.history.pages import PageState
from worker.memory.history.trends import compare_groups


def state(scan_id: str, url: str, group: str, *, critical: int = 0, serious: int = 0) -> PageState:
    counts = Counts(critical=critical, serious=serious)
    return PageState(
        scan_id=scan_id,
        terms="t",
        url=url,
        title="",
        group=group,
        rules=frozenset(),
        impacts=frozenset(),
        barriers=counts,
        last_seen_ms=1,
    )


@pytest.mark.parametrize(
    ("then", "now", "verdict"),
    [
        ({"critical": 1}, {"critical": 1}, "same"),
        ({"critical": 1}, {"critical": 2}, "worse"),
        ({"critical": 1, "serious": 1}, {"critical": 1, "serious": 2}, "worse"),
        ({"critical": 1}, {"critical": 0, "serious": 50}, "better"),
    ],
)
def test_the_worst_impact_decides(then: dict[str, int], now: dict[str, int], verdict: str):
    (group,) = compare_groups([state("a", "https://a/", "g", **then)], [state("b", "https://a/", "g", **now)])

    assert group.verdict == verdict


def test_a_page_counts_in_the_group_it_is_in_now():
    before = [state("a1", "https://a/", "old", critical=1), state("b1", "https://b/", "old", critical=4)]
    after = [state("a2", "https://a/", "moved", critical=3), state("b1", "https://b/", "old", critical=4)]

    moved, old = compare_groups(before, after)

    assert (moved.group, moved.change, moved.pages[0].before) == ("moved", (2, 0, 0, 0), "a1")
    assert (old.group, old.before, old.verdict) == ("old", Counts(critical=4), "same")


def test_pages_that_came_later_make_no_group_worse_and_pages_without_address_take_no_part():
    before = [state("a1", "https://a/", "g"), state("h1", "", "g")]
    after = [
        state("a1", "https://a/", "g"),
        state("n", "https://n/", "g", critical=9),
        state("h2", "", "g", critical=9),
    ]

    (group,) = compare_groups(before, after)

    assert (group.verdict, group.added, len(group.pages)) == ("same", 1, 1)


def test_states_under_other_terms_are_never_compared():
    before = [replace(state("aa", "https://a/", "g", critical=5), terms="aa"), state("a", "https://a/", "g")]

    (group,) = compare_groups(before, [state("a2", "https://a/", "g", critical=1)])

    assert (group.change, group.pages[0].before, group.added) == ((1, 0, 0, 0), "a", 0)


def test_one_page_is_the_same_page_whatever_its_fragment():
    (group,) = compare_groups([state("a", "https://a/#x", "g")], [state("b", "https://a/#y", "g", critical=1)])

    assert (group.verdict, group.added) == ("worse", 0)


def test_days_before_the_first_one_asked_for_and_other_fields_are_left_out():
    fields = {
        "generation": "7",
        "2025-10-30:scans": "1",
        "2025-11-01:scans": "4",
        "2025-11-01:unread": "2",
        "2025-11-01:serious": "5",
        "2025-11-01:later": "1",
        "2025-10-31:unread": "1",
        "2025-10-31:scans": "1",
    }

    days = parse_days(fields, since="2025-10-31")

    assert days == [Day("2025-10-31", scans=1, unread=1), Day("2025-11-01", scans=4, unread=2, serious=5)]
    assert [day.per_page for day in days] == [0.0, 2.5]
