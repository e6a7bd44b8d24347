"""Operates one page in a real browser as a person does: type, click, press keys, read."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from producer.contract import Viewport
from worker.scan.browser import find_browser
from worker.scan.cdp import CallFailed
from worker.scan.chromium import Chromium
from worker.scan.page import Page
from worker.scan.settings import ScanSettings

_KEYS = {"Tab": 9, "Enter": 13, " ": 32}
MOST_PAGES = 5


class OpenPage:
    """Made by ``opened``."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def run(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page's own world; promises are awaited."""
        answer = await self._page.session.call(
            "Runtime.evaluate",
            {"expression": expression, "awaitPromise": True, "returnByValue": True, "userGesture": True},
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait until an expression is true, even across navigations; up to 20 s on each page."""
        wait = (
            "new Promise((done) => { const end = Date.now() + 20000; const look = () => "
            f"({condition}) ? done(true) : Date.now() > end ? done(false) : setTimeout(look, 20); look(); }})"
        )
        given = {"expression": wait, "awaitPromise": True, "returnByValue": True}
        for _ in range(MOST_PAGES):
            try:
                answer = await self._page.session.call("Runtime.evaluate", given, timeout_s=30)
                break
            except CallFailed as error:  # the page that looked has gone: the next one looks
                if "navigated" not in str(error) and "context" not in str(error):
                    raise
        else:
            pytest.fail(f"{MOST_PAGES} pages came and went: {condition}")
        assert answer["result"].get("value") is True, f"never true: {condition}"

    async def press(self, key: str) -> None:
        """Press one key: ``Tab``, ``Enter`` or a space."""
        text = {"Enter": "\r", " ": " "}.get(key, "")
        down = {"key": key, "code": {" ": "Space"}.get(key, key), "windowsVirtualKeyCode": _KEYS[key], "text": text}
        await self._page.session.call("Input.dispatchKeyEvent", {"type": "keyDown" if text else "rawKeyDown", **down})
        await self._page.session.call("Input.dispatchKeyEvent", {"type": "keyUp", **down})

    async def write(self, text: str) -> None:
        """Type into the field that has the focus."""
        await self._page.session.call("Input.insertText", {"text": text})


@asynccontextmanager
async def opened(address: str, *, width: int = 1280, port: int = 9) -> AsyncGenerator[OpenPage]:
    """Open ``address`` in a separate browser, ``width`` wide. Only files, data and the server at ``port`` can load."""
    browser = await Chromium.launch(find_browser(), ScanSettings(max_renderer_mb=2048))
    try:
        viewport = Viewport(width=width, height=900)
        agent = browser.user_agent
        page = await Page.open(browser, proxy_port=port, viewport=viewport, user_agent=agent, start_script="")
        media = {"features": [{"name": "prefers-color-scheme", "value": "light"}]}
        await page.session.call("Emulation.setEmulatedMedia", media)
        await page.session.call("Page.navigate", {"url": address}, timeout_s=30)
        shown = OpenPage(page)
        await shown.until("document.readyState === 'complete'")
        yield shown
    finally:
        await browser.close()
