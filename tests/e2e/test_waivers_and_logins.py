"""Waivers and logins of ``sightline scan``; the gate itself is in ``test_gate.py``. All parts are real."""

from __future__ import annotations

import json
import secrets
from base64 import b64encode
from pathlib import Path
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.keys import Keys
from tests.support.command_line import Call
from tests.support.scan_worker import StartScanWorker
from tests.support.small_site import SmallSite

NEW = "<button id='pay'></button>"


def page(more: str = "") -> bytes:
    text = (
        f"<!doctype html><html lang=en><title>Shop</title><main><h1>Shop</h1><img src='/cup.png'>{more}</main></html>"
    )
    return text.encode()


@pytest.fixture
def shop(site: SmallSite) -> SmallSite:
    """Two pages with one old barrier each."""
    site.files["/shop"], site.files["/tea"] = page(), page()
    return site


def pages_of(shop: SmallSite) -> tuple[str, str]:
    return f"{shop.url}/shop", f"{shop.url}/tea"


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


def test_a_waived_barrier_exits_0_and_is_listed_until_its_waiver_is_removed(
    call: Call, start_worker: StartScanWorker, shop: SmallSite, tmp_path: Path
) -> None:
    start_worker()
    shop.files["/shop"] = page(NEW)
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


def test_what_is_undecided_is_decided_once_for_a_component_on_all_its_pages(
    call: Call, start_worker: StartScanWorker, site: SmallSite
) -> None:
    start_worker()
    film = "<video class=intro src='/film.mp4' aria-label=Film></video>"
    whole = f"<!doctype html><html lang=en><title>Shop</title><main><h1>Shop</h1>{film}</main></html>"
    site.files["/shop"] = site.files["/tea"] = whole.encode()
    urls = (f"{site.url}/shop", f"{site.url}/tea")
    undecided = [json.loads(line) for line in call("scan", *urls, "--wait", "--json").stdout.splitlines()]
    (issue_id,) = {node["issue_id"] for page in undecided for one in page["incomplete"] for node in one["nodes"]}

    call("review", issue_id, "barrier", "--reason", "no captions", "--by", "Anna")
    barrier = call("scan", *urls, "--fail-on", "minor", "--format", "table")
    call("review", issue_id, "no-barrier", "--reason", "it has no sound", "--by", "Ben")
    dismissed = call("scan", *urls, "--fail-on", "minor", "--format", "table")
    one = call("result", undecided[0]["job_id"], "--fail-on", "minor", "--format", "table")

    assert (barrier.returncode, dismissed.returncode, one.returncode) == (1, 0, 0)
    assert "2 elements barrier, decided by Anna on" in " ".join(barrier.stdout.split())
    assert "2 elements no barrier, decided by Ben on" in " ".join(dismissed.stdout.split())
    assert "1 element no barrier, decided by Ben on" in " ".join(one.stdout.split())


async def test_an_expired_waiver_counts_again_and_is_named(
    call: Call, start_worker: StartScanWorker, shop: SmallSite, redis: Redis, keys: Keys
) -> None:
    start_worker()
    finding = json.loads(call("scan", f"{shop.url}/shop", "--wait").stdout)["findings"][0]
    waiver = {"fingerprint": finding["fingerprint"], "reason": "gone in May", "until": "2001-05-31"}
    await cast("Any", redis).hset(keys.waivers, finding["fingerprint"], json.dumps(waiver))

    answer = call("scan", f"{shop.url}/shop", "--wait")

    assert answer.returncode == 1
    assert f"the waiver of {finding['fingerprint']} expired on 2001-05-31 (gone in May)" in answer.stderr


@pytest.mark.parametrize("kind", ["header", "variable", "cookie", "address"])
async def test_a_login_page_is_scanned_and_its_secret_is_neither_printed_nor_kept(
    call: Call, start_worker: StartScanWorker, shop: SmallSite, redis: Redis, keys: Keys, tmp_path: Path, kind: str
) -> None:
    start_worker()
    file = tmp_path / "login"
    secret = f"s3cret-{secrets.token_hex(8)}"
    variables = {"SIGHTLINE_HEADERS": json.dumps({"X-Key": secret})} if kind == "variable" else {}
    file.write_text(f"X-Key: {secret}\n" if kind == "header" else f'[{{"name": "key", "value": "{secret}"}}]')
    options = {"header": ("--header-file", str(file)), "cookie": ("--cookie-file", str(file))}.get(kind, ())
    pages = pages_of(shop) if kind == "header" else pages_of(shop)[:1]  # a batch, or one job: two ways to submit
    if kind == "address":
        pages = (pages[0].replace("://", f"://user:{secret}@"),)

    answer = call("scan", *pages, "--timeout", "60", *options, **variables)

    name = {"cookie": "Cookie", "address": "Authorization"}.get(kind, "X-Key")
    sent = b64encode(f"user:{secret}".encode()).decode() if kind == "address" else secret
    assert any(sent in headers.get(name, "") for headers in shop.headers)
    assert answer.returncode == 1
    assert secret not in answer.stdout + answer.stderr
    assert sent not in answer.stdout + answer.stderr
    assert sent.encode() not in await kept_of_jobs(redis, keys)
