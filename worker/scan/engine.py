"""The scan engine: takes a page, returns axe-core's findings. The only module the rest of the worker uses.

Steps of a scan: acquire a slot → ``warm.py`` lends a browser → ``proxy.py`` opens the only way out → ``page.py`` opens
a context → ``visit.py`` loads, waits, audits → everything is closed. A page's behaviour ends in the result's status. If
the browser dies during a scan, it is replaced and the scan is repeated once in a separate browser.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Self, TypeVar

from producer.contract import ScanRequest
from producer.contract.fixes import TriedFix
from producer.errors import DependencyMissing, ScanFailed
from worker.scan.axe_source import load_axe, script
from worker.scan.browser import find_browser
from worker.scan.cdp import BrowserGone, CallFailed
from worker.scan.chromium import Chromium, remove_stale_profiles
from worker.scan.deadline import Deadline
from worker.scan.downtime import Downtime
from worker.scan.emulation import emulate, user_agent
from worker.scan.fixes.trial import Trial
from worker.scan.fixes.wanted import Wanted
from worker.scan.guard import Guard
from worker.scan.login import log_in
from worker.scan.page import Page
from worker.scan.preparation import prepare
from worker.scan.proxy import Resolver, ScanProxy, resolve_host
from worker.scan.settings import Audit, BeforeLoad, ScanSettings, Secrets, no_pause
from worker.scan.visit import Visit
from worker.scan.warm import WarmBrowser

__all__ = ["Audit", "ScanEngine", "ScanSettings", "Secrets"]

_GRACE_S: Final = 10.0
"""Seconds beyond the request's deadline for Chromium to open and close a context."""


T = TypeVar("T")


def _ignore(_: str) -> None:
    """Ignore progress."""


@dataclass(frozen=True, slots=True)
class _Errand(Generic[T]):
    """A task on a page, and how to open it."""

    request: ScanRequest
    secrets: Secrets
    run: Callable[[Visit, Page, Chromium], Awaitable[T]]
    on_progress: Callable[[str], None] = _ignore
    before_load: BeforeLoad = no_pause
    only_reads: bool = False


class OutOfMemory(Exception):
    """The browser was killed because pages used too much of its memory."""


class ScanEngine:
    """Scans pages with one warm browser; ``open`` it first, or use it as an async context manager."""

    def __init__(self, settings: ScanSettings | None = None, *, resolve: Resolver = resolve_host) -> None:
        self._settings = settings or ScanSettings()
        self._guard = Guard(self._settings)
        self._resolve = resolve
        self._places = asyncio.Semaphore(self._settings.max_concurrent)
        self._browsers: WarmBrowser | None = None
        self._downtime = Downtime()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Check axe-core, find the browser and start it; safe to call twice.

        Raises ``DependencyMissing`` without a browser that starts, or without a required sandbox; ``ScanFailed`` for an
        axe-core other than the shipped one.
        """
        if self._browsers is not None:
            return
        load_axe()
        remove_stale_profiles()
        self._browsers = WarmBrowser(find_browser(self._settings.browser_path), self._settings)
        try:
            await self._browsers.start()
        except BrowserGone as error:
            self._browsers = None
            msg = f"the browser does not start: {error}"
            raise DependencyMissing(msg) from None

    async def close(self) -> None:
        """Stop the browser; running scans raise ``ScanFailed``. Safe to call twice."""
        if self._browsers is not None:
            browsers, self._browsers = self._browsers, None
            await browsers.close()

    @property
    def sandbox(self) -> str:
        """Whether the browser runs in its sandbox: ``on``, or why not; '' while it is closed."""
        return self._browsers.sandbox if self._browsers else ""

    @property
    def browser(self) -> str:
        """The path of the browser; '' while it is closed."""
        return str(self._browsers.path) if self._browsers else ""

    async def resident_mb(self) -> int:
        """Return the browser's resident memory; 0 while it is closed, and where ``/proc`` is missing."""
        return await self._browsers.resident_mb() if self._browsers else 0

    async def audit(
        self,
        request: ScanRequest,
        *,
        secrets: Secrets | None = None,
        on_progress: Callable[[str], None] | None = None,
        before_load: BeforeLoad | None = None,
    ) -> Audit:
        """Return the audit of the page, whatever it does; calls ``on_progress`` with each step's name.

        Raises ``ScanFailed`` if the browser fails twice, ``InvalidJob`` for a rule unknown to axe-core and a selector
        unknown to the browser, and what ``before_load`` raises. Cancelling it closes the page.
        """

        async def run(visit: Visit, _: Page, browser: Chromium) -> Audit:
            return await visit.run(browser)

        wanted = before_load or no_pause
        return await self._with_page(_Errand(request, secrets or Secrets(), run, on_progress or _ignore, wanted))

    async def try_fixes(
        self,
        request: ScanRequest,
        wanted: Sequence[Wanted],
        *,
        secrets: Secrets | None = None,
        before_load: BeforeLoad | None = None,
    ) -> tuple[TriedFix, ...]:
        """Return the results of changes tried on the page; nothing is written to any server.

        Raises as ``audit`` does.
        """

        async def run(visit: Visit, page: Page, _: Chromium) -> tuple[TriedFix, ...]:
            return await Trial(page, visit, url=request.url or "", left_s=visit.left_s).run(wanted)

        errand = _Errand(request, secrets or Secrets(), run, before_load=before_load or no_pause, only_reads=True)
        return await self._with_page(errand)

    async def _with_page(self, errand: _Errand[T]) -> T:
        """Run the errand in a slot of this engine; if the browser fails, once more in a separate browser."""
        async with self._places:
            for alone in (False, True):
                is_eater = False
                try:
                    return await self._lent(errand, alone=alone)
                except OutOfMemory as error:
                    failure, is_eater = str(error), alone
                except (BrowserGone, CallFailed, TimeoutError) as error:
                    failure = str(error) or f"it did not end within {errand.request.deadline_s + _GRACE_S:.0f} s"
        msg = f"the browser failed twice on this page; the last time: {failure}"
        failed = ScanFailed(msg)
        failed.retryable = not is_eater  # it was alone in its browser: another attempt would fail the same way
        raise failed

    async def _lent(self, errand: _Errand[T], *, alone: bool) -> T:
        if self._browsers is None:
            msg = "the scan engine is not open"
            raise ScanFailed(msg)
        async with self._browsers.lend(alone=alone) as browser:
            try:
                async with asyncio.timeout(errand.request.deadline_s + _GRACE_S):
                    return await self._visit(browser, errand)
            except (BrowserGone, CallFailed, TimeoutError) as error:
                browser.is_broken = True
                if browser.end_reason:
                    raise OutOfMemory(browser.end_reason) from error
                raise

    async def _visit(self, browser: Chromium, errand: _Errand[T]) -> T:
        request, deadline = errand.request, Deadline(errand.request.deadline_s)
        proxy = ScanProxy(
            self._guard.for_page(request.url),
            self._resolve,
            max_bytes=self._settings.max_bytes,
            inline_html=request.html,
            blocked_hosts=request.blocked_hosts,
            ca=request.ca,
        )
        async with proxy:
            page = await Page.open(
                browser,
                proxy_port=proxy.port,
                viewport=request.window,
                user_agent=user_agent(browser.user_agent),
                start_script=script("document_start"),
            )
            try:
                await emulate(page, request, browsers_agent=browser.user_agent)
                await prepare(page, request)
                if errand.only_reads:
                    await page.forbid_writes()
                await log_in(page, request.url, errand.secrets)
                visit = Visit(
                    request,
                    page=page,
                    proxy=proxy,
                    settings=self._settings,
                    deadline=deadline,
                    downtime=self._downtime,
                    on_progress=errand.on_progress,
                    secrets=errand.secrets,
                )
                errand.before_load()
                return await errand.run(visit, page, browser)
            finally:
                await asyncio.shield(page.close())
