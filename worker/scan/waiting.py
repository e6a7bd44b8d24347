"""Waits until a page is ready for the audit: its load event, then a period without network traffic and DOM changes.

A page that stays empty (an application that renders late) gets more time. Each step is bounded; the result has the
outcomes. ``verdict.py`` judges.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from worker.scan.axe_source import script
from worker.scan.cdp import CallFailed
from worker.scan.nothing import is_loading
from worker.scan.page import Page, literal
from worker.scan.refresh import leaves_in_s

_LOOK_EVERY_S: Final = 0.05
_LEAST_S: Final = 0.01
_ANSWER_LIMIT_S: Final = 2.0
_SILENT_SHARE: Final = 0.5
"""Share of the load limit for a script or stylesheet: development servers build them on request."""
_BARE_FACTOR: Final = 10
"""Factor of the quiet time for a page without text."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The page as seen in the isolated world."""

    is_still: bool
    """Whether the page is static: no scripts, no frames, no refresh."""
    still_ms: float
    elements: int
    is_bare: bool
    content_type: str
    title: str
    asks_who: bool
    """Whether it shows a password or user name field."""
    href: str
    height: int
    refresh: str = ""
    """The content of a ``<meta http-equiv=refresh>``, or ''."""
    base: str = ""
    loaded_s: float = -1
    """Seconds since the load event; negative before it."""

    @property
    def leaves_in_s(self) -> float | None:
        """Seconds until the page redirects itself, or None."""
        return leaves_in_s(self.refresh, base=self.base, href=self.href, loaded_s=self.loaded_s)


@dataclass(slots=True)
class Waited:
    """The outcome of each wait; empty means reached. ``start`` is set if the server had to be waited for."""

    start: str = ""
    load: str = ""
    network: str = ""
    dom: str = ""
    selector: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the result's field ``waited``."""
        texts = {"load": self.load, "network": self.network, "dom": self.dom, "selector": self.selector}
        reached = {name: text or "reached" for name, text in texts.items()}
        return {"start": self.start, **reached} if self.start else reached


async def read_facts(page: Page, *, timeout_s: float = _ANSWER_LIMIT_S) -> Facts:
    """Return the facts; raises ``CallTimedOut`` if the page is too busy, ``CallFailed`` if it has navigated."""
    world = await page.world(page.session, page.watch.frame_id, timeout_s=timeout_s)
    found = await page.evaluate(page.session, world, script("page_facts"), timeout_s=timeout_s)
    fields = cast("dict[str, Any]", found)
    text = str(fields.pop("text"))
    return Facts(is_bare=not text or is_loading(text), **fields)


async def wait_for_load(
    page: Page, is_over: Callable[[], bool], *, until: str, timeout_s: float, looks_s: float, frame_s: float
) -> bool:
    """Wait for the load event (or ``domcontentloaded``), a crash, or ``is_over``; False if none came in time.

    A parsed page does not wait for images, media and fonts that are silent for ``looks_s``, nor for frames that are not
    answered for ``frame_s``. If a complete page only waits for a script or stylesheet that is not answered, the wait
    ends early, as not in time.
    """
    watch = page.watch
    silent_s = timeout_s * _SILENT_SHARE

    def is_reached() -> bool:
        loaded = watch.is_parsed if until == "domcontentloaded" else watch.is_loaded
        is_ended = loaded or bool(watch.crash) or is_over()
        return is_ended or watch.give_up(time.monotonic(), looks_s=looks_s, frame_s=frame_s)

    def is_held_up() -> bool:
        return watch.is_held_up(time.monotonic(), looks_s=looks_s, frame_s=frame_s, silent_s=silent_s)

    await page.until(lambda: is_reached() or is_held_up(), timeout_s=timeout_s)
    return is_reached()


async def wait_for_selector(page: Page, selector: str, is_over: Callable[[], bool], *, timeout_s: float) -> bool:
    """Wait until the selector matches, or ``is_over``; raises ``ScriptFailed`` if it is not valid CSS."""
    call = f"Document.prototype.querySelector.call(document, {literal(selector)}) !== null"
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s and not is_over():
        try:
            world = await page.world(page.session, page.watch.frame_id, timeout_s=_ANSWER_LIMIT_S)
            if await page.evaluate(page.session, world, call, timeout_s=_ANSWER_LIMIT_S):
                return True
        except CallFailed:
            pass  # it navigated, or was busy: the next round asks again
        await asyncio.sleep(_LOOK_EVERY_S)
    return False


async def wait_until_still(
    page: Page, waited: Waited, is_over: Callable[[], bool], *, quiet_ms: int, timeout_s: float, leave_s: float = 0.0
) -> Facts:
    """Wait for network and DOM to be still together, and return the last facts.

    Waits up to ``leave_s`` seconds for a page that is about to navigate. Raises as ``read_facts`` does. Returns early
    if the page navigates, which ``watch.navigations`` shows.
    """
    watch, start_s = page.watch, time.monotonic()
    navigations = watch.navigations
    while True:
        facts = await read_facts(page)
        now_s = time.monotonic()
        is_leaving = (facts.leaves_in_s or leave_s) < leave_s - (now_s - start_s)
        network_ms = (now_s - max(watch.last_network_s, start_s - quiet_ms / 1000)) * 1000
        network_left_ms = 0 if facts.is_still else quiet_ms - network_ms
        dom_left_ms = 0 if facts.is_still else quiet_ms * (_BARE_FACTOR if facts.is_bare else 1) - facts.still_ms
        is_network_still = not watch.inflight and network_left_ms <= 0
        is_dom_still = dom_left_ms <= 0
        if (is_network_still and is_dom_still and not is_leaving) or watch.navigations != navigations or is_over():
            waited.network = waited.dom = ""
            return facts
        if now_s - start_s >= timeout_s and not is_leaving:
            waited.network = "" if is_network_still else f"{len(watch.inflight)} requests open after {timeout_s:.1f} s"
            waited.dom = "" if is_dom_still else f"still changing after {timeout_s:.1f} s"
            return facts
        left_s = min(max(network_left_ms, dom_left_ms) / 1000, timeout_s - (now_s - start_s))
        if is_leaving or facts.is_bare or watch.inflight:  # the wait may be over sooner, or take longer
            left_s = _LOOK_EVERY_S if is_leaving else min(left_s, _LOOK_EVERY_S)
        await page.until(lambda: is_over() or watch.navigations != navigations, timeout_s=max(left_s, _LEAST_S))
