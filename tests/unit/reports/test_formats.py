"""Properties of every format."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from producer.contract import Impact, ScanResult
from producer.errors import InputError
from producer.reports.formats import FORMATS, load_report
from producer.reports.page import Page, page_of, refused_page
from tests.support.rows import check_each
from tests.unit.reports import sample_pages as sample


@pytest.mark.parametrize("name", FORMATS)
def test_a_page_that_could_not_be_scanned_is_shown_with_its_problem(name: str) -> None:
    def is_shown(page: Page) -> None:
        text = sample.render(name, [sample.passed(), page], width=200)

        shown = text.replace("\\", "").replace("&#39;", "'").replace("&apos;", "'")
        assert page.url.removeprefix(sample.SITE) in shown
        assert page.problem in shown

    check_each(sample.not_scanned(), is_shown)


@pytest.mark.parametrize("name", FORMATS)
def test_no_pages_at_all_is_a_report_too(name: str) -> None:
    text = sample.render(name, [])

    assert isinstance(text, str)


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_passes_a_page_s_control_characters_to_the_terminal(name: str) -> None:
    text = sample.render(name, [sample.hostile()])

    assert "\x1b[2J" not in text
    assert "\x9b" not in text
    if name != "html":  # nobody prints it into a log, and code keeps its lines there
        assert "\n::error::" not in text, "a CI system takes such a line for a command"


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in {"json", "jsonl", "sarif"}])
def test_no_format_for_people_passes_a_page_s_direction_marks(name: str) -> None:
    assert "\u202e" not in sample.render(name, [sample.hostile()])


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_pages_make_the_same_report(name: str) -> None:
    assert sample.render(name, sample.every_kind()) == sample.render(name, sample.every_kind())


@pytest.mark.parametrize("name", FORMATS)
def test_an_invalid_address_is_in_the_report(name: str) -> None:
    text = sample.render(name, [sample.passed(), refused_page("http://[::1/tea.html", "no URL")], width=200)

    assert "http://[::1/tea.html" in text.replace("\\", "")


@pytest.mark.parametrize("count", [0, -1])
@pytest.mark.parametrize("name", FORMATS)
def test_a_stored_finding_that_has_no_element_counts_as_one_in_every_format(name: str, count: int) -> None:
    stored = sample.scan_result("/tea.html", sample.finding()).model_dump(mode="json")
    stored["findings"][0] |= {"nodes": [], "node_count": count}
    stored["barriers"] = {}
    page = page_of(ScanResult.model_validate(stored))

    text = sample.render(name, [page, sample.passed()], width=200)

    assert "image-alt" in text
    assert page.barriers[Impact.CRITICAL] == 1


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="'pdf' is unknown: expected one of table, json"):
        load_report("pdf")


def test_file_names_in_a_folder_do_not_collide() -> None:
    assert len(set(FORMATS.values())) == len(FORMATS)


def test_naming_the_formats_imports_neither_pydantic_nor_rich_nor_jinja() -> None:
    script = (
        "import sys, json, producer.reports.formats;"
        "print(json.dumps([n for n in ('pydantic', 'rich', 'jinja2', 'junitparser', 'redis') if n in sys.modules]))"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    assert json.loads(done.stdout) == []
