"""When a page redirects itself by a refresh."""

from __future__ import annotations

import pytest

from worker.scan.refresh import leaves_in_s

HERE = "http://tea.example/old"


@pytest.mark.parametrize(
    ("said", "left_s"),
    [
        ("2;url=/new", 2.5),
        (" 2 , URL = '/new' and more", 2.5),
        ("2 /new", 2.5),
        (".9;/new", 0.5),
        ("2.9; url=https://other.example/old", 2.5),
        ("2", None),
        ("2;", None),
        ("2; url=/old?again", None),
        ("2; url=#part", None),
        ("2; url=javascript:alert(1)", None),
        ("2; url=http://[", None),
        ("soon; url=/new", None),
        ("-2; url=/new", None),
        ("0; url=/new#x", 0.5),
    ],
)
def test_a_page_leaves_for_another_a_second_after_it_said_at_the_latest(said: str, left_s: float | None) -> None:
    assert leaves_in_s(said, base=HERE, href=HERE, loaded_s=0.5) == left_s


def test_a_page_that_has_not_loaded_or_did_not_leave_in_time_is_not_waited_for() -> None:
    assert leaves_in_s("1;url=/new", base=HERE, href=HERE, loaded_s=-1) is None
    assert leaves_in_s("1;url=/new", base=HERE, href=HERE, loaded_s=2.5) is None
