"""Takes the README's pictures of the demo's report: after ``make demo``, ``.venv/bin/python ops/demo/screenshot.py``.

The report is opened as a file in the browser that scans use. With the font Inter (Debian: ``fonts-inter``) the pictures
look as they do in the README; without it the system's font is shown.
"""

from __future__ import annotations

import asyncio
import base64
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from producer.contract import Viewport
from producer.errors import SightlineError
from worker.scan.browser import find_browser
from worker.scan.cdp import BrowserGone, CallFailed
from worker.scan.chromium import Chromium
from worker.scan.page import Page
from worker.scan.settings import ScanSettings

REPORT: Final = Path("demo-report/report.html")
PICTURES: Final = Path(__file__).parent / "pictures"
LIMIT_S: Final = 30.0
_NO_PROXY: Final = 9
"""The discard port: a report loads nothing."""
_READY: Final = (
    "Promise.all([document.fonts.ready, ...[...document.images].map((image) => image.decode())]).then(() => 1)"
)


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: its file, the window's size, the colours, and the actions before it is taken."""

    name: str
    width: int
    height: int
    scheme: str
    before: str = "1"


_OPENED: Final = (
    "(document.getElementById('component-1').open = true, document.getElementById('component-1').scrollIntoView(), 1)"
)
ALL: Final = (
    Picture("report-light.png", 1180, 930, "light"),
    Picture("report-dark.png", 1180, 930, "dark"),
    Picture("report-page.png", 1180, 960, "light", _OPENED),
    Picture("report-page-dark.png", 1180, 960, "dark", _OPENED),
)


async def take(address: str) -> dict[str, bytes]:
    """Return all pictures of the report at ``address``, PNGs by file name."""
    browser = await Chromium.launch(find_browser(), ScanSettings(max_renderer_mb=2048))
    try:
        return {picture.name: await _shot(browser, address, picture) for picture in ALL}
    finally:
        await browser.close()


async def _shot(browser: Chromium, address: str, picture: Picture) -> bytes:
    viewport = Viewport(width=picture.width, height=picture.height)
    page = await Page.open(
        browser, proxy_port=_NO_PROXY, viewport=viewport, user_agent=browser.user_agent, start_script=""
    )
    call = page.session.call
    media = {"features": [{"name": "prefers-color-scheme", "value": picture.scheme}]}
    await call("Emulation.setEmulatedMedia", media)
    await call("Page.navigate", {"url": address}, timeout_s=LIMIT_S)
    await page.until(lambda: page.watch.is_loaded, timeout_s=LIMIT_S)
    for expression in (picture.before, _READY):
        await call("Runtime.evaluate", {"expression": expression, "awaitPromise": True}, timeout_s=LIMIT_S)
    shot = await call("Page.captureScreenshot", {"format": "png"}, timeout_s=LIMIT_S)
    await page.close()
    return base64.b64decode(shot["data"])


def main(arguments: list[str]) -> int:
    """Take the pictures of the report in the first argument, into the folder in the second; returns the exit code."""
    report = Path(arguments[0]) if arguments else REPORT
    folder = Path(arguments[1]) if len(arguments) > 1 else PICTURES
    if not report.is_file():
        print(f"screenshot: there is no {report}: run 'make demo' first", file=sys.stderr)
        return 1
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, shot in asyncio.run(take(report.absolute().as_uri())).items():
            (folder / name).write_bytes(shot)
    except (SightlineError, CallFailed, BrowserGone, OSError) as error:
        print(f"screenshot: {error}", file=sys.stderr)
        return 1
    print(f"screenshot: {len(ALL)} pictures in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
