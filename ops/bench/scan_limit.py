"""Measures how many pages a minute the browser loads and axe-core examines if nothing else is done.

Sightline's browser with its flags, in one process that stays warm: no proxy, no new context, no wait for stillness, no
scrolling, no rest, no screenshots, no history. The page's load event, then axe-core as it is on disk, evaluated and run
with the rules of the row. V8 keeps what it has compiled, which it cannot between the contexts of two scans.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from producer.contract import ScanRequest
from worker.scan.axe import options_for
from worker.scan.axe_source import load_axe
from worker.scan.browser import find_browser
from worker.scan.cdp import Session
from worker.scan.chromium import Chromium
from worker.scan.settings import ScanSettings

LIMIT_S = 180.0
_RUN = "axe.run(document, OPTIONS).then((report) => JSON.stringify(report))"


async def pages_a_minute(urls: list[str], *, at_once: int) -> float:
    """Return the rate after one page of warm-up in each tab."""
    browser = await Chromium.launch(find_browser(None), ScanSettings(allow_private=True))
    try:
        tabs = [await _Tab.open(browser) for _ in range(at_once)]
        await asyncio.gather(*(tab.audit(urls[0]) for tab in tabs))
        left, began = list(urls), time.perf_counter()

        async def audit_all(tab: _Tab) -> None:
            while left:
                await tab.audit(left.pop())

        await asyncio.gather(*map(audit_all, tabs))
        return len(urls) * 60 / (time.perf_counter() - began)
    finally:
        await browser.close()


class _Tab:
    def __init__(self, session: Session, frame: str) -> None:
        self._session = session
        self._frame = frame
        self._loaded = asyncio.Event()
        session.connection.listen(session.session_id, self._see)

    @classmethod
    async def open(cls, browser: Chromium) -> _Tab:
        attached: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def see(method: str, params: dict[str, Any]) -> None:
            if method == "Target.attachedToTarget" and not attached.done():
                attached.set_result(str(params["sessionId"]))

        browser.connection.listen("", see)
        context = (await browser.connection.call("Target.createBrowserContext"))["browserContextId"]
        page = {"url": "about:blank", "browserContextId": context, "width": 1280, "height": 800}
        target = (await browser.connection.call("Target.createTarget", page))["targetId"]
        session = browser.session(await attached)
        session.post("Page.enable")
        await session.call("Runtime.runIfWaitingForDebugger")
        return cls(session, str(target))

    def _see(self, method: str, _: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded.set()

    async def audit(self, url: str) -> None:
        """Load the page and run axe-core; raises ``AssertionError`` unless it reports."""
        self._loaded.clear()
        await self._session.call("Page.navigate", {"url": url})
        async with asyncio.timeout(LIMIT_S):
            await self._loaded.wait()
        made = await self._session.call("Page.createIsolatedWorld", {"frameId": self._frame, "worldName": "limit"})
        options = json.dumps(options_for(ScanRequest(url=url, standard="wcag21aa")))
        world = {"contextId": made["executionContextId"], "awaitPromise": True, "returnByValue": True}
        await self._session.call("Runtime.evaluate", {**world, "expression": f"{load_axe().text};0"})
        call = {**world, "expression": _RUN.replace("OPTIONS", options)}
        report = json.loads((await self._session.call("Runtime.evaluate", call, timeout_s=LIMIT_S))["result"]["value"])
        assert report["violations"] or report["incomplete"] or report["testEngine"]  # noqa: S101  it has run
