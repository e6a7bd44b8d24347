"""The product's own programs on the test's keys, and a loopback site with two pages."""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from functools import partial
from pathlib import Path

import pytest

from producer.keys import Keys
from tests.support.scan_worker import StartScanWorker, need_browser, start_scan_worker
from tests.support.small_site import SmallSite, small_site

GUILTY = (
    b"""<!doctype html><html lang="en"><title>Guilty</title><h1>Shop</h1><main><img src="/cup.png"></main></html>"""
)
CLEAN = b"<!doctype html><html lang='en'><title>Clean</title><main><h1>Tea</h1></main></html>"


@pytest.fixture
def site() -> Generator[SmallSite]:
    with small_site() as site:
        site.files |= {"/guilty": GUILTY, "/clean": CLEAN}
        yield site


@pytest.fixture
def start_worker(
    children: list[subprocess.Popen[bytes]], tmp_path: Path, redis_url: str, keys: Keys
) -> StartScanWorker:
    need_browser()
    return partial(start_scan_worker, children, tmp_path / "workers.log", redis_url, keys)
