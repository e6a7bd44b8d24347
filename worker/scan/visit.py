"""One visit to one page: load, settle, look, audit, picture. Reads as that list; each step may end it as ``Unread``.

It owns nothing that lives on: proxy and page are its own and end with it. Which browser it gets, and what happens when
that dies, is ``engine.py``'s business; what a page deserves to be called is ``verdict.py``'s.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Final

from producer.contract import ScanRequest, ScanResult, ScanStatus, public_url
from worker.scan.axe import AxeReport, AxeRun, load_axe
from worker.scan.cdp import CallFailed, CallTimedOut
from worker.scan.chromium import Chromium
from worker.scan.deadline import Deadline
from worker.scan.page import Page, ScriptFailed
from worker.scan.proxy import INLINE_HOST, ScanProxy, origin_of
from worker.scan.result import Seen, make_result
from worker.scan.settings import Audit, ScanSettings
from worker.scan.verdict import Unread, judge_document, judge_type
from worker.scan.waiting import Facts, Waited, read_facts, wait_for_load, wait_for_selector, wait_until_still

_LOAD_SHARE: Final = 0.5
_SETTLE_SHARE: Final = 0.2
_STOP_LIMIT_S: Final = 2.0
_MAX_SHOT_PIXELS: Final = 16_384
"""Chromium draws no taller picture in one piece."""
_AUDIT_TRIES: Final = 3
_FRAMES_SHOWN: Final = 3

Progress = Callable[[str], None]


class Visit:
    """One visit; ``run`` may be called once."""

    def __init__(
        self,
        request: ScanRequest,
        *,
        page: Page,
        proxy: ScanProxy,
        settings: ScanSettings,
        deadline: Deadline,
        on_progress: Progress,
    ) -> None:
        self._request = request
        self._page = page
        self._proxy = proxy
        self._settings = settings
        self._deadline = deadline
        self._on_progress = on_progress
        self._waited = Waited()
        self._partial: list[str] = []
        self._facts: Facts | None = None
        self._timings: dict[str, int] = {"open": deadline.spent_ms}

    async def run(self, browser: Chromium) -> Audit:
        """Return what the page came to; raises only what the browser's own failure raises."""
        try:
            await self._navigate()
            await self._settle()
            self._look()
            report = await self._audit()
        except Unread as end:
            return Audit(self._result(browser, end.status, end.reason))
        except CallTimedOut:
            return Audit(self._result(browser, "unreachable", self._why_lost("the page is too busy to be read")))
        except CallFailed as error:
            if not self._page.watch.crash:
                await browser.check()
            return Audit(self._result(browser, "unreachable", self._why_lost(f"the page went away: {error}")))
        picture = await self._picture()
        status: ScanStatus = "partial" if self._partial else "scanned"
        return Audit(self._result(browser, status, report=report), picture)

    # ------------------------------------------------------------------------------------------ steps

    async def _navigate(self) -> None:
        self._on_progress("loading")
        url = self._request.url or f"http://{INLINE_HOST}/"
        limit_s = self._load_limit_s
        try:
            answer = await self._page.session.call("Page.navigate", {"url": url}, timeout_s=limit_s)
        except CallTimedOut:
            self._judge(f"no answer came within {limit_s:.0f} s")
            raise
        if answer.get("isDownload"):
            raise Unread("unreachable", "the address is a download, not a page")
        self._judge(str(answer.get("errorText", "")))

    async def _settle(self) -> None:
        """Wait for load and stillness, following the page where it takes itself."""
        watch = self._page.watch
        while True:
            navigations = watch.navigations
            await self._wait_for_load()
            self._judge("")
            await self._wait_for_selector()
            self._facts = await self._wait_until_still()
            if watch.navigations == navigations:
                break
        self._judge("")
        self._mark("load")

    async def _wait_for_load(self) -> None:
        limit_s = self._load_limit_s
        is_in_time = await wait_for_load(self._page, self._is_over, until=self._request.wait_until, timeout_s=limit_s)
        self._end_if_lost()
        if self._has_too_many_frames:
            await self._stop_loading(f"more than {self._settings.max_frame_processes} frames of other sites")
        elif self._is_over_budget:
            await self._stop_loading(f"more than {self._settings.max_bytes:,} bytes came")
        elif not is_in_time:
            self._waited.load = f"not within {limit_s:.0f} s"
            await self._stop_loading(f"the page did not finish loading within {limit_s:.0f} s")

    async def _stop_loading(self, reason: str) -> None:
        """Stop loading and any endless script, and go on with what there is, as a part."""
        document = self._page.watch.document
        is_whole = document is not None and document.is_whole
        if self._is_over_budget and not is_whole:
            raise Unread("unreachable", f"the page is too large: {reason}")
        self._partial.append(reason if is_whole else f"{reason}: its document was still arriving")
        self._page.session.post("Page.stopLoading")
        self._page.session.post("Runtime.terminateExecution")

    async def _wait_for_selector(self) -> None:
        selector = self._request.wait_for
        if not selector:
            return
        limit_s = min(self._load_limit_s, self._deadline.left_s * _LOAD_SHARE)
        try:
            is_there = await wait_for_selector(self._page, selector, timeout_s=limit_s)
        except ScriptFailed as error:
            self._partial.append(f"wait_for: {error}")
            return
        if not is_there:
            self._waited.selector = f"not within {limit_s:.0f} s"
            self._partial.append(f"{selector!r} did not appear within {limit_s:.0f} s")

    async def _wait_until_still(self) -> Facts:
        limit_s = min(self._settings.settle_limit_s, self._deadline.total_s * _SETTLE_SHARE)
        is_cut_short = bool(self._partial)
        is_stopped = False
        while True:
            try:
                if is_cut_short:
                    self._waited.network = self._waited.dom = "not waited for: loading was stopped"
                    return await read_facts(self._page)
                return await wait_until_still(
                    self._page, self._waited, self._is_over, quiet_ms=self._settings.quiet_ms, timeout_s=limit_s
                )
            except CallTimedOut:
                if is_stopped:
                    raise
                is_stopped = True
                self._partial.append("a script of the page did not end and was stopped")
                await self._page.session.call("Runtime.terminateExecution", timeout_s=_STOP_LIMIT_S)
            except CallFailed:
                # It navigated in mid-call; each time costs it one of its navigations.
                self._end_if_lost()
                await self._page.until(self._is_over, timeout_s=self._settings.quiet_ms / 1000)

    def _look(self) -> None:
        """End the visit when this is no page to audit; note what makes it a part."""
        self._end_if_lost()
        facts = self._facts
        assert facts is not None  # noqa: S101  read while settling
        unread = judge_type(facts.content_type)
        if unread is not None:
            raise unread
        if facts.elements > self._settings.max_elements:
            reason = f"the page has {facts.elements:,} elements: only up to {self._settings.max_elements:,} are audited"
            raise Unread("partial", reason)

    async def _audit(self) -> AxeReport:
        self._on_progress("auditing")
        for _ in range(_AUDIT_TRIES):
            navigations = self._page.watch.navigations
            run = AxeRun(
                self._page,
                self._request,
                left_s=lambda: self._deadline.left_s,
                frame_limit_s=self._settings.frame_limit_s,
                max_frames=self._settings.max_frames,
            )
            try:
                report = await run.run(
                    max_nodes=self._settings.max_nodes_per_finding, with_boxes=self._request.screenshot
                )
            except CallTimedOut:
                raise Unread("partial", f"axe-core did not finish within {self._deadline.total_s:.0f} s") from None
            except ScriptFailed as error:
                raise Unread("partial", f"axe-core failed in the page: {error}") from None
            except CallFailed:
                self._end_if_lost()
            else:
                if self._page.watch.navigations == navigations:
                    self._note_unread_frames(report)
                    self._mark("audit")
                    return report
            await self._settle()
            self._look()
        raise Unread("unreachable", "the page went elsewhere each time it was audited")

    def _note_unread_frames(self, report: AxeReport) -> None:
        faults = self._proxy.faults
        for url, error in self._page.watch.unread_frames.items():
            fault = faults.get(origin_of(url))
            report.unread_frames[public_url(url)] = fault.reason if fault else error
        unread = report.unread_frames
        if unread:
            shown = "; ".join(f"{name}: {why}" for name, why in list(unread.items())[:_FRAMES_SHOWN])
            number = "1 frame" if len(unread) == 1 else f"{len(unread)} frames"
            self._partial.append(f"{number} could not be read ({shown})")

    async def _picture(self) -> bytes | None:
        """Return a PNG of the whole page; a page that cannot be drawn is still scanned."""
        if not self._request.screenshot or self._facts is None:
            return None
        self._on_progress("picture")
        viewport = self._request.viewport
        height = min(max(self._facts.height, viewport.height), _MAX_SHOT_PIXELS)
        clip = {"x": 0, "y": 0, "width": viewport.width, "height": height, "scale": 1}
        try:
            shot = await self._page.session.call(
                "Page.captureScreenshot",
                {"format": "png", "clip": clip, "captureBeyondViewport": True, "optimizeForSpeed": True},
                timeout_s=self._deadline.left_s,
            )
        except CallFailed:
            return None
        self._mark("picture")
        return base64.b64decode(shot["data"])

    # ------------------------------------------------------------------------------------------ judging

    @property
    def _load_limit_s(self) -> float:
        return min(self._settings.load_limit_s, self._deadline.total_s * _LOAD_SHARE, self._deadline.left_s)

    @property
    def _is_over_budget(self) -> bool:
        return self._proxy.is_over_budget or self._page.watch.received_bytes > self._settings.max_bytes

    @property
    def _has_too_many_frames(self) -> bool:
        return self._page.frame_processes > self._settings.max_frame_processes

    def _is_over(self) -> bool:
        watch = self._page.watch
        is_lost = bool(watch.crash) or watch.is_document_lost
        return is_lost or self._is_over_budget or self._has_too_many_frames or watch.navigations > self._settings.max_navigations

    def _judge(self, error: str) -> None:
        self._end_if_lost()
        unread = judge_document(self._page.watch.document, error=error, faults=self._proxy.faults)
        if unread is not None:
            raise unread

    def _end_if_lost(self) -> None:
        watch = self._page.watch
        if watch.crash:
            raise Unread("unreachable", self._why_lost(watch.crash))
        if watch.navigations > self._settings.max_navigations:
            reason = f"the page went elsewhere or reloaded itself {watch.navigations} times"
            raise Unread("unreachable", reason)

    def _why_lost(self, otherwise: str) -> str:
        crash = self._page.watch.crash
        return f"the page's process died ({crash}): out of memory, or a crash of the browser" if crash else otherwise

    # ------------------------------------------------------------------------------------------ result

    def _mark(self, step: str) -> None:
        self._timings[step] = self._deadline.spent_ms - sum(self._timings.values())

    def _result(
        self, browser: Chromium, status: ScanStatus, reason: str = "", report: AxeReport | None = None
    ) -> ScanResult:
        seen = Seen(
            watch=self._page.watch,
            waited=self._waited,
            refusals=tuple(self._proxy.refusals),
            facts=self._facts,
            report=report or AxeReport(),
        )
        return make_result(
            self._request,
            seen,
            status=status,
            reason="; ".join([*([reason] if reason else []), *self._partial]),
            engine={"axe": load_axe().version, "browser": browser.version, "sandbox": browser.sandbox},
            timings_ms={**self._timings, "total": self._deadline.spent_ms},
        )
