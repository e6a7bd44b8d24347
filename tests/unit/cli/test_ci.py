"""The log of a CI job: a line for each failure, and nothing that the CI system would interpret."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from producer.cli import connect
from producer.cli.ci import ci_system, harmless, say
from producer.cli.job_log import say_nothing_was_tested
from producer.cli.main import run
from producer.cli.outputs import Output, write_reports
from producer.cli.scan.baseline import Baseline
from producer.cli.scan.gate import Gate
from producer.cli.scan.options import ScanOptions
from producer.cli.scan.sitemap_targets import tell
from producer.cli.scan.submit import Queued, ScanPlan
from producer.cli.scan.target_list import Targets
from producer.cli.scan.wait import Waiting
from producer.contract import Impact
from producer.reports.formats import FORMATS, ReportContext
from producer.reports.page import Page, refused_page
from tests.support.scan_worker import ROOT
from tests.unit.reports import component_pages, sample_pages

CONTEXT = ReportContext(datetime(2026, 11, 28, tzinfo=UTC), fail_on=Impact.SERIOUS)
GITHUB = {"CI": "true", "GITHUB_ACTIONS": "true"}
REMARK = re.compile(r"^\s*(click\.echo\()?f?\"sightline: ")


@pytest.mark.parametrize(
    ("variables", "system"),
    [
        ({}, ""),
        ({"CI": "false"}, ""),
        ({"CI": "true"}, "other"),
        ({"JENKINS_URL": "http://jenkins.example/"}, "other"),
        ({"TF_BUILD": "True"}, "other"),
        ({"CI": "true", "GITLAB_CI": "true"}, "gitlab"),
        (GITHUB, "github"),
    ],
)
def test_a_ci_system_is_known_by_its_variables(variables: Mapping[str, str], system: str) -> None:
    assert ci_system(variables) == system


@pytest.mark.parametrize(
    "text", ["::error::x", "fine\n  ::stop-commands::x", "name ##[error]x", "##vso[task.complete]", "##teamcity[x]"]
)
def test_no_text_of_a_page_is_a_command_of_a_ci_system(text: str) -> None:
    told = harmless(text)

    assert told.replace("\u2060", "") == text
    assert not any(line.lstrip().startswith("::") for line in told.splitlines())
    assert "##" not in told


@pytest.mark.parametrize("text", ["# heading ## two", "a::b", "http://x.example/#/route"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text


def test_each_remark_is_safe_for_a_job_s_log(capsys: pytest.CaptureFixture[str]) -> None:
    say("no comment: ##vso[task.setvariable]x")

    printed = [
        f"{path.relative_to(ROOT)}:{number}"
        for package in ("producer", "worker")
        for path in sorted((ROOT / package).rglob("*.py"))
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if REMARK.search(line) and "harmless(" not in line
    ]

    assert printed == []
    said = capsys.readouterr().err
    assert "task.setvariable" in said
    assert "##" not in said


@pytest.fixture
def in_ci(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A job of GitHub's, in a folder that is no repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(connect.os, "environ", {**os.environ, **GITHUB})


def written(outputs: Sequence[Output], pages: Sequence[Page], capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    write_reports(outputs, pages, CONTEXT)
    told = capsys.readouterr()
    return told.out, told.err


def test_a_run_whose_reports_are_files_says_in_a_line_each_what_fails_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = [*component_pages.pages(4), refused_page("nonsense", "no scheme")]

    _, err = written([Output("json", tmp_path / "a.json")], pages, capsys)

    lines = [line for line in err.splitlines() if line.startswith("sightline: failed: ")]
    assert len(lines) == 2
    assert "critical: Header › search field has no label (label): #label-0 on https://shop.example/0.html" in lines[0]
    assert "and 3 more pages; fix: " in lines[0]
    assert component_pages.HEADER in lines[0]
    assert "no scheme" in err


@pytest.mark.usefixtures("in_ci")
def test_what_does_not_fail_the_run_is_in_no_such_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    minor = sample_pages.page_of(sample_pages.scan_result("/x", sample_pages.finding("region", Impact.MODERATE)))

    _, err = written([Output("json", tmp_path / "a.json")], [minor, sample_pages.passed()], capsys)

    assert "failed: " not in err
    assert "::error" not in err


@pytest.mark.usefixtures("in_ci")
def test_github_gets_an_annotation_for_each_failure_and_for_no_other_finding(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, err = written([Output("table", None)], [*component_pages.pages(2), sample_pages.hostile()], capsys)

    annotations = [line for line in err.splitlines() if line.startswith("::error ")]
    assert len(annotations) == 3
    assert annotations[0].startswith("::error title=Sightline%3A ")
    assert not any(line.lstrip().startswith("::") for line in out.splitlines())
    assert "##[" not in out + err


def test_the_totals_of_a_job_whose_reports_are_files_have_no_command_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connect.os, "environ", {**os.environ, "TF_BUILD": "True"})
    commands = refused_page("https://shop.example/x", "##[error]x ##vso[task.complete]")

    _, err = written([Output("json", tmp_path / "a.json")], [commands], capsys)

    assert "task.complete" in err
    assert "##[" not in err
    assert "##vso" not in err


@pytest.mark.usefixtures("in_ci")
def test_pages_that_a_log_leaves_out_are_counted_as_pages(capsys: pytest.CaptureFixture[str]) -> None:
    refused = [refused_page(f"https://shop.example/{number}", "gone") for number in range(60)]

    _, err = written([Output("json", None)], refused, capsys)

    assert "more pages; all are in the reports" in err
    assert "component barrier" not in err


@pytest.mark.usefixtures("in_ci")
def test_annotations_of_a_run_that_writes_json_lines_name_the_file_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tea.html").write_text("<img src='tin.png'>")
    for words in (["init", "-q"], ["add", "tea.html"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    page = sample_pages.page_of(sample_pages.scan_result("/tea.html", sample_pages.finding()))
    queued = Queued("b", urls={page.job_id: page.url})
    plan, lines = ScanPlan((page.url,), {}, "b"), (Output("jsonl", None),)
    waiting = Waiting(plan, Targets(), queued, lines, ScanOptions(), Gate(), Baseline())

    waiting._take(page)  # as if it had been scanned
    code = waiting.run(lambda _: None)

    assert code == 1
    assert "\n::error file=tea.html,line=1,title=Sightline%3A " in capsys.readouterr().err


@pytest.mark.usefixtures("in_ci")
def test_a_job_that_only_queues_says_that_nothing_was_tested(capsys: pytest.CaptureFixture[str]) -> None:
    say_nothing_was_tested("nightly")

    err = capsys.readouterr().err
    assert "nothing was tested yet" in err
    assert "sightline result nightly --wait" in err
    assert "\n::warning title=Sightline%3A " in err


def test_outside_ci_nothing_is_reported_about_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connect.os, "environ", {"PATH": os.environ["PATH"]})

    say_nothing_was_tested("nightly")

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("variables", "to_file", "is_for_people"),
    [({}, False, False), ({"CI": "true"}, False, True), ({"CI": "true"}, True, False)],
)
def test_a_pipe_is_a_log_in_ci_and_a_file_is_a_program_s(
    variables: Mapping[str, str], to_file: bool, is_for_people: bool, tmp_path: Path
) -> None:
    script = "import sys; from producer.cli.terminal import is_for_people as f; sys.stderr.write(str(f()))"
    with (tmp_path / "out").open("w") as file:
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={"PATH": os.environ["PATH"], **variables},
            stdout=file if to_file else subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
            timeout=60,
        )

    assert done.stderr == str(is_for_people)


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_that_a_log_may_show_has_a_command(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connect.os, "environ", {**os.environ, "TF_BUILD": "True"})
    text = "##vso[task.setvariable variable=PATH]x"
    refused = refused_page("https://shop.example/#/##[error]x", text)

    out, err = written([Output(name, None)], [refused], capsys)

    assert "task.setvariable" in out
    assert not re.search(r"##\w*\[", out + err)
    if name == "jsonl":
        assert json.loads(out)["error"]["message"] == text


def test_neither_an_error_nor_a_search_for_pages_says_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    """An address to which a site redirects, or which its sitemap lists, may contain one."""
    command = "##vso[task.setvariable variable=x]y"

    run(["status", command])
    tell(f"1 page of 1 sitemap, such as https://a.example/{command}")

    said = capsys.readouterr().err
    assert said.count("vso[task.setvariable") == 2
    assert "##vso[" not in said
