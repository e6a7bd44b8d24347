"""Markup, addresses, headers and images of a page are read within bounds, and never stop a scan or a crawl."""

from __future__ import annotations

import math
import re

from hypothesis import given
from hypothesis import strategies as st

from producer.contract.component_name import MAX_EXAMPLE, example, plain_name, without_example
from producer.contract.retry_after import read_retry_after
from producer.reports.plain_text import one_line
from producer.sitemaps.links import links_of
from producer.sitemaps.patterns import Patterns
from tests.fuzz.strange import TEXT, UNICODE
from worker.agent.assessment.review import words_of
from worker.scan.component import MAX_NAME, component_of
from worker.scan.fingerprint import node_fingerprints, signature
from worker.scan.fixes.markup import attributes, tag_of, with_attributes
from worker.scan.live.gif import plays_s
from worker.scan.looks import is_soft_404

TAGS = st.sampled_from(
    [
        "<a href=",
        "<a href='/x'>",
        "<img src=",
        "<base href=",
        "</",
        "<xmp>",
        "<!",
        "<![",
        "<?",
        "<textarea>",
        "class='",
        "data:",
    ]
)
MARKUP = st.lists(st.one_of(TAGS, UNICODE), max_size=8).map("".join)
STEPS = st.tuples(st.sampled_from(["main", "li", "div"]) | UNICODE, UNICODE, UNICODE, UNICODE)
PLACES = st.lists(st.lists(STEPS, max_size=3), max_size=2)
RULES = st.sampled_from(["image-alt", "link-name", "label", "color-contrast"])
GIFS = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from(
            [b"GIF89a", b"\x21\xf9\x04\x00\x00\x00\x00\x00", b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00", b","]
        ),
    ),
    max_size=12,
).map(b"".join)


@given(st.lists(MARKUP.map(lambda text: text.encode("utf-8", "surrogatepass")), max_size=4))
def test_links_of_any_page_are_addresses(pieces: list[bytes]):
    patterns = Patterns()
    for link in links_of(pieces, "https://shop.example/"):
        assert link.startswith(("http://", "https://"))
        assert patterns.pattern_of(link).startswith("/")


@given(RULES, PLACES, MARKUP)
def test_any_element_belongs_to_a_component_with_a_name(rule: str, places: list[list[tuple[str, ...]]], markup: str):
    found = component_of(rule, places, markup, page="https://shop.example/")

    assert re.fullmatch(r"[0-9a-f]{16}-[0-9a-f]{8}", found.issue_id)
    assert 0 < len(found.name) <= MAX_NAME
    assert one_line(found.name)


@given(RULES, UNICODE, MARKUP)
def test_any_element_has_a_fingerprint(rule: str, path: str, markup: str):
    assert re.fullmatch(r"[0-9a-f]+", node_fingerprints(rule, [(((path,)), markup)])[0])
    assert signature(markup)
    assert isinstance(words_of(markup), str)


@given(TEXT, TEXT)
def test_an_example_can_be_left_out_of_a_name(text: str, name: str):
    shown = example(text)

    assert len(shown) <= MAX_EXAMPLE + 3
    assert without_example(f"image{shown} has no name") == "image has no name"
    assert plain_name(plain_name(name)) == plain_name(name)


@given(MARKUP, st.dictionaries(st.sampled_from(["alt", "lang", "aria-label"]), st.none() | TEXT, max_size=2))
def test_a_change_of_markup_is_the_one_proposed(markup: str, changes: dict[str, str | None]):
    changed = attributes(with_attributes(markup, changes))

    if tag_of(markup):
        assert {name: changed.get(name) for name in changes} == changes


@given(GIFS)
def test_any_bytes_play_for_some_time(data: bytes):
    seconds = plays_s(data)

    assert seconds >= 0
    assert not math.isnan(seconds)


@given(TEXT | st.from_regex(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+ [A-Z+0-9]+"), TEXT)
def test_retry_after_is_a_time_or_nothing(said: str, sent: str):
    wait_s = read_retry_after(said, sent=sent)

    assert wait_s is None or 0 <= wait_s < math.inf


@given(TEXT)
def test_a_title_says_that_a_page_is_missing_or_not(title: str):
    assert is_soft_404(title) in {True, False}
