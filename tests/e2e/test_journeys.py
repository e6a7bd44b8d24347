"""``scan --login --steps --local``: one login for all states, each a separate page, and no secret in the output."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.command_line import start_sightline
from tests.support.journey_shop import LOGIN_STEPS, PASSWORD, USER, VARIABLES, Shop, open_shop
from tests.support.scan_worker import need_browser
from tests.support.site import Site

WAIT_S = 110
STEPS = (
    {"wait_for": {"text": "Signed in"}},
    {"scan": "greeting"},
    {"goto": "/shop/cart"},
    {"click": 'role=button[name="Open details"]'},
    {"wait_for": "dialog"},
    {"scan": "details"},
)


@pytest.fixture
def shop() -> Generator[Shop]:
    with Site() as site:
        yield open_shop(site)


def test_states_behind_a_login_are_scanned_after_one_login(
    shop: Shop, tmp_path: Path, children: list[subprocess.Popen[bytes]]
) -> None:
    need_browser()
    (tmp_path / "login.json").write_text(json.dumps([{"goto": "/shop/login"}, *LOGIN_STEPS]))
    (tmp_path / "steps.json").write_text(json.dumps(STEPS))
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    files = ("--login", str(tmp_path / "login.json"), "--steps", str(tmp_path / "steps.json"))
    url = shop.site.url("/shop/account")

    process = start_sightline({**inherited, **VARIABLES}, "scan", url, "--local", "--no-assess", *files)
    children.append(process)  # pyright: ignore[reportArgumentType]  # ended with the test whatever it speaks
    out, err = process.communicate(timeout=WAIT_S)

    results = {result["url"]: result for result in map(json.loads, out.splitlines())}
    assert all("status" in r for r in results.values()), results
    assert {name: result["status"] for name, result in results.items()} == {
        f"{url}#:~:state=greeting": "scanned",
        f"{url}#:~:state=details": "scanned",
    }, [result["reason"] for result in results.values()]
    assert (process.returncode, err) == (1, "")
    assert shop.logins == 1
    assert USER not in out
    assert PASSWORD not in out
