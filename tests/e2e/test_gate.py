"""A pipeline's gate on the demo's shop, by history and by a baseline with a fresh Redis. All parts are real. Two scans,
the second with one new barrier, which alone fails the run and is named. Without it, or with a waiver, the run passes;
with an unreachable page the run says so and reports the others.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import Call
from tests.support.redis_server import StartServer
from tests.support.scan_worker import ROOT, StartScanWorker
from tests.support.site import Site

DEMO = ROOT / "ops" / "demo" / "site"
PAGES = ("kettle.html", "story.html")
BUTTON, LINK = '<button id="pay"></button>', '<a href="/pay"></a>'
FINE, FINDINGS, NOT_SCANNED = 0, 1, 2


@dataclass
class Shop:
    """A copy of the demo's shop on a server, of which ``story.html`` is without barriers."""

    folder: Path
    address: str

    @property
    def pages(self) -> list[str]:
        return [f"{self.address}{name}" for name in PAGES]

    def tell(self, more: str = "") -> None:
        """Publish the story unchanged, or with added markup."""
        story = (DEMO / "story.html").read_text()
        (self.folder / "story.html").write_text(story.replace("</main>", f"{more}</main>"))


@pytest.fixture
def shop(tmp_path: Path) -> Generator[Shop]:
    folder = tmp_path / "site"
    shutil.copytree(DEMO, folder)
    with Site(folder) as served:
        yield Shop(folder, served.url("/"))


def rules_named(done: subprocess.CompletedProcess[str]) -> set[str]:
    """The rules of which a table names component barriers that fail the run, in its upper part."""
    named = r"^(?:critical|serious|moderate|minor)  .*\n    ([a-z-]+), \d+ element"
    return set(re.findall(named, done.stdout, re.MULTILINE))


def marks_of(report: Path, rule: str) -> dict[str, str]:
    """Page and mark of each element that breaks ``rule``; its fingerprint is the key."""
    found: dict[str, str] = {}
    pages: Any = json.loads(report.read_text())["pages"]
    for page in pages:
        for finding in page.get("findings", []):
            for node in finding["nodes"] if finding["rule"] == rule else []:
                found[node["fingerprint"]] = page["marks"]["barriers"][node["fingerprint"]]
    return found


def hold_the_gate(call: Call, shop: Shop, gate: tuple[str, ...], report: Path) -> None:
    """Check all promises of the gate about known pages, with either kind of comparison in ``gate``."""
    options = (*gate, "--fail-on", "serious", "--timeout", "60", "--format", "table", "--format", f"json={report}")
    same = call("scan", *shop.pages, *options)
    shop.tell(BUTTON)
    worse = call("scan", *shop.pages, *options)
    [new] = [name for name, mark in marks_of(report, "button-name").items() if mark == "new"]
    old = [mark for name, mark in marks_of(report, "button-name").items() if name != new]
    shop.tell()
    mended = call("scan", *shop.pages, *options)
    call("waive", new, "--reason", "the till is replaced in May", "--until", "2999-05-01")
    shop.tell(BUTTON)
    waived = call("scan", *shop.pages, *options)
    shop.tell(LINK)
    lost = call("scan", *shop.pages, f"{shop.address}gone.html", *options)

    assert same.returncode == FINE, same.stdout
    assert rules_named(same) == set()
    assert worse.returncode == FINDINGS
    assert rules_named(worse) == {"button-name"}
    assert "1 page with new findings that are serious or worse" in worse.stdout
    assert old == ["known"], "the kettle's, from before"
    assert mended.returncode == FINE
    assert lost.returncode == NOT_SCANNED
    assert rules_named(lost) == {"link-name"}
    assert "Not scanned, so not a pass: 1 page" in lost.stdout
    assert waived.returncode == FINE
    assert rules_named(waived) == set()
    assert f"waived until 2999-05-01: the till is replaced in May ({new})" in " ".join(waived.stdout.split())


def test_by_history_only_what_is_new_fails(
    call: Call, start_worker: StartScanWorker, shop: Shop, tmp_path: Path
) -> None:
    start_worker()
    first = call("scan", *shop.pages, "--only-new", "--fail-on", "serious", "--format", "table")

    hold_the_gate(call, shop, ("--only-new",), tmp_path / "all.json")

    assert first.returncode == FINDINGS, "without a past all is new"
    assert "1 page: no earlier scan, so all its barriers are new" in first.stdout


def test_by_a_baseline_only_what_is_new_fails_though_redis_is_fresh(
    call: Call, start_worker: StartScanWorker, redis_server: StartServer, shop: Shop, tmp_path: Path
) -> None:
    known = tmp_path / "known.json"
    start_worker()
    written = call("scan", *shop.pages, "--write-baseline", str(known), "--fail-on", "never")
    fresh = redis_server().url
    start_worker(REDIS_URL=fresh)

    call_fresh = partial(call, REDIS_URL=fresh)

    hold_the_gate(call_fresh, shop, ("--baseline", str(known)), tmp_path / "all.json")
    kettle = shop.folder / "kettle.html"
    kettle.write_text(kettle.read_text().replace("<img", "<img alt='' "))
    mended = call_fresh("scan", shop.pages[0], "--baseline", str(known), "--timeout", "60", "--format", "table")

    assert written.returncode == FINE
    assert "sightline: fixed, and still in the baseline: /kettle.html image-alt" in mended.stderr
