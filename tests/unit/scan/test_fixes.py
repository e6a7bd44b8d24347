"""Fixes that need no judgement: the proposals for markup, and the comparison of two audits."""

from __future__ import annotations

from typing import Any

import pytest

from producer.contract.fixes import Replacement
from worker.scan.fixes import vocabulary
from worker.scan.fixes.facts import Facts
from worker.scan.fixes.failures import Failures
from worker.scan.fixes.languages import language_of, language_tag
from worker.scan.fixes.markup import MAX_DIFF_BYTES, attributes, diff_of, with_attributes
from worker.scan.fixes.rules import propose
from worker.scan.fixes.source import replacement_in

ENGLISH = "The leaves are from the hills and we pack them with care for you in our own house on the river."
GERMAN = "Die Blätter sind aus den Bergen und wir packen sie mit Sorgfalt für dich in der Stadt ein, von Hand."


def facts(markup: str, **more: Any) -> Facts:
    known: dict[str, Any] = {
        "markup": markup,
        "opening": markup,
        "near": "",
        "icons": [],
        "in_named": False,
        "in_hidden": False,
        "is_spacer": False,
        "frame_title": "",
        "heading": "",
        "language": "en",
        "text": "",
    }
    return Facts(**(known | more))  # type: ignore[typeddict-item]  # made of parts


def icon(**more: str) -> dict[str, str]:
    return {"tag": "svg", "text": "", "classes": "", "title": "", "reference": "", **more}


@pytest.mark.parametrize(
    ("rule", "markup", "known", "proposed"),
    [
        ("html-has-lang", "<html>", {"text": ENGLISH}, '<html lang="en">'),
        ("html-has-lang", '<html class="no-js">', {"text": GERMAN}, '<html class="no-js" lang="de">'),
        ("html-has-lang", "<html>", {"text": "Tea 12 kg"}, ""),
        ("html-lang-valid", '<html lang="english">', {}, '<html lang="en">'),
        ("html-lang-valid", '<html lang="en_US">', {}, '<html lang="en-US">'),
        ("html-lang-valid", '<html lang="xx-tea">', {"text": GERMAN}, '<html lang="de">'),
        ("html-xml-lang-mismatch", '<html lang="fr" xml:lang="en">', {}, '<html lang="fr" xml:lang="fr">'),
        ("valid-lang", '<p lang="french">', {}, '<p lang="fr">'),
        ("valid-lang", '<p lang="zz">', {"text": GERMAN}, ""),
        ("document-title", "<head>", {"heading": "Tea & kettles"}, "<title>Tea &amp; kettles</title>"),
        ("document-title", "<head>", {}, ""),
        (
            "meta-viewport",
            '<meta name="viewport" content="width=device-width, maximum-scale=1, user-scalable=no">',
            {},
            '<meta name="viewport" content="width=device-width">',
        ),
        ("label", '<input name="q1">', {"near": "Your town"}, '<input name="q1" aria-label="Your town">'),
        ("label", '<input placeholder="Search…">', {}, '<input placeholder="Search…" aria-label="Search">'),
        ("label", "<input>", {"near": "Leave your address. One letter a month."}, ""),
        ("label", "<input>", {"near": "Who is it for?"}, '<input aria-label="Who is it for?">'),
        ("label", '<input name="first_name">', {}, '<input name="first_name" aria-label="First name">'),
        ("label", '<input name="first_name">', {"language": "de"}, ""),
        ("label", '<input name="x1">', {}, ""),
        ("select-name", "<select>", {"near": "Size"}, '<select aria-label="Size">'),
        (
            "button-name",
            '<button class="b"><svg></svg></button>',
            {"icons": [icon(title="Add to basket")]},
            '<button class="b" aria-label="Add to basket"><svg></svg></button>',
        ),
        (
            "link-name",
            '<a href="/x"><i></i></a>',
            {"icons": [icon(tag="i", classes="fa fa-search")]},
            '<a href="/x" aria-label="Search"><i></i></a>',
        ),
        (
            "button-name",
            "<button></button>",
            {"icons": [icon(tag="use", reference="/i.svg#icon-trash")]},
            '<button aria-label="Delete"></button>',
        ),
        ("button-name", "<button></button>", {"icons": [icon(classes="blue large")]}, ""),
        ("button-name", '<button class="close"></button>', {"language": "fr"}, ""),
        ("image-alt", '<img src="a.png">', {"in_named": True}, '<img src="a.png" alt="">'),
        ("image-alt", '<img src="a.png">', {"is_spacer": True}, '<img src="a.png" alt="">'),
        ("image-alt", '<img src="a.png">', {}, ""),
        ("frame-title", '<iframe src="/map">', {"frame_title": "Map"}, '<iframe src="/map" title="Map">'),
        ("duplicate-id-aria", '<p id="hint">', {"same_ids": 2}, '<p id="hint-2">'),
        ("tabindex", '<a tabindex="5">', {}, '<a tabindex="0">'),
        ("aria-valid-attr", '<p aria-lable="x">', {}, '<p aria-label="x">'),
        ("aria-valid-attr", '<p aria-minimum="0">', {}, '<p aria-valuemin="0">'),
        ("aria-valid-attr", '<p aria-wobble="x">', {}, ""),
        ("aria-valid-attr", '<p aria-lable="x" aria-label="y">', {}, ""),
        ("aria-valid-attr-value", '<p aria-expanded="yes">', {}, '<p aria-expanded="true">'),
        ("aria-valid-attr-value", '<p aria-expanded="half">', {}, ""),
        ("aria-roles", '<p role="buton">', {}, '<p role="button">'),
        ("aria-roles", '<p role="ticker-tape">', {}, ""),
        ("autocomplete-valid", '<input autocomplete="e-mail">', {}, '<input autocomplete="email">'),
        ("autocomplete-valid", '<input autocomplete="tea">', {}, ""),
        ("scrollable-region-focusable", "<div>", {}, '<div tabindex="0">'),
        ("aria-hidden-body", '<body aria-hidden="true">', {}, "<body>"),
        ("color-contrast", "<p>", {}, ""),
    ],
)
def test_a_rule_proposes_what_the_page_says_and_nothing_else(
    rule: str, markup: str, known: dict[str, Any], proposed: str
) -> None:
    assert propose(rule, facts(markup, **known)) == proposed


@pytest.mark.parametrize("hostile", ['"><script>x()</script>', "' onclick=x()", "<b>&amp;", "a\nb"])
def test_words_of_a_page_stay_inside_their_attribute(hostile: str) -> None:
    proposed = propose("label", facts("<input>", near=f"Name {hostile}"))

    assert attributes(proposed)["aria-label"] == " ".join(f"Name {hostile}".split()).strip(" :*…")
    assert list(attributes(proposed)) == ["aria-label"]
    assert proposed.count("<") == 1


def test_long_words_and_long_markup_of_a_page_take_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert propose("html-has-lang", facts(f"<html class='{'x' * 9_000}'>", text=ENGLISH)) == ""
    monkeypatch.setattr(vocabulary, "SequenceMatcher", None)  # nothing is compared letter by letter

    for rule, attribute in (("aria-roles", "role"), ("autocomplete-valid", "autocomplete")):
        assert propose(rule, facts(f'<input {attribute}="{"ab" * 100}">')) == ""
    assert propose("aria-valid-attr", facts(f"<p aria-{'la' * 50}=x>")) == ""


def test_everything_outside_the_change_stays_identical() -> None:
    markup = "<a  href='/x?a=1&amp;b=2' data-A=\"&quot;\" hidden>Tea <b>now</b></a>"

    assert with_attributes(markup, {"hidden": None, "title": 'a "b"'}) == (
        '<a  href=\'/x?a=1&amp;b=2\' data-A="&quot;" title="a &quot;b&quot;">Tea <b>now</b></a>'
    )
    assert with_attributes("no tag", {"a": "b"}) == "no tag"


@pytest.mark.parametrize(("text", "language"), [(ENGLISH, "en"), (GERMAN, "de"), (ENGLISH + GERMAN, ""), ("", "")])
def test_a_language_is_detected_by_its_commonest_words_or_not_at_all(text: str, language: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize(("text", "tag"), [("EN", "en"), ("de_at", "de-AT"), ("Deutsch", "de"), ("qq", ""), ("", "")])
def test_a_wrong_language_is_what_people_mean_by_it(text: str, tag: str) -> None:
    assert language_tag(text) == tag


def test_a_diff_is_short_whatever_the_markup() -> None:
    assert diff_of("<html>", '<html lang="en">') == '-<html>\n+<html lang="en">'
    assert diff_of("", "<title>Tea</title>") == "+<title>Tea</title>"
    long = diff_of(f'<a class="{"x" * 50_000}">', f'<a class="{"x" * 50_000}" title="é">')
    assert len(long.encode()) <= MAX_DIFF_BYTES
    assert [line[0] for line in long.splitlines()] == ["-", "+"]


def test_a_replacement_is_known_where_the_source_has_the_element_once() -> None:
    source = '<!doctype html>\n<html>\n<p>é <img src="a.png"></p>'

    assert replacement_in(source, '<img src="a.png">', "<img>") == Replacement(
        start_line=3, start_column=6, end_line=3, end_column=23, text="<img>"
    )
    assert replacement_in(source + source, "<html>", "x") is None
    assert replacement_in(source, "", "x") is None


# ---------------------------------------------------------------------------------------------- two audits


def rule(name: str, *paths: str, count: int | None = None) -> dict[str, Any]:
    return {"id": name, "nodes": [{"ancestry": [path]} for path in paths], "nodeCount": count or len(paths)}


def test_a_barrier_is_removed_if_its_element_neither_fails_nor_is_undecided() -> None:
    before, failure = Failures.of([rule("label", "a", "b")]), ("label", '["a"]')

    assert before.is_removed_in(Failures.of([rule("label", "b")]), failure)
    assert not before.is_removed_in(Failures.of([rule("label", "a", "b")]), failure)
    assert not before.is_removed_in(Failures.of([rule("label", "b")], [rule("label", "a")]), failure)
    assert not before.is_removed_in(Failures.of([rule("label", "b", "c")]), failure), "the element has moved"


def test_what_fails_for_other_elements_is_added_and_trimmed_lists_are_compared_by_number() -> None:
    before = Failures.of([rule("label", "a"), rule("image-alt", "x", count=900)])

    assert before.added_in(Failures.of([rule("image-alt", "y", count=900)])) == []
    assert before.added_in(Failures.of([rule("label", "b"), rule("image-alt", "x", count=901)])) == [
        "image-alt",
        "label",
    ]
