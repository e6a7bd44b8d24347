"""Brings a page to an auditable state: navigates, waits, follows redirects, stops pages that exceed a budget.

Raises ``Unread`` if there is nothing to audit; doubts about an incomplete page are collected in ``doubts``. The waits
themselves are in ``waiting.py``, the judgements in ``verdict.py``; ``visit.py`` calls this first.
"""

from __future__ import annotations

import time
from typing import Final

from producer.contract import Doubt, ScanRequest, public_url
from worker.scan import refresh
from worker.scan.cdp import CallFailed, CallTimedOut
from worker.scan.deadline import Deadline
from worker.scan.downtime import Downtime, Origin
from worker.scan.page import Page, ScriptFailed
from worker.scan.proxy import INLINE_HOST, ScanProxy, origin_of
from worker.scan.settings import ScanSettings
from worker.scan.verdict import (
    Unread,
    describe_requests,
    judge_document,
    judge_place,
    judge_sign_in,
    judge_type,
)
from worker.scan.waiting import Facts, Waited, read_facts, wait_for_load, wait_for_selector, wait_until_still
from worker.scan.workers import MOST

_LOAD_SHARE: Final = 0.5
_SETTLE_SHARE: Final = 0.2
"""Maximum share of the scan's deadline."""
_STOP_LIMIT_S: Final = 2.0
_URL_CHARS: Final = 200
_START_EVERY_S: Final = 0.5
_BAD_HEADERS: Final = "the browser refuses to send one of the given headers: it sets Host and Content-Length itself"
_HANGS_UP: Final = frozenset({"ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET", "ERR_CONNECTION_CLOSED"})


class Load:
    """The loading of one page."""

    def __init__(
        self,
        request: ScanRequest,
        *,
        page: Page,
        proxy: ScanProxy,
        settings: ScanSettings,
        deadline: Deadline,
        downtime: Downtime,
    ) -> None:
        self._request = request
        self._page = page
        self._proxy = proxy
        self._settings = settings
        self._deadline = deadline
        self._downtime = downtime
        self._is_kept_here, self._departed, self._arrived = False, 0, 0
        self._is_on_the_way = bool(request.steps)
        self._asked = request.url or ""
        self.waited = Waited()
        self.doubts: list[Doubt] = []
        self.facts: Facts | None = None

    async def navigate(self) -> None:
        """Go to the requested address or HTML; waits for a server that is not up yet."""
        url = self._request.url or f"http://{INLINE_HOST}/"
        origin, watch, start_s = origin_of(url), self._page.watch, time.monotonic()
        limit_s = 0.0 if self._downtime.is_known(origin) else min(self._settings.start_limit_s, self._limit_s)
        error = await self._go_to(url)
        while self._is_down(origin, error):
            if time.monotonic() - start_s >= limit_s:
                self._downtime.note(origin, is_down=True)
                break
            await self._page.until(lambda: bool(watch.crash), timeout_s=_START_EVERY_S)
            self.waited.start = f"the server was unreachable for {time.monotonic() - start_s:.0f} s"
            self._proxy.faults.clear()
            watch.restart()
            error = await self._go_to(url)
        else:
            self._downtime.note(origin, is_down=False)
        try:
            self._judge(error)
        except Unread as end:
            headers = _BAD_HEADERS if self._page.has_bad_headers else ""
            reason = "; ".join(filter(None, (end.reason, self.waited.start, headers)))
            raise Unread(end.status, reason, doubt=end.doubt, asks_to_sign_in=end.asks_to_sign_in) from None

    async def _go_to(self, url: str) -> str:
        """Return Chromium's error, or nothing; raises ``Unread`` if there is no page."""
        limit_s = self._limit_s
        try:
            answer = await self._page.session.call("Page.navigate", {"url": url}, timeout_s=limit_s)
        except CallTimedOut:
            self._judge(f"no answer within {limit_s:.1f} s")
            raise
        if answer.get("isDownload"):
            raise Unread("unreachable", "the address is a download, not a page")
        return str(answer.get("errorText", ""))

    def _is_down(self, origin: Origin, error: str) -> bool:
        """Return whether the server does not listen, or closes every connection, like a starting container's port."""
        watch = self._page.watch
        if watch.crash or watch.redirects or (watch.document and watch.document.status):
            return False
        fault = self._proxy.faults.get(origin)
        return fault.is_down if fault else error.removeprefix("net::") in _HANGS_UP

    async def settle(self) -> Facts:
        """Wait until the page has loaded and is still, following its own navigations, and return its facts."""
        watch = self._page.watch
        while True:
            navigations, self.facts = watch.navigations, None
            await self._wait_for_load()
            self._judge("")
            if await self._has_read_on():
                continue
            await self._wait_for_selector()
            self.facts = await self._wait_until_still()
            if watch.navigations == navigations:
                break
        self._judge("")
        self._stop_if_over()
        self._note_open_requests()
        self._look(self.facts)
        return self.facts

    def begin_again(self, *, asked: str | None = None) -> None:
        """Drop the redirects so far, since steps navigate further; ``asked`` is the address requested at their end."""
        watch = self._page.watch
        if watch.navigations != self._arrived:
            self.doubts.clear()
        watch.redirects.clear()
        self._departed, self._arrived = watch.departures, watch.navigations
        self._asked, self._is_on_the_way = asked or "", asked is None

    async def look_again(self) -> None:
        """Judge the page as it is now; raises ``CallFailed`` if it has navigated away."""
        self.facts = await read_facts(self._page)
        self._look(self.facts)

    def end_if_lost(self) -> None:
        """Raise ``Unread`` for a page that crashed or keeps navigating."""
        watch = self._page.watch
        if watch.crash:
            raise Unread("unreachable", self.explain(watch.crash))
        if self._departures > self._settings.max_navigations:
            raise Unread("unreachable", f"the page navigated away or reloaded itself {self._departures} times")

    def explain(self, failure: str) -> str:
        """Return in words why a call to the page failed."""
        crash = self._page.watch.crash
        return f"the page's process died ({crash}): out of memory, or a crash of the browser" if crash else failure

    async def _wait_for_load(self) -> None:
        limit_s, start_s = self._limit_s, time.monotonic()
        is_in_time = await wait_for_load(
            self._page,
            self.is_over,
            until=self._request.wait_until,
            timeout_s=limit_s,
            looks_s=self.settle_limit_s,
            frame_s=self._settings.frame_limit_s,
        )
        self.end_if_lost()
        self._stop_if_over()
        if not is_in_time:
            limit_s = min(limit_s, time.monotonic() - start_s)
            self.waited.load = f"not within {limit_s:.1f} s"
            waits_for = describe_requests(self._page.watch.inflight.values())
            reason = f"the page did not finish loading within {limit_s:.1f} s"
            self._stop("load-timeout", f"{reason}: it waits for {waits_for}" if waits_for else reason)

    async def _has_read_on(self) -> bool:
        """Reload a page that navigated to something other than a page while being parsed, and keep it there."""
        watch, cut_by = self._page.watch, self._page.watch.cut_by
        if not cut_by:
            return False
        if self._is_kept_here:
            what = f"it was parsed only up to its navigation to {public_url(cut_by)[:_URL_CHARS]}"
            self.doubts.append(Doubt(kind="partial-document", what=what))
            watch.cut_by = ""
            return False
        self._is_kept_here = True
        await self._page.keep_from(cut_by, timeout_s=_STOP_LIMIT_S)
        navigations = watch.navigations
        await self._page.session.call("Page.reload", timeout_s=self._limit_s)
        await self._page.until(lambda: watch.navigations != navigations or self.is_over(), timeout_s=self._limit_s)
        watch.drop_reload()
        return True

    async def _wait_for_selector(self) -> None:
        selector = self._request.wait_for
        if not selector or self._is_on_the_way:
            return
        limit_s, start_s = min(self._limit_s, self._deadline.left_s * _LOAD_SHARE), time.monotonic()
        try:
            is_there = await wait_for_selector(self._page, selector, self.is_over, timeout_s=limit_s)
        except ScriptFailed as error:
            self.doubts.append(Doubt(kind="wait-for", what=f"wait_for: {error}"))
            return
        if not is_there:
            limit_s = min(limit_s, time.monotonic() - start_s)
            self.waited.selector = f"not within {limit_s:.1f} s"
            self.doubts.append(Doubt(kind="wait-for", what=f"{selector!r} did not appear within {limit_s:.1f} s"))

    async def _wait_until_still(self) -> Facts:
        limit_s, start_s = self.settle_limit_s, time.monotonic()
        is_cut_short, is_stopped = any(doubt.is_unseen for doubt in self.doubts), False
        while True:
            try:
                if is_cut_short:
                    self.waited.network = self.waited.dom = "not waited for: the page is already incomplete"
                    return await read_facts(self._page)
                return await wait_until_still(
                    self._page,
                    self.waited,
                    self.is_over,
                    quiet_ms=self._settings.quiet_ms,
                    timeout_s=limit_s,
                    leave_s=self._leave_limit_s,
                )
            except CallTimedOut:
                if self._page.workers.pause():
                    continue  # they may have kept the processor busy
                if is_stopped:
                    raise
                is_stopped = True
                what = "a script of the page did not end and was stopped"
                self.doubts.append(Doubt(kind="script-stopped", what=what))
                await self._page.session.call("Runtime.terminateExecution", timeout_s=_STOP_LIMIT_S)
            except CallFailed:
                # It navigated during the call; each navigation counts towards its limit.
                self.end_if_lost()
                if time.monotonic() - start_s > limit_s + self._leave_limit_s + _STOP_LIMIT_S:
                    raise
                await self._page.until(self.is_over, timeout_s=self._settings.quiet_ms / 1000)

    # ------------------------------------------------------------------------------------------ judging

    @property
    def _limit_s(self) -> float:
        return min(self._settings.load_limit_s, self._deadline.total_s * _LOAD_SHARE, self._deadline.left_s)

    @property
    def _departures(self) -> int:
        return self._page.watch.departures - self._departed

    @property
    def settle_limit_s(self) -> float:
        """Maximum seconds for the page to become still."""
        return min(self._settings.settle_limit_s, self._deadline.total_s * _SETTLE_SHARE)

    @property
    def _leave_limit_s(self) -> float:
        """Maximum seconds for a page that announces its own navigation."""
        is_in_a_row = self._page.watch.navigations - self._arrived >= refresh.MOST
        return 0.0 if is_in_a_row else min(refresh.LIMIT_S, self._deadline.total_s * _SETTLE_SHARE)

    @property
    def _has_too_many_bytes(self) -> bool:
        return self._proxy.is_over_budget or self._page.watch.received_bytes > self._settings.max_bytes

    @property
    def _has_too_many_frames(self) -> bool:
        return self._page.frame_processes > self._settings.max_frame_processes

    def is_over(self) -> bool:
        """Return whether waiting is pointless: the page is lost or has exceeded a budget."""
        watch = self._page.watch
        is_lost = bool(watch.crash) or watch.is_document_lost or self._departures > self._settings.max_navigations
        is_over_limit = self._has_too_many_bytes or self._has_too_many_frames
        return is_lost or is_over_limit or self._page.workers.are_too_many

    def _judge(self, error: str) -> None:
        self.end_if_lost()
        unread = judge_document(self._page.watch.document, error=error, faults=self._proxy.faults)
        if unread is not None:
            raise unread

    def _look(self, facts: Facts) -> None:
        """Raise ``Unread`` for anything but a page to audit."""
        unread = judge_place(facts.href) or judge_type(facts.content_type)
        if unread is None and self._asked and facts.asks_who and not self._is_on_the_way:
            unread = judge_sign_in(asked=self._asked, shown=facts.href)
        if unread is not None:
            raise unread
        if facts.elements > self._settings.max_elements:
            reason = f"the page has {facts.elements:,} elements: only up to {self._settings.max_elements:,} are audited"
            raise Unread("partial", reason, doubt="over-limit")

    def _note_open_requests(self) -> None:
        """Record requests that were still open; an incomplete page has already named them."""
        if any(doubt.kind in {"load-timeout", "open-request"} for doubt in self.doubts):
            return
        long_open = self._page.watch.open_since(time.monotonic() - self.settle_limit_s / 2)
        if long_open:
            what = f"the scan stopped waiting for {describe_requests(long_open)}"
            self.doubts.append(Doubt(kind="open-request", what=what, where=public_url(long_open[0].url)))

    def _stop_if_over(self) -> None:
        """Stop a page that has exceeded a budget; called after each wait."""
        if self._has_too_many_frames:
            self._stop("over-limit", f"it has more than {self._settings.max_frame_processes} frames of other sites")
        if self._page.workers.are_too_many:
            self._stop("over-limit", f"it runs more than {MOST} workers at a time")
        if self._has_too_many_bytes:
            self._stop("over-limit", f"it received more than {self._settings.max_bytes:,} bytes")

    def _stop(self, kind: str, reason: str) -> None:
        """Stop loading and any endless script, and continue with the incomplete page."""
        document = self._page.watch.document
        is_whole = document is not None and document.is_whole
        if self._has_too_many_bytes and not is_whole:
            raise Unread("unreachable", f"the page is too large: {reason}")
        if any(known.what.startswith(reason) for known in self.doubts):
            return
        what = reason if is_whole else f"{reason}: its document was still arriving"
        self.doubts.append(Doubt(kind=kind, what=what))
        self._page.session.post("Page.stopLoading")
        self._page.session.post("Runtime.terminateExecution")
