"""The table: fits its terminal, ends with the totals, and is plain in a pipe."""

from __future__ import annotations

import io

import pytest

from producer.contract import Impact
from producer.reports.formats import ReportContext, load_report
from producer.reports.page import page_of
from producer.reports.table import write_overview
from tests.unit.reports import sample_pages as sample


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    long = page_of(sample.scan_result("/a/very/long/path/" + "x" * 300, sample.finding(rule="r" * 150, nodes=3)))

    text = sample.render("table", [*sample.every_kind(), sample.hostile(), long], width=width)

    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("width", [40, 80, 120])
def test_both_ends_of_a_long_path_are_seen(width: int) -> None:
    page = page_of(sample.scan_result("/shop/" + "x" * 300 + "/checkout.html"))

    text = sample.render("table", [page], width=width)

    assert "/sho" in text
    assert "out.html" in text


def test_a_page_shows_its_elements_by_impact_and_its_worst_rule() -> None:
    text = sample.render("table", [sample.with_barriers()], width=120)

    row = next(line for line in text.splitlines() if line.startswith("/tea.html"))
    assert row.split() == ["/tea.html", "barriers", "3", "0", "1", "0", "image-alt"]


def test_a_page_that_was_not_scanned_shows_no_zeros() -> None:
    text = sample.render("table", [sample.passed(), sample.not_scanned()[0]], width=120)

    row = next(line for line in text.splitlines() if line.startswith("/gone.html"))
    assert row.split() == ["/gone.html", "unreachable", "-", "-", "-", "-"]


def test_the_sums_come_last() -> None:
    text = sample.render("table", sample.every_kind())

    assert text.splitlines()[-4:] == [
        "9 pages: 1 with barriers, 1 without, 7 not scanned",
        "5 barriers: 4 critical, 1 moderate",
        "1 finding to review",
        "2 pages with findings that are serious or worse",
    ]


def test_a_heading_that_does_not_fit_hangs_and_keeps_its_criteria_whole() -> None:
    help_text = "Elements must meet minimum color contrast ratio thresholds"
    page = page_of(sample.scan_result("/x", sample.finding("color-contrast", Impact.SERIOUS, help_text=help_text)))

    narrow = sample.render("table", [page], width=72).splitlines()
    wide = sample.render("table", [page], width=120).splitlines()

    start = narrow.index("serious  color-contrast  Elements must meet minimum color contrast")
    assert narrow[start + 1 : start + 3] == ["    ratio thresholds  WCAG 1.1.1", "    /x  #color-contrast-0"]
    assert f"serious  color-contrast  {help_text}  WCAG 1.1.1" in wide


def test_criteria_that_do_not_fit_stand_in_a_line_of_their_own() -> None:
    page = page_of(sample.scan_result("/x", sample.finding(help_text="Images must have text that tells")))

    lines = sample.render("table", [page], width=60).splitlines()

    start = lines.index("critical  image-alt  Images must have text that tells")
    assert lines[start + 1] == "    WCAG 1.1.1"


def test_advice_names_who_wrote_it() -> None:
    text = sample.render("table", [sample.with_barriers()])

    assert "fix, by builtin: mend image-alt" in text


def test_every_page_has_a_line_even_of_a_thousand() -> None:
    pages = [page_of(sample.scan_result(f"/{number}.html")) for number in range(1000)]

    text = sample.render("table", pages)

    assert sum("no barriers" in line for line in text.splitlines()) == 1000


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _coloured(monkeypatch: pytest.MonkeyPatch, *, no_color: bool) -> str:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    out = _Terminal()
    load_report("table")([sample.with_barriers()], ReportContext(sample.AT, fail_on=Impact.SERIOUS, width=80), out)
    return out.getvalue()


def test_a_terminal_gets_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[1;31m" in _coloured(monkeypatch, no_color=False)


def test_no_colour_is_used_with_no_color_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[1;31m" not in _coloured(monkeypatch, no_color=True)


def test_nothing_but_text_goes_into_a_pipe() -> None:
    assert "\x1b" not in sample.render("table", sample.every_kind())


def test_the_overview_has_the_pages_and_the_sums_and_no_rule() -> None:
    out = io.StringIO()

    write_overview(sample.every_kind(), ReportContext(sample.AT, fail_on=Impact.SERIOUS, width=80), out)

    assert out.getvalue() in sample.render("table", sample.every_kind())
    assert out.getvalue().startswith("Page")


def test_a_pipe_gets_addresses_whole_and_no_padding() -> None:
    path = f"/{'a-long-name/' * 40}tea.html?{'q' * 300}=1"
    pages = [page_of(sample.scan_result(path, sample.finding())), *sample.every_kind()]

    lines = sample.render("table", pages, width=None).splitlines()

    assert any(path in line for line in lines if line.startswith(path)), "in the list of pages"
    assert any(path in line for line in lines if not line.startswith(path)), "with the finding"
    assert max(map(len, lines)) < 1_000, "filled up to no width"
