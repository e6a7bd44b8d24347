"""The demo, run once as by ``make demo``: its findings match its README, and its report can be shared."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from producer.contract import ScanRequest
from tests.support.html_report import SHOWN, in_dark, search, select
from tests.support.open_page import opened
from tests.support.processes_of import all_gone, descendants, until_within
from tests.support.redis_server import start_or_skip
from tests.support.scan_worker import ROOT, need_browser
from tests.support.site import Site
from worker.own_redis.server import EmbeddedRedis
from worker.scan.engine import ScanEngine, ScanSettings

DEMO = ROOT / "ops" / "demo"
DEADLINE_S = 280

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Demo:
    """The results of one run of the demo: its folder of reports and its output."""

    reports: Path
    code: int
    said: str
    errors: str


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    need_browser()
    folder = tmp_path_factory.mktemp("demo")
    start_or_skip(EmbeddedRedis(folder / "probe", die_with_parent=True)).stop()
    done = subprocess.run(
        [sys.executable, str(DEMO / "run.py")],
        cwd=folder,
        # Settings of another Redis and of other workers on this machine must not affect it.
        env={**os.environ, "REDIS_PASSWORD_FILE": "/nowhere", "METRICS_PORT": "9464"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return Demo(folder / "demo-report", done.returncode, done.stdout, done.stderr)


def found_in(report: dict[str, Any], kind: str) -> dict[str, dict[str, int]]:
    """Return page → rule → elements."""
    return {
        page["url"].split("/", 3)[3]: {finding["rule"]: finding["node_count"] for finding in page[kind]}
        for page in report["pages"]
    }


def promised(column: int) -> dict[str, dict[str, int]]:
    """Return page → rule → elements as the README's table has them."""
    rows = re.findall(r"^\| `([\w/]+\.html)` \|(.*)\|$", (DEMO / "README.md").read_text(), re.MULTILINE)
    cells = {page: rest.split("|")[column] for page, rest in rows}
    return {
        page: {rule: int(count) for rule, count in re.findall(r"`([\w-]+)` (\d+)", cell)}
        for page, cell in cells.items()
    }


def test_the_demo_ends_well_and_says_what_to_type_next(demo: Demo) -> None:
    assert (demo.code, demo.errors) == (0, "")
    assert "12 pages: 9 with barriers, 3 without" in demo.said
    assert "sightline scan https://example.org/ --wait" in demo.said
    assert (demo.reports / "report.html").as_uri() in demo.said
    assert len(demo.said.splitlines()) < 100, "what a person reads; a terminal has a bar for twelve of these lines"
    assert [line for line in demo.said.splitlines() if len(line) > 100 and "file:///" not in line] == []


def test_the_demo_shows_component_barriers_a_tried_fix_and_a_page_in_use(demo: Demo) -> None:
    said = " ".join(demo.said.split())

    assert "critical Main › buy button has no name 8 elements on /teas.html" in said
    assert re.search(r"- <\w.* \+ <\w", said), "which of the fixes are tried in time depends on the machine"
    assert "this change removes the barrier and adds none." in said
    assert 'The focus does not leave "Voucher"; pressed: Tab, Shift+Tab, Escape' in said
    assert '"Sign out" responds to clicks, but not to Enter or Space' in said


def test_the_board_has_the_demos_results_until_it_is_stopped(demo: Demo) -> None:
    command = [sys.executable, str(DEMO / "board.py"), "--port", "0"]
    process = subprocess.Popen(command, cwd=demo.reports.parent, text=True, stderr=subprocess.PIPE)
    assert process.stderr is not None
    address = next(found[0] for line in process.stderr if (found := re.search(r"http://127\.0\.0\.1:\d+/", line)))

    with urlopen(Request(address, headers={"Accept": "application/json"}), timeout=60) as answer:  # noqa: S310  http
        overview = json.load(answer)

    assert overview["total"] == 55, "component barriers, as in the output"
    started = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE_S) == 0
    assert all_gone(started, within_s=30)


def test_a_board_before_any_demo_says_what_to_do(tmp_path: Path) -> None:
    command = [sys.executable, str(DEMO / "board.py")]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S, check=False)

    assert (done.returncode, done.stderr) == (1, "board: there are no results yet: run 'make demo' first\n")


def test_the_shop_has_the_barriers_its_readme_names_and_no_others(demo: Demo) -> None:
    report = json.loads((demo.reports / "report.json").read_text())

    assert found_in(report, "findings") == promised(1)
    assert found_in(report, "incomplete") == promised(2)


def test_the_repaired_twins_have_none(demo: Demo) -> None:
    report = json.loads((demo.reports / "report.json").read_text())

    twins = [page for page in report["pages"] if page["group"] == "repaired"]
    assert [(page["status"], page["findings"], page["incomplete"]) for page in twins] == [("scanned", [], [])] * 2


def test_every_kind_of_report_is_written(demo: Demo) -> None:
    assert sorted(path.name for path in demo.reports.iterdir()) == [
        "gl-code-quality-report.json",
        "junit.xml",
        "report.csv",
        "report.html",
        "report.json",
        "report.jsonl",
        "report.md",
        "report.sarif",
        "report.txt",
    ]


# ---------------------------------------------------------------------------------------------- the HTML report


@pytest.fixture
def served(demo: Demo) -> Generator[Site]:
    with Site(demo.reports) as site:
        yield site


async def test_search_filters_and_rules_of_the_report_work_without_a_server(demo: Demo) -> None:
    async with opened((demo.reports / "report.html").as_uri()) as report:
        everything = await report.run(SHOWN)
        marquee = await search(report, "Marquee")
        nothing = await search(report, "zyzzyva")
        await report.run("document.getElementById('reset').click()")
        again = await report.run(SHOWN)
        passed = await select(report, "status", "passed")
        await select(report, "status", "")
        await report.run("document.querySelector('a[data-rule=label]').click()")
        label = await report.run(SHOWN)
        components = await report.run(
            "[...document.querySelectorAll('details.component')].filter((one) => one.checkVisibility())"
            ".map((one) => one.dataset.rule)"
        )

    assert everything["said"] == "12 pages of 12, 55 component barriers"
    assert (marquee["pages"], marquee["said"]) == (["/offers.html"], "1 page of 12, 1 component barrier")
    assert nothing["pages"] == []
    assert again == everything
    assert passed["pages"] == ["/story.html", "/repaired/kettle.html", "/repaired/checkout.html"]
    assert label["pages"] == ["/checkout.html", "/kettle.html", "/index.html"]
    assert set(components) == {"label"}


async def test_failing_elements_have_screenshots(demo: Demo) -> None:
    sizes = "[...document.images].map((image) => [image.naturalWidth, image.naturalHeight, image.checkVisibility()])"
    async with opened((demo.reports / "report.html").as_uri()) as report:
        await report.run("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
        await report.until("[...document.images].every((image) => image.complete)")
        pictures = await report.run(sizes)
        of_buttons = await report.run(
            "document.querySelectorAll('#component-1[data-rule=button-name] img.crop').length"
        )

    assert len(pictures) > 20
    assert [picture for picture in pictures if min(picture[:2]) < 5 or not picture[2]] == []
    assert of_buttons == 3, "the first three of eight"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_our_own_scan_finds_nothing_wrong_in_the_report(demo: Demo, served: Site, scheme: str) -> None:
    report = (demo.reports / "report.html").read_text().replace("<details ", "<details open ")
    address = served.add(f"/{scheme}.html", in_dark(report) if scheme == "dark" else report)

    async with ScanEngine(ScanSettings(allow_private=True)) as engine:
        request = ScanRequest(url=address, standard="best-practice", deadline_s=120)
        result = (await engine.audit(request)).result

    assert result.status == "scanned"
    assert [one.rule for one in result.findings] == []
    undecided = [node.snippet for one in result.incomplete for node in one.nodes]
    other = [snippet for snippet in undecided if not re.fullmatch(r"<text [^>]*>\d+</text>", snippet)]
    assert other == [], "axe-core leaves the contrast of the Tab stops' numbers to a person: they are too short for it"


def test_a_script_makes_the_readmes_pictures_and_they_are_small(demo: Demo, tmp_path: Path) -> None:
    command = [sys.executable, str(DEMO / "screenshot.py"), str(demo.reports / "report.html"), str(tmp_path)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S, check=False)

    made = {path.name: path.read_bytes()[:24] for path in tmp_path.iterdir()}
    kept = {path.name: path.read_bytes()[:24] for path in (DEMO / "pictures").iterdir()}
    assert done.returncode == 0, done.stderr
    assert made == kept, "names, and the width and height in the PNGs' heads"
    assert all(path.stat().st_size < 200_000 for path in (DEMO / "pictures").iterdir())
    pages = ((ROOT / page).read_text() for page in ("README.md", "docs/reports.md"))
    named = re.findall(r"ops/demo/pictures/[\w.-]+", "".join(pages))
    assert {Path(name).name for name in named} == set(kept)


def test_pictures_of_no_report_say_what_to_do(tmp_path: Path) -> None:
    command = [sys.executable, str(DEMO / "screenshot.py"), str(tmp_path / "none.html")]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S, check=False)

    assert done.returncode == 1
    assert "run 'make demo' first" in done.stderr


# ---------------------------------------------------------------------------------------------- ended early


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_stopped_leaves_nothing_running(tmp_path: Path, number: signal.Signals) -> None:
    need_browser()
    process = _started(tmp_path)
    started = descendants(process.pid)

    process.send_signal(number)

    _, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130
    assert errors == "demo: stopped; nothing is left running\n"
    assert len(started) >= 3, "a Redis and two workers"
    assert all_gone(started, within_s=30)


def test_a_demo_whose_worker_dies_says_so_and_exits_1(tmp_path: Path) -> None:
    need_browser()
    process = _started(tmp_path)
    until_within(lambda: len(_workers(process.pid)) == 3, seconds=60)  # both, and what restarts them
    started = descendants(process.pid)

    os.kill(max(_workers(process.pid)), signal.SIGKILL)

    _, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert errors.startswith("demo: a worker ended by itself: ")
    assert "exit_code=-9" in errors
    assert all_gone(started, within_s=30)


def _workers(demo: int) -> list[int]:
    return [pid for pid in descendants(demo) if b"\0--processes\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def _started(folder: Path) -> subprocess.Popen[str]:
    """Return the demo at the moment when all its parts run and the pages are being scanned."""
    command = [sys.executable, "-u", str(DEMO / "run.py")]
    process = subprocess.Popen(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Scanning"):
            break
    return process
