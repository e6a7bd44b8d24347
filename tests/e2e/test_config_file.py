"""``sightline scan`` without an address follows ``sightline.toml``. Browser, worker and Redis are real."""

from __future__ import annotations

import json
import os
import shlex
import socket
import sys
from pathlib import Path

from tests.support.command_line import Call, run_sightline
from tests.support.scan_worker import StartScanWorker, need_browser
from tests.support.small_site import SmallSite, small_site
from worker.own_redis.server import free_port

PAGE = b"<!doctype html><html lang=en><title>T</title><main><h1>T</h1><img src=/x.png><button></button></main>"


def test_a_fresh_clone_is_started_scanned_and_judged_by_its_file(tmp_path: Path) -> None:
    need_browser()
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").write_bytes(PAGE)
    port = free_port()
    (tmp_path / "sightline.toml").write_text(f"""
start = "{shlex.quote(sys.executable)} -m http.server {port} --bind 127.0.0.1 --directory site"
[scan]
local = true
no_assess = true
[[site]]
url = "http://127.0.0.1:{port}/"
[[page]]
match = "/"
group = "home"
[gate]
report_only = ["button-name"]
[gate.max]
rules = {{ image-alt = 2 }}
[reports]
json = "report.json"
[[waiver]]
rule = "target-size"
reason = "later"
""")
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}

    done = run_sightline(inherited, "scan", "--config", str(tmp_path / "sightline.toml"))

    assert done.returncode == 0, done.stderr
    assert "gate.max.rules.image-alt can be lowered from 2 to 1" in done.stderr
    assert "failed: " not in done.stderr, "a run within its limits has no failure to name"
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["fail_on"], report["summary"]["failing"]) == (None, 0)
    [page] = report["pages"]
    assert page["group"] == "home"
    assert page["marks"]["waivers"][0]["reason"].startswith("only reported, by gate.report_only of ")
    assert {finding["rule"] for finding in page["findings"]} == {"image-alt", "button-name"}
    with socket.socket() as asking:
        assert asking.connect_ex(("127.0.0.1", port)) != 0, "what was started still runs"


def test_pages_of_two_sites_are_scanned_with_the_options_of_each(
    call: Call, start_worker: StartScanWorker, site: SmallSite, tmp_path: Path
) -> None:
    start_worker()
    site.files["/shop"] = PAGE
    file = tmp_path / "sightline.toml"
    with small_site() as other:
        other.files["/docs"] = PAGE
        (tmp_path / "docs.txt").write_text("X-Docs: yes\n")
        file.write_text(f"""
[scan]
no_assess = true
[[site]]
pages = "{site.url}/shop"
disable = "image-alt"
[[site]]
pages = "{other.url}/docs"
group = "docs"
header_file = "docs.txt"
[gate]
rules = ["image-alt"]
""")

        done = call("scan", "--config", str(file), "--json")

        asked = dict(zip(other.asked, other.headers, strict=True))
        assert asked["/docs"]["X-Docs"] == "yes"
        assert all("X-Docs" not in headers for headers in site.headers)
    pages = {page["url"]: page for page in map(json.loads, done.stdout.splitlines())}
    rules = {url.rpartition("/")[2]: {one["rule"] for one in page["findings"]} for url, page in pages.items()}
    assert rules == {"shop": {"button-name"}, "docs": {"button-name", "image-alt"}}
    assert [page["group"] for page in pages.values() if page["url"].endswith("/docs")] == ["docs"]
    assert done.returncode == 1
    shop_job, batch = pages[f"{site.url}/shop"]["job_id"], pages[f"{site.url}/shop"]["job_id"].rpartition("-")[0]
    assert call("result", shop_job, "--no-config").returncode == 1, "button-name counts"
    assert call("result", shop_job, "--config", str(file)).returncode == 0, "only image-alt does"
    later = call("result", batch, "--config", str(file), "--format", "table")
    assert later.returncode == 1
    shown = "".join(later.stdout.split())  # a long path is wrapped, and relative where that is shorter
    assert "onlyreported,sincegate.rulesof" in shown
    assert f"{file.parent.name}/{file.name}doesnotnametherule" in shown
