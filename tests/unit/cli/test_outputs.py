"""Outputs: the destinations of reports, and that partial reports are never visible."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from producer.cli.outputs import Output, plan_outputs, replacing, write_reports
from producer.errors import InputError
from producer.reports.formats import ReportContext
from producer.reports.page import Page, refused_page

CONTEXT = ReportContext(datetime(2026, 11, 23, tzinfo=UTC))
PAGES = [refused_page("nonsense", "no scheme")]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(*formats: str, output: str | None = None) -> list[tuple[str, str | None]]:
    made = plan_outputs(formats, output, default="table")
    return [(item.format, str(item.path) if item.path else None) for item in made]


def test_without_an_option_the_default_format_goes_to_stdout() -> None:
    assert plan() == [("table", None)]


def test_a_format_may_name_its_file() -> None:
    assert plan("html=a.html", "json") == [("html", "a.html"), ("json", None)]


@pytest.mark.parametrize(
    ("formats", "output"),
    [(("html=r.xml", "junit=r.xml"), None), (("html=r.xml", "junit=./x/../r.xml"), None), (("html=r", "json"), "r")],
)
def test_two_reports_for_one_file_are_refused(formats: tuple[str, ...], output: str | None, folder: Path) -> None:
    (folder / "x").mkdir()

    with pytest.raises(InputError, match="cannot both be written to"):
        plan(*formats, output=output)


def test_two_reports_may_go_to_the_null_device() -> None:
    assert len(plan("html=/dev/null", "json=/dev/null")) == 2


def test_one_format_goes_to_the_output_file() -> None:
    assert plan("csv", output="a.txt") == [("csv", "a.txt")]


@pytest.mark.parametrize(
    ("output", "chosen"),
    [
        ("a.html", "html"),
        ("a.json", "json"),
        ("a.jsonl", "jsonl"),
        ("a.csv", "csv"),
        ("a.md", "markdown"),
        ("a.xml", "junit"),
        ("a.sarif", "sarif"),
        ("a.txt", "table"),
        ("A.HTML", "html"),
    ],
)
def test_without_a_format_the_files_suffix_chooses(output: str, chosen: str) -> None:
    assert plan(output=output) == [(chosen, output)]


def test_several_formats_go_into_the_output_folder_which_is_made() -> None:
    made = plan("html", "junit", output="reports")

    assert made == [("html", "reports/report.html"), ("junit", "reports/junit.xml")]
    assert Path("reports").is_dir()


def test_one_format_goes_into_a_folder_that_exists() -> None:
    Path("reports").mkdir()

    assert plan("html", output="reports") == [("html", "reports/report.html")]


def test_reports_are_written_whole_and_leave_nothing_beside_them(capsys: pytest.CaptureFixture[str]) -> None:
    write_reports([Output("json", Path("a.json")), Output("csv", Path("b.csv"))], PAGES, CONTEXT)

    assert [line.split()[-1] for line in capsys.readouterr().err.splitlines()[-2:]] == ["a.json", "b.csv"]
    assert sorted(path.name for path in Path().iterdir()) == ["a.json", "b.csv"]


class _Breaking(list[Page]):
    """Pages whose writing fails in the middle, as on a full disk."""

    def __iter__(self) -> Iterator[Page]:
        yield PAGES[0]
        raise OSError(28, "No space left on device")


def test_a_report_that_fails_half_way_leaves_the_old_one() -> None:
    Path("a.json").write_text("the old one")

    with pytest.raises(OSError, match=r"No space left on device: 'a\.json'"):
        write_reports([Output("json", Path("a.json"))], _Breaking(), CONTEXT)

    assert Path("a.json").read_text() == "the old one"
    assert list(Path().iterdir()) == [Path("a.json")]


def test_of_two_programs_that_write_one_report_each_writes_a_whole_one() -> None:
    """Their process ids may be equal: in containers that share a folder."""
    with replacing(Path("a.txt")) as first:
        first.write("the first")
        first.flush()
        with replacing(Path("a.txt")) as second:
            second.write("2")
        assert Path("a.txt").read_text() == "2"
        first.write(" whole")

    assert Path("a.txt").read_text() == "the first whole"
    assert list(Path().iterdir()) == [Path("a.txt")]


def test_a_device_is_written_to_and_not_replaced(folder: Path) -> None:
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    write_reports([Output("jsonl", pipe)], PAGES, CONTEXT)

    assert b'"url":"nonsense"' in os.read(reader, 10_000)
    assert pipe.is_fifo()
    os.close(reader)
