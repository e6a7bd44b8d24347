"""Fixtures of the browser tests: one engine for the session, and a misbehaving site.

Without a browser they are skipped with a message; if CI is set they fail.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Generator
from typing import Final

import pytest
import pytest_asyncio

from producer.errors import DependencyMissing
from tests.support.hostile import misbehave
from tests.support.missing import not_tested
from tests.support.site import Site
from worker.scan.browser import find_browser
from worker.scan.engine import ScanEngine, ScanSettings

HERE: Final = "tests/browser/"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run this folder's async tests on the session's loop: its engine lives there."""
    for item in items:
        if item.nodeid.startswith(HERE) and inspect.iscoroutinefunction(getattr(item, "function", None)):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def browser_path() -> str:
    try:
        return str(find_browser())
    except DependencyMissing as missing:
        not_tested(f"no browser: {missing}")


@pytest.fixture(scope="session")
def settings(browser_path: str) -> ScanSettings:
    """Limits small enough that endless pages end soon."""
    return ScanSettings(
        allow_private=True,
        browser_path=browser_path,
        load_limit_s=3.0,
        start_limit_s=1.0,
        settle_limit_s=1.5,
        frame_limit_s=2.5,
        quiet_ms=100,
        max_frame_processes=12,
        max_bytes=20_000_000,
        max_script_mb=128,
        max_renderer_mb=700,
    )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def engine(settings: ScanSettings) -> AsyncGenerator[ScanEngine]:
    async with ScanEngine(settings) as opened:
        yield opened


@pytest.fixture(scope="session")
def site() -> Generator[Site]:
    with Site() as served:
        misbehave(served)
        yield served
