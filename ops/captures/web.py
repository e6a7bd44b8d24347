"""Takes the screenshots of ``sightline web`` with the sample shop: ``python ops/captures/web.py``.

The shop is really scanned; each page is captured in light and dark and on a phone, into ``docs/board``. Nothing is
drawn by hand: to change a picture, change the page.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from urllib.request import Request, urlopen

ROOT: Final = Path(__file__).resolve().parents[2]
OUT: Final = ROOT / "docs/board"
LOOKS: Final = (("light", "light", 1280, 860), ("dark", "dark", 1280, 860), ("phone", "light", 390, 780))
LIMIT_S: Final = 60.0
_AT: Final = re.compile(r"pages at http://127\.0\.0\.1:(\d+)/")

sys.path.insert(0, str(ROOT))
from ops.demo.shop import SITE, served, workers  # noqa: E402  after the path is set
from producer.contract import Viewport  # noqa: E402  the same
from worker.own_redis.server import EmbeddedRedis  # noqa: E402  the same
from worker.scan.browser import find_browser  # noqa: E402  the same
from worker.scan.chromium import Chromium  # noqa: E402  the same
from worker.scan.page import Page  # noqa: E402  the same
from worker.scan.settings import ScanSettings  # noqa: E402  the same


def main() -> int:
    """Take all pictures; returns the exit code."""
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, served() as shop, EmbeddedRedis(Path(folder)) as server:
        settings = {"REDIS_URL": server.url, "CHAT_MODEL": "builtin", "EMBEDDING_MODEL": "builtin"}
        environment = {**os.environ, **settings, "SCAN_ALLOW_PRIVATE": "1", "HOST_PLACES": "10"}
        with workers(1, environment), pages(environment) as port:
            _scan(environment, Path(folder), [f"{shop}{page.name}" for page in sorted(SITE.glob("*.html"))])
            asyncio.run(_photograph(port, _paths(port, shop, environment)))
    print(f"captures: {len(list(OUT.glob('*.webp')))} pictures in {OUT}")
    return 0


@contextmanager
def pages(environment: Mapping[str, str]) -> Generator[int]:
    """Serve the pages on a free port."""
    command = [sys.executable, "-m", "sightline", "web", "--port", "0"]
    program = subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, cwd=ROOT / "producer/import"
    )
    assert program.stderr is not None  # noqa: S101  a pipe was asked for
    try:
        found = next(filter(None, map(_AT.search, program.stderr)))
        yield int(found[1])
    finally:
        program.terminate()
        program.communicate()


def _scan(environment: Mapping[str, str], folder: Path, urls: Sequence[str]) -> None:
    listed = folder / "urls.txt"
    listed.write_text("\n".join(urls))
    words = ["scan", "--no-config", "--file", str(listed), "--batch", "nightly", "--group", "*=shop", "--screenshot"]
    command = [sys.executable, "-m", "sightline", *words, "--wait", "--assess-wait", "60", "--fail-on", "never"]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, cwd=ROOT / "producer/import")


def _paths(port: int, shop: str, environment: Mapping[str, str]) -> dict[str, str]:
    overview = _json(port, "/")
    site = overview["sites"][0]["site"]
    fixed = next((one for one in overview["first"] if _json(port, f"/barriers/{one['issue_id']}")["fix"]), None)
    barrier = (fixed or overview["first"][0])["issue_id"]
    words = ["ask", "Which page has the worst barriers?", "--wait", "--json"]
    command = [sys.executable, "-m", "sightline", *words]
    asked = subprocess.run(command, env=environment, check=True, capture_output=True, cwd=ROOT / "producer/import")
    return {
        "overview": "/",
        "site": f"/sites/{site}",
        "barrier": f"/barriers/{barrier}",
        "page": f"/pages?url={quote(f'{shop}kettle.html')}",
        "batch": "/batches/nightly",
        "queue": "/queue",
        "compare": "/compare",
        "ask": f"/ask/{json.loads(asked.stdout)['job_id']}",
        "search": "/search?q=pictures+without+text",
        "scan": "/scan",
        "usage": "/usage",
    }


def _json(port: int, path: str) -> Any:
    asked = Request(f"http://127.0.0.1:{port}{path}", headers={"Accept": "application/json"})
    with urlopen(asked, timeout=LIMIT_S) as answer:  # noqa: S310  our own server
        return json.load(answer)


async def _photograph(port: int, paths: Mapping[str, str]) -> None:
    browser = await Chromium.launch(find_browser(), ScanSettings(max_renderer_mb=2048))
    try:
        for name, path in paths.items():
            for look, scheme, width, height in LOOKS:
                picture = await _shot(browser, port, path, scheme, Viewport(width=width, height=height))
                (OUT / f"{name}-{look}.webp").write_bytes(picture)
    finally:
        await browser.close()


async def _shot(browser: Chromium, port: int, path: str, scheme: str, viewport: Viewport) -> bytes:
    # The server takes a request as a proxy gets it, so that the browser's one way out leads to it.
    agent = browser.user_agent
    page = await Page.open(browser, proxy_port=port, viewport=viewport, user_agent=agent, start_script="")
    call = page.session.call
    await call("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    await call("Page.navigate", {"url": f"http://127.0.0.1:{port}{path}"}, timeout_s=LIMIT_S)
    await page.until(lambda: page.watch.is_loaded, timeout_s=LIMIT_S)
    shot = await call("Page.captureScreenshot", {"format": "webp", "quality": 80}, timeout_s=LIMIT_S)
    await page.close()
    return base64.b64decode(shot["data"])


if __name__ == "__main__":
    sys.exit(main())
