"""``scan --wait`` end to end, as called by people and pipelines: exit codes, reports, the terminal."""

from __future__ import annotations

import json
import re
from pathlib import Path

from producer.keys import Keys
from tests.support.command_line import Call, drawn_by_sightline
from tests.support.scan_worker import StartScanWorker, environment_for
from tests.support.small_site import SmallSite


def test_findings_at_the_threshold_exit_1_and_the_line_is_the_result_in_redis(
    call: Call, start_worker: StartScanWorker, site: SmallSite
) -> None:
    start_worker()

    answer = call("scan", f"{site.url}/guilty", "--wait", "--timeout", "60")

    assert answer.returncode == 1
    [line] = answer.stdout.splitlines()
    shown = json.loads(line)
    kept = json.loads(call("result", shown["job_id"]).stdout)
    assert shown == kept
    assert [finding["rule"] for finding in shown["findings"]] == ["image-alt"]


def test_one_bad_address_and_one_missing_page_exit_2_and_the_others_are_scanned(
    call: Call, start_worker: StartScanWorker, site: SmallSite
) -> None:
    start_worker()
    pages = [f"{site.url}/{name}" for name in ("guilty", "missing", "clean")]

    answer = call("scan", *pages, "nonsense", "--wait", "--timeout", "60", "--format", "json")

    report = json.loads(answer.stdout)
    assert answer.returncode == 2
    assert [page.get("status", page["state"]) for page in report["pages"]] == [
        "scanned",
        "unreachable",
        "scanned",
        "refused",
    ]
    assert report["summary"]["passed"] == 1


def test_a_run_without_problems_exits_by_the_threshold(
    call: Call, start_worker: StartScanWorker, site: SmallSite
) -> None:
    start_worker()
    clean, guilty = f"{site.url}/clean", f"{site.url}/guilty"

    answers = [
        call("scan", *pages, "--timeout", "60", "--fail-on", level)
        for pages, level in (((clean, guilty), "serious"), ((clean, guilty), "never"), ((clean,), "serious"))
    ]

    assert [answer.returncode for answer in answers] == [1, 0, 0]
    assert [len(answer.stdout.splitlines()) for answer in answers] == [2, 2, 1]


def test_a_part_a_rule_and_a_group_reach_the_scan(call: Call, start_worker: StartScanWorker, site: SmallSite) -> None:
    start_worker()
    page = ("scan", f"{site.url}/guilty", "--wait", "--timeout", "60", "--fail-on", "minor")

    without_part = call(*page, "--without", "img", "--group", "/gui*=shop", "--viewport", "390x844")
    without_rule = call(*page, "--disable", "image-alt")
    no_such_rule = call(*page, "--disable", "image-alte")

    assert (without_part.returncode, without_rule.returncode, no_such_rule.returncode) == (0, 0, 64)
    assert json.loads(without_part.stdout)["group"] == "shop"
    assert "image-alte" in no_such_rule.stderr  # refused before a job is made of it


def test_several_reports_are_written_at_once(
    call: Call, start_worker: StartScanWorker, site: SmallSite, tmp_path: Path
) -> None:
    start_worker()
    sarif, reports = tmp_path / "a.sarif", tmp_path / "reports"

    answer = call(
        *("scan", "--file", "-", "--timeout", "60", "--format", f"sarif={sarif}"),
        *("--format", "html", "--format", "junit", "--output", str(reports)),
        given=f"# the shop\n{site.url}/guilty\n{site.url}/clean\n",
    )

    assert answer.returncode == 1
    assert answer.stdout == ""
    assert "1 page with findings that are serious or worse" in answer.stderr
    assert sorted(path.name for path in reports.iterdir()) == ["junit.xml", "report.html"]
    assert [result["ruleId"] for result in json.loads(sarif.read_text())["runs"][0]["results"]] == ["image-alt"]


def test_a_time_out_exits_3_and_the_job_goes_on(call: Call, site: SmallSite) -> None:
    answer = call("scan", f"{site.url}/guilty", "--id", "later", "--timeout", "0.2", "--format", "json")

    assert answer.returncode == 3
    [page] = json.loads(answer.stdout)["pages"]
    assert page["state"] == "waiting"
    assert json.loads(call("status", "later").stdout)["state"] == "queued"


def test_a_terminal_shows_a_bar_and_then_the_table(
    start_worker: StartScanWorker, site: SmallSite, redis_url: str, keys: Keys
) -> None:
    start_worker()
    environment = environment_for(redis_url, keys)

    code, drawn = drawn_by_sightline(environment, "scan", f"{site.url}/guilty", f"{site.url}/clean", "--wait")

    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn)
    assert code == 1
    assert re.search(r"Scanning.*2/2", shown, re.DOTALL)
    assert "1 page with findings that are serious or worse" in shown
    assert "{" not in shown
