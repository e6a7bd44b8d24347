"""Keeps one browser warm: lends it to scans, replaces it when it dies or has grown, stops the old one when it is free.

A scan that was hit by a crash gets a separate browser (``alone``), so that a page that kills browsers does not hit
other scans twice. Uses no clock: browsers are recycled by count and memory.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

import structlog

from worker.scan.cdp import BrowserGone
from worker.scan.chromium import Chromium
from worker.scan.fonts import read_fonts
from worker.scan.sandbox import ON
from worker.scan.settings import ScanSettings

log = structlog.get_logger("sightline.scan")


class WarmBrowser:
    """The browser of one engine."""

    def __init__(self, program: Path, settings: ScanSettings) -> None:
        self.path = program
        self._settings = settings
        self._current: Chromium | None = None
        self._retired: set[Chromium] = set()
        self._starting = asyncio.Lock()
        self.sandbox = ""
        """The sandbox of the browser started last: ``on``, or why it is off; '' before the first."""

    @property
    def current(self) -> Chromium | None:
        """The browser for the next scan, if there already is one."""
        return self._current

    async def start(self) -> None:
        """Start a browser for the first scan; raises ``BrowserGone`` if none starts."""
        await self._take()

    @contextlib.asynccontextmanager
    async def lend(self, *, alone: bool = False) -> AsyncGenerator[Chromium]:
        """Lend a live browser to one scan; raises ``BrowserGone`` if none starts."""
        browser = await self._launch() if alone else await self._take()
        browser.users += 1
        try:
            yield browser
        finally:
            browser.users -= 1
            browser.scans += 1
            if alone:
                self._retired.add(browser)
            await asyncio.shield(self._settle(browser))

    async def resident_mb(self) -> int:
        """Return the resident memory of all running browsers."""
        total = 0
        for browser in [*self._retired, *([self._current] if self._current else [])]:
            with contextlib.suppress(BrowserGone):
                total += await browser.resident_mb()
        return total

    async def close(self) -> None:
        """Stop all browsers; safe to call twice."""
        browsers = [*self._retired, *([self._current] if self._current else [])]
        self._current = None
        self._retired.clear()
        await asyncio.gather(*(browser.close() for browser in browsers))

    async def _take(self) -> Chromium:
        async with self._starting:
            if (dead := self._current) is not None and not dead.is_alive:
                log.warning("browser.replaced", scans=dead.scans, said=dead.last_output)
                self._retire(dead)
                await asyncio.shield(self._settle(dead))
            if self._current is None:
                self._current = await self._launch()
            return self._current

    async def _launch(self) -> Chromium:
        browser = await Chromium.launch(self.path, self._settings, had_sandbox=self.sandbox == ON)
        self.sandbox = browser.sandbox
        try:
            browser.fonts = await read_fonts(browser)
        except BaseException:  # cancelled, or gone: nothing else knows this browser
            await asyncio.shield(browser.close())
            raise
        return browser

    async def _settle(self, browser: Chromium) -> None:
        """Retire a browser that has served enough scans, and stop unused retired ones."""
        if browser is self._current and await self._is_worn(browser):
            log.info("browser.recycled", scans=browser.scans)
            self._retire(browser)
        if browser in self._retired and browser.users == 0:
            self._retired.discard(browser)
            await browser.close()

    async def _is_worn(self, browser: Chromium) -> bool:
        if not browser.is_alive or browser.scans >= self._settings.recycle_after_scans:
            return True
        try:
            return await browser.resident_mb() > self._settings.recycle_above_mb
        except BrowserGone:
            return True

    def _retire(self, browser: Chromium) -> None:
        if browser is self._current:
            self._current = None
        self._retired.add(browser)
