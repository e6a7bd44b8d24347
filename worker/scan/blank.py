"""A blank page in each browser, for drawing out of reach of sites: comparisons of images, samples of fonts.

It lives as long as its browser: opening one per scan would take a tenth of the scan's time.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, Final

from producer.contract import Viewport
from worker.scan.axe_source import script
from worker.scan.cdp import CallFailed
from worker.scan.chromium import Chromium
from worker.scan.page import Page

_LIMIT_S: Final = 15.0
_NO_PORT: Final = 9
"""An address where nothing listens: the blank page loads nothing."""
_SIZE: Final = Viewport(width=200, height=200)


class BlankPage:
    """The blank page of one browser, with ``js/pixels.js`` loaded; opened on first use."""

    def __init__(self, browser: Chromium) -> None:
        self._browser = browser
        self._opening = asyncio.Lock()
        self._open: tuple[Page, int] | None = None
        self._views = itertools.count(1)

    def new_view(self) -> int:
        """Return a number unique to this scan, for its images."""
        return next(self._views)

    async def ask(self, call: str, *, limit_s: float = _LIMIT_S) -> Any:
        """Return the value of an expression; a page that does not answer is replaced at the next call.

        Raises ``CallFailed`` for a page that is gone or too busy, ``ScriptFailed`` if the expression throws.
        """
        async with self._opening:
            if self._open is None:
                self._open = await self._new()
            page, world = self._open
        try:
            return await page.evaluate(page.session, world, call, timeout_s=limit_s)
        except CallFailed:
            self._forget(page)
            await asyncio.shield(page.close())
            raise

    def _forget(self, page: Page) -> None:
        """Discard the page, unless another call already has."""
        if self._open is not None and self._open[0] is page:
            self._open = None

    async def _new(self) -> tuple[Page, int]:
        agent = self._browser.user_agent
        page = await Page.open(self._browser, proxy_port=_NO_PORT, viewport=_SIZE, user_agent=agent, start_script="")
        try:
            world = await page.world(page.session, page.watch.frame_id, timeout_s=_LIMIT_S)
            await page.evaluate(page.session, world, script("pixels"), timeout_s=_LIMIT_S)
        except BaseException:
            await asyncio.shield(page.close())
            raise
        return page, world
