"""Watches the memory of a browser's processes: kills the page that uses too much, or else the browser.

The browser identifies a page's process. Data that the browser stores for a page (blobs, caches, images) is in processes
shared by all pages: then the whole browser is killed, and each of its pages is scanned again in a separate browser,
which isolates the culprit. Linux only.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Final, Protocol

import structlog

from worker.scan.cdp import BrowserGone, CallFailed, Connection, JsonObject

WATCH_EVERY_S: Final = 0.5
ASK_LIMIT_S: Final = 2.0
"""Timeout for the list of processes: without it, only the browser's own process is watched."""

log = structlog.get_logger("sightline.scan")


class Watched(Protocol):
    """The part of a browser that the watch needs."""

    connection: Connection
    users: int
    end_reason: str

    @property
    def pid(self) -> int: ...  # noqa: D102  see Chromium


async def watch_memory(browser: Watched, *, max_renderer_mb: int, max_browser_mb: int) -> None:
    """Kill whatever uses too much memory, until cancelled or the browser is gone.

    A killed page then counts as crashed; ``end_reason`` of a killed browser says why.
    """
    with contextlib.suppress(BrowserGone):
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            if browser.users == 0:
                continue
            for pid, kind, resident in await resident_mb_of(browser):
                if kind == "renderer" and resident > max_renderer_mb:
                    log.warning("browser.page_killed", resident_mb=resident, max_mb=max_renderer_mb)
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                elif kind != "renderer" and resident > max_browser_mb:
                    log.warning("browser.killed", pid=browser.pid, process=kind, resident_mb=resident)
                    browser.end_reason = (
                        f"its {kind} process held {resident:,} MB, over the limit of {max_browser_mb:,} MB"
                    )
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(browser.pid, signal.SIGKILL)
                    return


async def resident_mb_of(browser: Watched) -> list[tuple[int, str, int]]:
    """Return pid, kind and resident MB of each process; the browser's own even if it does not answer."""
    kinds = {browser.pid: "browser"}
    with contextlib.suppress(CallFailed):
        info = await browser.connection.call("SystemInfo.getProcessInfo", timeout_s=ASK_LIMIT_S)
        processes: list[JsonObject] = info["processInfo"]
        kinds |= {int(process["id"]): str(process["type"]) for process in processes}
    return [(pid, kind, _resident_mb(pid)) for pid, kind in kinds.items()]


def _resident_mb(pid: int) -> int:
    if sys.platform != "linux":
        return 0
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20
