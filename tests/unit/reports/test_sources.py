"""Markup of a page is found in the repository's file; a doubtful position is left out."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from producer.cli.source_files import read_sources
from producer.reports.failures import Failure, failures, github_annotations, log_lines
from producer.reports.formats import ReportContext, load_report
from producer.reports.page import Page, page_of
from producer.reports.sources import Place, Sources
from tests.unit.reports import component_pages as shop
from tests.unit.reports import sample_pages as sample

INDEX = (
    "<!doctype html>\n<html lang=en>\n<p>x\n<img class='cup'\n  src='cup.png'>\n"
    "<button>Pay</button>\n<button></button>\n"
)
PAGE = "http://127.0.0.1:8000/index.html"


@pytest.mark.parametrize(
    ("snippet", "line"),
    [
        ('<img class="cup" src="cup.png">', 4),
        ('<img src="cup.png" class="cup">', 4),
        ("<button></button>", 7),
        ('<html lang="en">', 2),
        ('<img src="other.png">', None),
        ("text", None),
        ("<button", None),
        ("", None),
    ],
)
def test_an_element_is_found_by_its_tag_and_what_follows(snippet: str, line: int | None) -> None:
    found = Sources({"public/index.html": INDEX}).place_of(snippet, PAGE)

    assert found == (Place("public/index.html", line) if line else None)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", Place("site/index.html", 1)),
        ("/about", Place("site/about.html", 1)),
        ("/cart/", Place("site/cart/index.html", 1)),
        ("/elsewhere", None),
    ],
)
def test_of_several_files_the_page_s_own_is_named_or_none(path: str, expected: Place | None) -> None:
    texts: dict[str, str] = dict.fromkeys(("site/about.html", "site/cart/index.html"), "<img src=a.png>")
    if path == "/":
        texts = {"site/about.html": "<img src=a.png>", "site/index.html": "<img src=a.png>"}

    assert Sources(texts).place_of('<img src="a.png">', f"https://shop.example{path}") == expected


def test_hostile_files_are_searched_in_no_time() -> None:
    texts = {"a.html": "<a " + 'x="' * 100_000, "b.html": "<" * 100_000, "c.html": "<a " + "y " * 100_000}

    assert Sources(texts).place_of("<a x>", PAGE) is None


def test_files_are_those_that_git_keeps(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(INDEX)
    (tmp_path / "report.html").write_text(INDEX)
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "index.html"], check=True)

    found = read_sources(tmp_path)
    assert found
    assert list(found.texts) == ["index.html"]


def test_outside_of_a_repository_there_are_no_files(tmp_path: Path) -> None:
    assert read_sources(tmp_path) is None


def test_a_file_whose_name_is_no_text_is_named_nowhere(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    for name in (b"caf\xe9.html", b"a\nb.html", b"fine.html"):
        (tmp_path / os.fsdecode(name)).write_text("<img src=a.png>")
    subprocess.run(["git", "-C", str(tmp_path), "add", "-A"], check=True)

    found = read_sources(tmp_path)

    assert found is not None
    assert list(found.texts) == ["fine.html"]


def context(**changes: object) -> ReportContext:
    known = Sources({"public/index.html": "\n\n<img src='tin.png'>"})
    return replace(ReportContext(sample.AT, fail_on=shop.sample.Impact.SERIOUS, sources=known), **changes)  # type: ignore[arg-type]


def pages() -> list[Page]:
    return [page_of(sample.scan_result("/tea.html", shop.finding("label", shop.HEADER)))]


def rendered(name: str, given: ReportContext, tmp_path: Path) -> object:
    with (tmp_path / "report").open("w+") as out:
        load_report(name)(pages(), given, out)
        out.seek(0)
        return json.load(out)


def test_sarif_names_the_file_where_one_has_the_markup_else_the_page(tmp_path: Path) -> None:
    def first(given: ReportContext) -> object:
        log: object = rendered("sarif", given, tmp_path)
        return log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]  # type: ignore[index]

    found, lost = first(context()), first(context(sources=None))

    assert found == {
        "artifactLocation": {"uri": "public/index.html", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 3, "snippet": {"text": "<img src='tin.png'>"}},
    }
    assert lost["artifactLocation"] == {"uri": "shop.example/tea.html"}  # type: ignore[index]


def test_gitlab_gets_an_entry_a_component_barrier_that_fits_its_documentation(tmp_path: Path) -> None:
    [entry] = rendered("gitlab", context(), tmp_path)  # type: ignore[misc]

    assert entry["location"] == {"path": "public/index.html", "lines": {"begin": 3}}
    assert (entry["fingerprint"], entry["check_name"]) == (shop.HEADER, "label")
    assert entry["severity"] in {"info", "minor", "major", "critical", "blocker"}
    assert entry["description"].startswith("Header › search field has no label (label): 1 element on 1 page")


def test_an_annotation_names_file_and_line() -> None:
    [annotation] = github_annotations(failures(pages(), context()))

    assert annotation.startswith("::error file=public/index.html,line=3,title=Sightline%3A Header")


def test_log_and_markdown_name_the_step_that_leads_to_a_state() -> None:
    step = "step 3 'open `it`' (click text=Sizes)"
    page = page_of(sample.scan_result("/tea.html", shop.finding("label", shop.HEADER)).revised(reached_by=step))

    [line] = log_lines(failures([page], context()))

    assert f"/tea.html, reached by {step}; fix: " in line
    assert f", reached by ``{step}``" in sample.render("markdown", [page])


def test_an_annotation_is_escaped_by_github_s_rules() -> None:
    [annotation] = github_annotations([Failure("a: b, c%", "50% of\r\nall: x, y", "a,b.html", 2)])

    assert annotation == ("::error file=a%2Cb.html,line=2,title=Sightline%3A a%3A b%2C c%25::50%25 of%0D%0Aall: x, y")
