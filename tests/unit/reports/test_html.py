"""HTML: one file that loads nothing, and in which a scanned page is only ever text."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

from producer.reports.page import page_of, refused_page
from producer.reports.wcag import criterion_name, criterion_url
from tests.unit.reports import sample_pages as sample


class _Outline(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]


def test_a_hostile_page_adds_no_element_no_handler_and_no_script_link() -> None:
    outline = _Outline(sample.render("html", [sample.hostile(), refused_page("javascript:steal()", "no")]))

    assert outline.tags.count("script") == 1
    assert "img" not in outline.tags
    assert not [name for _, name, _ in outline.attributes if name.startswith("on") or name == "style"]
    links = [value for tag, name, value in outline.attributes if (tag, name) == ("a", "href")]
    assert links
    assert all(link.startswith(("https://", "http://", "#")) for link in links)


def test_nothing_is_loaded_from_anywhere() -> None:
    outline = _Outline(sample.render("html", sample.every_kind()))

    assert not [tag for tag, name, _ in outline.attributes if name in {"src", "srcset", "data"}]
    assert not {"link", "iframe", "object", "base", "embed"} & set(outline.tags)


def test_the_policy_allows_the_style_and_the_script_of_the_file_by_their_hashes_and_nothing_else() -> None:
    text = sample.render("html", sample.every_kind())

    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        body = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert body is not None
        digest = base64.b64encode(hashlib.sha256(body[1].encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy[1].replace("&#39;", "'")
    assert policy[1].startswith("default-src")


def test_every_page_every_finding_and_its_advice_are_in_it() -> None:
    text = sample.render("html", sample.every_kind())

    assert text.count('<details class="page') == 9
    assert text.count('<article class="finding') == 4
    assert "mend image-alt" in text
    assert "Written by builtin" in text


def test_a_criterion_links_to_its_explanation() -> None:
    text = sample.render("html", [sample.with_barriers()])

    assert (
        '<a href="https://www.w3.org/WAI/WCAG22/Understanding/non-text-content">WCAG 1.1.1 Non-text Content</a>' in text
    )


def test_an_unknown_criterion_is_named_without_a_link() -> None:
    assert criterion_name("9.9.9") == ""
    assert criterion_url("9.9.9") == ""


def test_addresses_of_criteria_are_made_as_w3c_makes_them() -> None:
    base = "https://www.w3.org/WAI/WCAG22/Understanding/"

    assert criterion_url("1.4.3") == base + "contrast-minimum"
    assert criterion_url("4.1.2") == base + "name-role-value"
    assert criterion_url("2.5.8") == base + "target-size-minimum"
    assert criterion_url("3.3.4") == base + "error-prevention-legal-financial-data"
    assert criterion_url("1.2.1") == base + "audio-only-and-video-only-prerecorded"


def test_elements_over_the_limit_are_counted_instead_of_shown() -> None:
    text = sample.render("html", [page_of(sample.scan_result("/x", sample.finding(nodes=40, trimmed=60)))])

    assert "and 75 more elements" in text
