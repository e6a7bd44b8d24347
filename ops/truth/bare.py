"""Runs unmodified axe-core on the page that the product has just audited, and on a plain load of it.

The vendored file is evaluated as it is on disk, in an isolated world of every frame; frames communicate by axe-core's
own messages. Only the timers are Sightline's, since a page at rest runs no others.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final
from unittest.mock import patch

from producer.contract import ScanRequest, ScanResult, Viewport
from worker.scan.axe import AxeReport, AxeRun, options_for
from worker.scan.axe_source import load_axe
from worker.scan.cdp import CallFailed, JsonObject, Session
from worker.scan.chromium import Chromium
from worker.scan.engine import ScanEngine
from worker.scan.guard import Guard
from worker.scan.page import Page, ScriptFailed, literal
from worker.scan.proxy import ScanProxy
from worker.scan.settings import ScanSettings

_RUN_LIMIT_S: Final = 60.0
_LOAD_LIMIT_S: Final = 15.0
_CALL_LIMIT_S: Final = 5.0
_TIMERS: Final = """{
  const waiting = new Set();
  let last = 0;
  const post = (run) => { const { port1, port2 } = new MessageChannel(); port1.onmessage = run; port2.postMessage(0); };
  globalThis.setTimeout = (run, ms = 0, ...rest) => {
    const timer = ++last, due = performance.now() + ms;
    const next = ms > 1 && window === top ? requestAnimationFrame.bind(globalThis) : post;
    const look = () => {
      if (!waiting.has(timer)) return;
      if (performance.now() < due) return void next(look);
      waiting.delete(timer);
      run(...rest);
    };
    waiting.add(timer);
    next(look);
    return timer;
  };
  globalThis.clearTimeout = (timer) => void waiting.delete(timer);
}"""
_RUN: Final = """(async () => {
  const report = await axe.run(document, OPTIONS);
  const node = (one) => ({ target: one.target, html: one.html, summary: one.failureSummary, impact: one.impact });
  const rule = (one) => ({ id: one.id, impact: one.impact, nodes: one.nodes.map(node) });
  return JSON.stringify({ violation: report.violations.map(rule), incomplete: report.incomplete.map(rule) });
})()"""


@dataclass(slots=True)
class Beside:
    """Bare axe-core's report on the page that the product audited, and the product's own raw report."""

    bare: JsonObject = field(default_factory=dict[str, Any])
    failure: str = ""
    report: AxeReport = field(default_factory=AxeReport)
    has_shadowed_names: bool = False
    """A form has a field that shadows a property which axe-core reads."""


_beside: ContextVar[Beside] = ContextVar("beside")


async def run_bare(page: Page, request: ScanRequest) -> JsonObject:
    """Return axe-core's rules with their nodes, by outcome; raises ``ScriptFailed`` if it fails in the page."""
    for session in page.sessions:
        for frame_id in await _frames_of(session):
            if frame_id != page.watch.frame_id:
                await _load(session, frame_id)
    world = await _load(page.session, page.watch.frame_id)
    call = _RUN.replace("OPTIONS", literal({**options_for(request), "pingWaitTime": 3000}))
    return json.loads(await page.evaluate(page.session, world, call, timeout_s=_RUN_LIMIT_S))


async def _frames_of(session: Session) -> list[str]:
    tree = (await session.call("Page.getFrameTree", timeout_s=_CALL_LIMIT_S))["frameTree"]
    found: list[str] = []
    below = [tree]
    while below:
        one = below.pop()
        found.append(str(one["frame"]["id"]))
        below += one.get("childFrames", ())
    return found


async def _load(session: Session, frame_id: str) -> int:
    """Evaluate axe-core in a world of the frame; frames that do not answer are left to axe-core's own limits."""
    world = {"frameId": frame_id, "worldName": "bare"}
    made = await session.call("Page.createIsolatedWorld", world, timeout_s=_CALL_LIMIT_S)
    source = f"{_TIMERS};\n{load_axe().text};\naxe.configure({{allowedOrigins: ['<unsafe_all_origins>']}})"
    load = {"expression": source, "contextId": made["executionContextId"]}
    await session.call("Runtime.evaluate", load, timeout_s=_CALL_LIMIT_S)
    return int(made["executionContextId"])


class _RunWithBare(AxeRun):
    """The product's run, followed by bare axe-core's on the same page."""

    def __init__(self, page: Page, request: ScanRequest, **limits: Any) -> None:
        super().__init__(page, request, **limits)
        self._beside = (page, request)

    async def run(self, *, max_nodes: int, with_boxes: bool) -> AxeReport:
        """See ``AxeRun.run``."""
        report = await super().run(max_nodes=max_nodes, with_boxes=with_boxes)
        beside = _beside.get()
        beside.report, beside.bare, beside.failure = report, {}, ""
        try:
            asked = [
                await self._evaluate(world, "sightlineShadowing.isNeeded()", _CALL_LIMIT_S) for world in self._worlds
            ]
            beside.has_shadowed_names = any(asked)
            beside.bare = await run_bare(*self._beside)
        except (ScriptFailed, CallFailed) as error:
            beside.failure = str(error)
        return report


def with_bare_axe() -> AbstractContextManager[object]:
    """Enable ``audit_beside`` inside the block; other scans of this process do not work there."""
    return patch("worker.scan.visit.AxeRun", _RunWithBare)


async def audit_beside(engine: ScanEngine, request: ScanRequest) -> tuple[ScanResult, Beside]:
    """Return the product's result, and bare axe-core's report of the page as the product audited it."""
    token = _beside.set(Beside())
    try:
        result = (await engine.audit(request)).result
        return result, _beside.get()
    finally:
        _beside.reset(token)


async def run_on_plain_load(browser: Chromium, request: ScanRequest, settings: ScanSettings) -> JsonObject:
    """Return bare axe-core's report after the load event and an idle network, without scrolling or rest."""
    async with ScanProxy(Guard(settings), max_bytes=settings.max_bytes) as proxy:
        page = await Page.open(
            browser, proxy_port=proxy.port, viewport=Viewport(), user_agent=browser.user_agent, start_script=""
        )
        try:
            await page.session.call("Page.navigate", {"url": request.url})
            await page.until(lambda: page.watch.is_loaded and not page.watch.inflight, timeout_s=_LOAD_LIMIT_S)
            return await run_bare(page, request)
        finally:
            await page.close()


def nodes_of(report: JsonObject) -> Sequence[tuple[str, JsonObject, JsonObject]]:
    """Return each node of a report, with its outcome and its rule."""
    return [
        (outcome, rule, node)
        for outcome in ("violation", "incomplete")
        for rule in report.get(outcome, ())
        for node in rule["nodes"]
    ]
