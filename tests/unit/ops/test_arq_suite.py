"""The list of arq's tests that fail on Sightline: each has a reason, which docs/arq.md also has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ops.arq_suite.run import HERE, MUST_PASS, ROOT, Expected, NoSuite, differences, locked

LIST = Expected({"test_a::fails": "a key of arq's"}, {"test_a::fails": "Keys"}, ("test_b::*", "test_c::one"))
AS_LISTED = {
    "test_a::fails": "failed",
    "test_b::any": "passed",
    "test_c::one": "failed",
    **{f"test_a::{n}": "passed" for n in range(MUST_PASS)},
}


def test_expected_failures_are_no_difference():
    listed = Expected({**LIST.why, "test_c::one": "no Redis"}, {}, LIST.untouched)

    assert differences(AS_LISTED, listed) == []


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"test_a::1": "failed"}, "test_a::1 fails, for a reason said nowhere"),
        ({"test_a::fails": "passed"}, "test_a::fails was to fail (a key of arq's): it passed"),
        ({"test_a::fails": "skipped"}, "test_a::fails was to fail (a key of arq's): it skipped"),
        ({"test_a::1": "skipped"}, f"{MUST_PASS - 1} tests that touch our code pass, must be ≥ {MUST_PASS}"),
    ],
)
def test_an_unexpected_failure_is_named(changed: dict[str, str], found: str):
    assert found in differences({**AS_LISTED, **changed}, LIST)


def test_a_test_that_arq_no_longer_has_is_named():
    gone = {test: outcome for test, outcome in AS_LISTED.items() if test != "test_a::fails"}

    assert "test_a::fails was to fail (a key of arq's): it does not exist" in differences(gone, LIST)


def test_each_reason_stands_under_a_heading_of_the_document():
    headings = re.findall(r"^#+ (.+)$", Path(ROOT / "docs/arq.md").read_text(), re.MULTILINE)
    expected = Expected.read(HERE / "expected.toml")

    assert set(expected.headings.values()) <= set(headings)
    assert all(len(why) > 20 for why in expected.why.values())


def test_arq_is_pinned_with_its_hashes():
    assert re.fullmatch(r"arq==0\.28\.\d+ \\\n( +--hash=sha256:[0-9a-f]{64}( \\)?\n)+", locked("arq"))


def test_an_unpinned_package_is_named():
    with pytest.raises(NoSuite, match="pins no nothing-of-that-name: expected a line that begins with"):
        locked("nothing-of-that-name")
