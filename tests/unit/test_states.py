"""A page in several states is one page: the states' names, and their terms in the history."""

from __future__ import annotations

import pytest

from producer.contract import ScanRequest
from producer.contract.scan_terms import terms_of
from producer.contract.states import join_states, split_state, with_state
from worker.memory.history.scan_record import page_of

PAGE = "https://shop.example/cart"


@pytest.mark.parametrize(
    ("page", "state"), [("/cart", ""), ("/cart", "dialog open, dark"), ("https://a.example/#/b", "b")]
)
def test_a_page_and_its_state_are_read_from_one_name(page: str, state: str) -> None:
    assert split_state(with_state(page, state)) == (page, state)


def test_text_that_is_no_state_stays_part_of_the_name() -> None:
    assert [split_state(text) for text in ("/a[1]", "/a", "[dark]")] == [("/a[1]", ""), ("/a", ""), ("[dark]", "")]


def test_simultaneous_states_have_one_name() -> None:
    assert join_states("dialog open", "", "dark") == "dialog open, dark"
    assert join_states("", "") == ""


@pytest.mark.parametrize("name", ["a\nb", "menu [open]", "x" * 201])
def test_a_name_that_could_not_follow_an_address_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a state's name"):
        ScanRequest(url=PAGE, page_state=name)


def test_a_page_keeps_its_id_in_every_state_and_each_state_has_terms_of_its_own() -> None:
    plain, opened = ScanRequest(url=PAGE), ScanRequest(url=PAGE, page_state=" dialog open ")

    assert page_of(plain) == page_of(opened)
    assert terms_of(plain) != terms_of(opened)
    assert terms_of(plain) == "29f75b1b4892f9f1"  # as releases without states have it


def test_scans_with_other_rules_have_terms_of_their_own() -> None:
    rules = ("label-content-name-mismatch",)
    added, left_out = ScanRequest(url=PAGE, enabled_rules=rules), ScanRequest(url=PAGE, disabled_rules=rules)

    assert len({terms_of(ScanRequest(url=PAGE)), terms_of(added), terms_of(left_out)}) == 3
