"""A pipeline that fails on new barriers only: by history, by a baseline file, and with waivers. All parts are real."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.keys import Keys
from tests.e2e.conftest import Site
from tests.support.redis_server import delete_environment
from tests.support.scan_worker import ROOT, StartScanWorker, environment_for

Call = Callable[..., subprocess.CompletedProcess[str]]
NEW = "<button id='pay'></button>"
GATE = ("--only-new", "--fail-on", "serious", "--timeout", "60")


def page(more: str = "") -> tuple[int, str, bytes]:
    text = (
        f"<!doctype html><html lang=en><title>Shop</title><main><h1>Shop</h1><img src='/cup.png'>{more}</main></html>"
    )
    return 200, "text/html", text.encode()


@pytest.fixture
def shop(site: Site) -> Site:
    """Two pages with one old barrier each."""
    site.pages["/shop"], site.pages["/tea"] = page(), page()
    return site


@pytest.fixture
def call(redis_url: str, keys: Keys) -> Call:
    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "producer.cli.main", *arguments],
            cwd=ROOT,
            env=environment_for(redis_url, keys, **variables),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture
def fresh(redis_url: str) -> Generator[Keys]:
    """An environment without a past, as a Redis of a pipeline's own is."""
    keys = Keys(environment=f"t{secrets.token_hex(8)}")
    yield keys
    delete_environment(redis_url, keys)


def pages_of(shop: Site) -> tuple[str, str]:
    return f"{shop.url}/shop", f"{shop.url}/tea"


def marks_of(report: Any) -> dict[str, list[str]]:
    """The marks of the rules of all pages."""
    marks: dict[str, list[str]] = {}
    for page in report["pages"]:
        for finding in page.get("findings", []):
            for node in finding["nodes"]:
                marks.setdefault(finding["rule"], []).append(page["marks"]["barriers"][node["fingerprint"]])
    return marks


async def kept_of_jobs(redis: Redis, keys: Keys) -> bytes:
    """All that Redis holds of the jobs of this test: hashes, results, secrets and events."""
    found: list[Any] = await cast("Any", redis).xrange(keys.events)
    for key in [key async for key in redis.scan_iter(match=f"{keys.prefix}*")]:
        if key.startswith((keys.job("").encode(), keys.secret("").encode())):
            found.append(await cast("Any", redis).hgetall(key))
        elif key.startswith(keys.result("").encode()):
            found.append(await redis.get(key))
    assert len(found) > 2, "nothing was looked at"
    return repr(found).encode()


def test_only_a_new_barrier_fails_and_the_table_names_it_alone(
    call: Call, start_worker: StartScanWorker, shop: Site, tmp_path: Path
) -> None:
    start_worker()
    first = call("scan", *pages_of(shop), *GATE, "--format", "table")
    same = call("scan", *pages_of(shop), *GATE, "--format", "table")
    shop.pages["/shop"] = page(NEW)

    worse = call("scan", *pages_of(shop), *GATE, "--format", "table", "--format", f"json={tmp_path / 'all.json'}")

    assert (first.returncode, same.returncode, worse.returncode) == (1, 0, 1)
    assert "2 pages: no earlier scan, so all its barriers are new" in first.stdout
    assert "image-alt" not in same.stdout
    assert "2 known barriers not counted" in same.stdout
    assert "button-name" in worse.stdout
    assert "image-alt" not in worse.stdout
    assert "1 page with new findings that are serious or worse" in worse.stdout
    report = json.loads((tmp_path / "all.json").read_text())
    assert marks_of(report) == {"button-name": ["new"], "image-alt": ["known", "known"]}


def test_a_waived_barrier_is_0_and_listed_until_its_waiver_is_removed(
    call: Call, start_worker: StartScanWorker, shop: Site, tmp_path: Path
) -> None:
    start_worker()
    shop.pages["/shop"] = page(NEW)
    found = json.loads(call("scan", f"{shop.url}/shop", "--wait").stdout)["findings"]
    prints = {finding["rule"]: finding["nodes"][0]["fingerprint"] for finding in found}
    for rule in ("button-name", "image-alt"):
        call("waive", prints[rule], "--reason", f"{rule} goes in May", "--until", "2999-05-01")

    waived = call("scan", f"{shop.url}/shop", "--format", "table", "--format", f"sarif={tmp_path / 'a.sarif'}")
    call("waive", "--remove", prints["image-alt"])
    again = call("scan", f"{shop.url}/shop", "--format", "table")

    assert waived.returncode == 0
    assert f"waived until 2999-05-01: button-name goes in May ({prints['button-name']})" in " ".join(
        waived.stdout.split()
    )
    results = json.loads((tmp_path / "a.sarif").read_text())["runs"][0]["results"]
    assert [result["suppressions"][0]["properties"]["until"] for result in results] == ["2999-05-01"] * 2
    assert again.returncode == 1
    assert [json.loads(line)["fingerprint"] for line in call("waive", "--list").stdout.splitlines()] == [
        prints["button-name"]
    ]


async def test_an_expired_waiver_counts_again_and_is_named(
    call: Call, start_worker: StartScanWorker, shop: Site, redis: Redis, keys: Keys
) -> None:
    start_worker()
    finding = json.loads(call("scan", f"{shop.url}/shop", "--wait").stdout)["findings"][0]
    waiver = {"fingerprint": finding["fingerprint"], "reason": "gone in May", "until": "2001-05-31"}
    await cast("Any", redis).hset(keys.waivers, finding["fingerprint"], json.dumps(waiver))

    answer = call("scan", f"{shop.url}/shop", "--wait")

    assert answer.returncode == 1
    assert f"the waiver of {finding['fingerprint']} expired on 2001-05-31 (gone in May)" in answer.stderr


def test_a_page_that_cannot_be_scanned_is_2_and_the_others_are_reported(
    call: Call, start_worker: StartScanWorker, shop: Site
) -> None:
    start_worker()
    call("scan", *pages_of(shop), "--wait")
    shop.pages["/shop"] = page(NEW)

    answer = call("scan", *pages_of(shop), f"{shop.url}/missing", *GATE, "--format", "table")

    assert answer.returncode == 2
    assert "button-name" in answer.stdout
    assert "Not scanned, so not a pass: 1 page" in answer.stdout


def test_a_baseline_does_the_same_where_redis_is_thrown_away(
    call: Call, start_worker: StartScanWorker, shop: Site, fresh: Keys, tmp_path: Path
) -> None:
    baseline = str(tmp_path / "known.json")
    start_worker()
    written = call("scan", *pages_of(shop), "--write-baseline", baseline, "--fail-on", "never")
    start_worker(ENVIRONMENT=fresh.environment)
    gate = ("--baseline", baseline, "--fail-on", "serious", "--timeout", "60", "--format", "table")
    same = call("scan", *pages_of(shop), *gate, ENVIRONMENT=fresh.environment)
    shop.pages["/shop"], shop.pages["/tea"] = page(NEW), (200, "text/html", page()[2].replace(b"<img", b"<img alt=''"))

    worse = call("scan", *pages_of(shop), *gate, ENVIRONMENT=fresh.environment)
    missing = call("scan", *pages_of(shop), f"{shop.url}/missing", *gate, ENVIRONMENT=fresh.environment)

    assert (written.returncode, same.returncode, worse.returncode, missing.returncode) == (0, 0, 1, 2)
    assert "button-name" in worse.stdout
    assert "image-alt" not in worse.stdout
    assert "button-name" in missing.stdout
    assert "sightline: fixed, and still in the baseline: /tea image-alt" in worse.stderr


@pytest.mark.parametrize("kind", ["header", "variable", "cookie"])
async def test_a_login_page_is_scanned_and_its_secret_is_neither_printed_nor_kept(
    call: Call, start_worker: StartScanWorker, shop: Site, redis: Redis, keys: Keys, tmp_path: Path, kind: str
) -> None:
    start_worker()
    file = tmp_path / "login"
    secret = f"s3cret-{secrets.token_hex(8)}"
    variables = {"SIGHTLINE_HEADERS": json.dumps({"X-Key": secret})} if kind == "variable" else {}
    file.write_text(f"X-Key: {secret}\n" if kind == "header" else f'[{{"name": "key", "value": "{secret}"}}]')
    options = {"header": ("--header-file", str(file)), "cookie": ("--cookie-file", str(file)), "variable": ()}[kind]
    pages = pages_of(shop) if kind == "header" else pages_of(shop)[:1]  # a batch, or one job: two ways to submit

    answer = call("scan", *pages, "--timeout", "60", *options, **variables)

    seen = [headers.get("Cookie" if kind == "cookie" else "X-Key", "") for headers in shop.headers]
    assert any(secret in value for value in seen)
    assert answer.returncode == 1
    assert secret not in answer.stdout + answer.stderr
    assert secret.encode() not in await kept_of_jobs(redis, keys)


def test_the_report_with_marks_passes_our_own_scan(
    call: Call, start_worker: StartScanWorker, shop: Site, tmp_path: Path
) -> None:
    start_worker()
    first = json.loads(call("scan", f"{shop.url}/shop", "--wait").stdout)
    waived = "<a href='/x'></a>"
    shop.pages["/shop"] = page(NEW + waived)
    found = json.loads(call("scan", f"{shop.url}/shop", "--wait").stdout)["findings"]
    [fingerprint] = [f["nodes"][0]["fingerprint"] for f in found if f["rule"] == "link-name"]
    call("waive", fingerprint, "--reason", "gone in May", "--until", "2999-05-01")
    known = tmp_path / "known.json"
    barrier = {"path": "/shop", "rule": "image-alt", "fingerprint": first["findings"][0]["nodes"][0]["fingerprint"]}
    known.write_text(json.dumps({"v": 1, "barriers": [barrier]}))
    report = tmp_path / "report.html"
    call("scan", f"{shop.url}/shop", "--baseline", str(known), "-o", str(report))
    shop.pages["/report"] = (200, "text/html", report.read_bytes())

    answer = call("scan", f"{shop.url}/report", "--wait", "--standard", "best-practice")

    text = report.read_text()
    assert [f'<span class="chip mark {mark}">' in text for mark in ("new", "known", "waived")] == [True] * 3
    assert json.loads(answer.stdout)["findings"] == []
    assert answer.returncode == 0
