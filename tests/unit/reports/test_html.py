"""HTML: one file that loads nothing, and in which a scanned page is only ever text."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from producer.contract import Assessment, Changes, Impact, Priority, ReviewProposal
from producer.reports.formats import ReportContext, load_report
from producer.reports.html import advice
from producer.reports.html_trend import trend_of
from producer.reports.page import page_of, refused_page
from producer.reports.site_days import Day
from producer.reports.summary import summarise
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
    assert "Assembled by rules, without a language model." in text


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


def test_the_worst_page_comes_first_and_what_was_not_seen_before_it() -> None:
    one_serious = page_of(sample.scan_result("/mild.html", sample.finding("label", Impact.SERIOUS)))
    pages = [sample.passed(), one_serious, sample.with_barriers(), sample.not_scanned()[0]]

    found = re.findall(r"<h3>(.*?)</h3>", sample.render("html", pages))

    assert found == ["/gone.html", "/tea.html", "/mild.html", "/story.html"]


def test_a_picture_is_shown_with_its_element_and_nothing_but_a_picture_is_embedded() -> None:
    pictures = {"image-alt-n0": b"\x89PNG\r\n\x1a\nrest", "image-alt-n1": b"<svg onload=steal()>"}

    outline = _Outline(sample.render("html", [replace(sample.with_barriers(), pictures=pictures)]))

    sources = [value for tag, name, value in outline.attributes if (tag, name) == ("img", "src")]
    assert sources == ["data:image/png;base64," + base64.b64encode(pictures["image-alt-n0"]).decode()]


def test_a_trend_of_several_days_is_drawn_and_given_in_numbers() -> None:
    days = [Day("2026-11-01", scans=3, unread=1, critical=5), Day("2026-11-20", scans=2, unread=2), Day("2026-11-23")]
    context = ReportContext(sample.AT, trends={"shop.example": [*days, Day("2026-11-24", scans=2, serious=3, new=1)]})
    out = io.StringIO()

    load_report("html")([sample.passed()], context, out)

    text = out.getvalue()
    assert "<b>1.5 elements per page</b> failed a rule on 24 November 2026, 2.5 on 1 November 2026" in text
    assert re.findall(r'<rect class="(\w+)" x="([\d.]+)" y="([\d.]+)" width="15" height="([\d.]+)"/>', text) == [
        ("critical", "2.5", "0.0", "72.0"),
        ("serious", "22.5", "28.8", "43.2"),
    ]
    assert '<th scope="row">20 November 2026</th>' not in text, "nothing was read that day"


def test_one_day_is_no_trend() -> None:
    assert (
        trend_of("shop.example", [Day("2026-11-01", scans=3, critical=5), Day("2026-11-02", scans=1, unread=1)]) is None
    )


def test_what_changed_since_the_previous_scans_is_summed_up() -> None:
    changed = sample.scan_result("/tea.html", sample.finding(nodes=3)).model_copy(
        update={"changes": Changes(previous="s1", new=("a",), fixed=("b", "c"), unchanged=2)}
    )
    first = sample.scan_result("/new.html", sample.finding()).model_copy(update={"changes": Changes(new=("d",))})

    text = sample.render("html", [page_of(changed), page_of(first)])

    assert "Since the previous scan of 1 page: 1 new element, 2 fixed, 2 unchanged." in text


def test_what_all_elements_have_in_common_is_said_once() -> None:
    text = sample.render("html", [page_of(sample.scan_result("/x", sample.finding(nodes=5)))])

    assert text.count("Fix this") == 1


@pytest.mark.parametrize("fix", ["Fix any of the following: No alt; No…", "Fix any of the following: No alt No title"])
def test_advice_in_one_line_repeats_no_summary_of_several(fix: str) -> None:
    many = sample.finding()
    node = many.nodes[0].model_copy(update={"failure_summary": "Fix any of the following:\n  No alt\n  No title"})

    told = advice(many.model_copy(update={"nodes": (node,)}), Priority(fingerprint="f", fix=fix), "builtin")

    assert told == []


@pytest.mark.parametrize(
    ("item", "source", "told"),
    [
        (None, "qwen", []),
        (Priority(fingerprint="f", who="all", why="loud", fix="do"), "qwen", ["all", "loud", "do"]),
        (Priority(fingerprint="f", who="all", why="Impact critical.", fix="Fix this"), "builtin", ["all"]),
        (Priority(fingerprint="f", fix="Fix t…"), "qwen", []),
    ],
)
def test_advice_repeats_nothing_the_report_says_by_itself(item: Priority | None, source: str, told: list[str]) -> None:
    assert [text for _, text in advice(sample.finding(), item, source)] == told


def test_notes_on_what_the_report_lacks_are_in_it() -> None:
    out = io.StringIO()

    load_report("html")([sample.passed()], ReportContext(sample.AT, notes=("3 pictures left out",)), out)

    assert "<li>3 pictures left out</li>" in out.getvalue()


def test_elements_over_the_limit_are_counted_instead_of_shown() -> None:
    text = sample.render("html", [page_of(sample.scan_result("/x", sample.finding(nodes=40, trimmed=60)))])

    assert "and 75 more elements" in text


def test_a_proposal_stands_beside_its_element_as_one_and_changes_no_count() -> None:
    undecided = sample.finding("color-contrast", None, nodes=2).model_copy(update={"outcome": "incomplete"})
    plain = sample.scan_result(incomplete=(undecided,))
    proposal = ReviewProposal(
        fingerprint=undecided.nodes[1].fingerprint, rule="color-contrast", area="contrast", verdict="barrier",
        why="White on <b>cream</b>.", look_at="The banner.", source="m:1b",
    )  # fmt: skip
    proposed = plain.model_copy(update={"assessment": Assessment(summary="", reviews=(proposal,))})

    text = sample.render("html", [page_of(proposed)])

    assert text.count('class="proposal"') == 1
    assert "Proposed by m:1b, needs a person's decision: barrier." in text
    assert "White on &lt;b&gt;cream&lt;/b&gt;. Look at: The banner." in text
    assert 'class="assessment"' not in text
    for fail_on in (Impact.MINOR, None):
        assert summarise([page_of(proposed)], fail_on=fail_on) == summarise([page_of(plain)], fail_on=fail_on)
