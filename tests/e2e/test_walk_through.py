"""docs/walk-through.md as written: ``sightline scan`` in a fresh folder, and the two barriers that it names."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from tests.support.command_line import run_sightline
from tests.support.scan_worker import ROOT, need_browser
from worker.own_redis.server import free_port

PAGE = (ROOT / "docs/walk-through.md").read_text()
STATES = ("a+tin+in+it", "gift+dialog+open", "gift+dialog+closed", "letter+open", "letter+closed")


def fails(text: str) -> list[str]:
    """Return the failures of a run, without the part of an id derived from the site's port."""
    return re.findall(r"^sightline: failed: .*(?=-[0-9a-f]{8}$)", text, re.MULTILINE)


def test_a_shop_behind_a_login_is_started_signed_in_to_once_and_judged_by_its_file(tmp_path: Path) -> None:
    need_browser()
    shutil.copytree(ROOT / "ops/demo", tmp_path / "demo")
    shop = tmp_path / "demo/journeys"
    port = str(free_port())
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    secrets = dict(re.findall(r"(SHOP_\w+)=(\S+)", PAGE))
    variables = {**inherited, **secrets, "SHOP_PORT": port, "SHOP_LOG": "logins.txt"}

    reports = (f"--format={name}={shop / file}" for name, file in (("jsonl", "pages.jsonl"), ("markdown", "report.md")))
    done = run_sightline(variables, "scan", "--config", str(shop / "sightline.toml"), *reports)

    assert (done.returncode, fails(done.stderr.replace(port, "4173"))) == (1, fails(PAGE)), done.stderr
    assert len(fails(PAGE)) == 2
    assert "13 pages: 9 with barriers, 4 without" in done.stderr
    assert len((shop / "sightline.toml").read_text().splitlines()) <= 40
    assert (shop / "logins.txt").read_text() == "signed in\n"
    report, pages = (shop / "report.md").read_text(), (shop / "pages.jsonl").read_text()
    assert "reached by `step 3 'open the gift dialog' (click text=Wrap it as a gift)`" in report
    assert [state for state in STATES if f"#:~:state={state}" not in pages] == []
    assert secrets["SHOP_PASSWORD"] not in done.stdout + done.stderr + report + pages
