"""One visit to a page: load, settle, scroll, rest, audit, screenshots, result. Each step may raise ``Unread``.

Its proxy and page are closed at its end. ``engine.py`` assigns the browser and replaces one that died. Loading is in
``load.py``, axe-core in ``axe.py``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final

from producer.contract import Doubt, NamedElement, ScanRequest, ScanResult, ScanStatus, public_url
from producer.contract.scan_terms import terms_of
from producer.reports.plain_text import one_line
from worker.scan.axe import AxeReport, AxeRun
from worker.scan.axe_source import load_axe
from worker.scan.cdp import CallFailed, CallTimedOut
from worker.scan.chromium import Chromium
from worker.scan.content import Content, read_content, read_exceptions
from worker.scan.contrast import measure_contrast
from worker.scan.deadline import Deadline
from worker.scan.doubts import MAX_CHARS
from worker.scan.downtime import Downtime
from worker.scan.fonts import missing_glyphs
from worker.scan.guard import rule_of
from worker.scan.journey.sign_in import SignIn, Way
from worker.scan.lint.undecided import read_names
from worker.scan.live.run import run_live
from worker.scan.page import Page, ScriptFailed
from worker.scan.pictures import draw, judged_wanted
from worker.scan.proxy import ScanProxy, origin_of
from worker.scan.rest import Rest
from worker.scan.result import Seen, make_result
from worker.scan.settings import Audit, ScanSettings, Secrets
from worker.scan.verdict import Unread, judge_place

_AUDIT_TRIES: Final = 3
_FRAMES_SHOWN: Final = 3
_NAME_CHARS: Final = 150
_RULES_SHOWN: Final = 8
_NO_PART: Final = "No elements found for include"
"""axe-core's message if no ``include`` matches."""

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
        downtime: Downtime,
        on_progress: Progress,
        secrets: Secrets,
    ) -> None:
        self._request = request
        self._page = page
        self._proxy = proxy
        self._settings = settings
        self._deadline = deadline
        self._on_progress = on_progress
        self._rest = Rest(page, quiet_ms=settings.quiet_ms, frame_limit_s=settings.frame_limit_s)
        way = Way(page, proxy=proxy, settings=settings, deadline=deadline, downtime=downtime, secrets=secrets)
        self._load, self._journey = way.of(request)
        self._sign_in = SignIn(request, load=self._load, way=way)
        self._content: Content | None = None
        self._names: tuple[NamedElement, ...] = ()
        self._audited = 0
        """The number of the document that was audited."""
        self._timings: dict[str, int] = {"open": deadline.spent_ms}

    async def run(self, browser: Chromium) -> Audit:
        """Return the page's audit; raises only errors of the browser."""
        try:
            self._on_progress("loading")
            await self._sign_in.arrive(self._arrive)
            self._mark("load")
            self._on_progress("auditing")
            report = await self._audit()
            await self._measure_contrast(report)
            await self._look(report)
            await self._read_names(report)
            self._load.doubts += await missing_glyphs(self._page, browser.fonts, worlds=report.worlds)
            self._mark("audit")
        except Unread as end:
            if end.doubt:
                self._load.doubts.insert(0, Doubt(kind=end.doubt, what=end.reason))
            document = self._page.watch.document
            come_again_s = document.come_again_s if document else None
            result, shots = self._result(browser, end.status, end.reason), await self._journey.pictures()
            return Audit(result, shots, come_again_s=come_again_s)
        except CallTimedOut:
            return Audit(self._result(browser, "unreachable", self._load.explain("the page is too busy to be read")))
        except CallFailed as error:
            if not self._page.watch.crash:
                await browser.check()
            return Audit(self._result(browser, "unreachable", self._load.explain(f"the page is gone: {error}")))
        audit = await self._with_pictures(self._result(browser, "scanned", report=report))
        mask, left_s = self._journey.mask, self.left_s()
        audit = await run_live(self._page, self._request, report, audit, mask=mask, left_s=left_s)
        return self._journey.conceal(audit)

    async def _arrive(self) -> None:
        await self._load.navigate()
        await self._load.settle()
        await self._journey.run()

    async def open(self) -> AxeReport:
        """Load the page and return axe-core's report; raises ``Unread`` and the browser's errors."""
        await self._load.navigate()
        await self._load.settle()
        return await self._audit()

    async def audit_again(self) -> AxeReport:
        """Return axe-core's report on the page as it is now, after its scripts have run until it came to rest.

        Raises ``CallFailed`` if the page has navigated away.
        """
        await self._rest.settle(left_s=self._deadline.left_s)
        return await self._run_axe()

    def left_s(self) -> float:
        """Return the seconds left for the visit."""
        return self._deadline.left_s

    @property
    def href(self) -> str:
        """The page's current address; '' before it was examined."""
        return self._load.facts.href if self._load.facts else ""

    @property
    def is_static(self) -> bool:
        """Whether no script of the page can change it: it had no scripts and no frames when it was examined."""
        return self._load.facts is not None and self._load.facts.is_still

    async def _audit(self) -> AxeReport:
        """Run axe-core; a page that navigates meanwhile is settled and audited again."""
        watch = self._page.watch
        for _ in range(_AUDIT_TRIES):
            navigations = watch.navigations
            try:
                await self._bring_to_rest()
                report = await self._run_axe()
                self._load.end_if_lost()
            except CallTimedOut:
                reason = f"axe-core did not finish within {self._deadline.total_s:.0f} s"
                raise Unread("partial", reason, doubt="rules-left-out") from None
            except ScriptFailed as error:
                raise Unread("partial", self._why_axe_failed(error), doubt="audit-failed") from None
            except CallFailed:
                self._load.end_if_lost()
            else:
                if watch.navigations == navigations:
                    self._audited = navigations
                    self._note_unread_frames(report)
                    self._note_rules_left_out(report)
                    return report
            await self._load.settle()
        raise Unread("unreachable", "the page navigated away each time it was audited")

    async def _bring_to_rest(self) -> None:
        """Scroll through the page, bring it to rest, and examine it again: scrolling may have added content."""
        if not self._request.scroll:
            await self._rest.wait_for_frames(left_s=self._deadline.left_s)
        elif missed := await self._rest.scroll(left_s=self._deadline.left_s):
            self._note_feed(missed)
        await self._rest.settle(left_s=self._deadline.left_s)
        with contextlib.suppress(CallTimedOut):  # too busy to be examined: axe-core finds out how busy
            await self._load.look_again()

    async def _measure_contrast(self, report: AxeReport) -> None:
        await measure_contrast(
            self._page,
            report,
            viewport=self._request.window,
            may_scroll=self._request.scroll,
            left_s=self._deadline.left_s,
            is_scaled=self._request.pixel_ratio != 1,
        )

    async def _look(self, report: AxeReport) -> None:
        """Read the visible content of the audited page; without it, the audit is kept with a doubt."""
        try:
            content = await self._read_content(report)
        except (CallFailed, ScriptFailed) as error:
            self._load.end_if_lost()
            what = f"what the page shows could not be read after the rules had run: {error}"
            self._load.doubts.append(Doubt(kind="audit-failed", what=what))
            return
        self._content = content
        unread = judge_place(content.href)
        if unread is not None:
            raise unread
        if content.shows_nothing and content.scripts:
            with contextlib.suppress(CallFailed):
                await read_exceptions(self._page, left_s=self._deadline.left_s)

    async def _read_content(self, report: AxeReport) -> Content:
        left_s = self._deadline.left_s
        content = await read_content(self._page, self._request, frames=report.worlds[1:], left_s=left_s)
        if self._page.watch.navigations != self._audited:
            raise CallFailed("the page has navigated away")
        return content

    async def _read_names(self, report: AxeReport) -> None:
        most = self._settings.max_names if self._request.assess else 0
        self._names = await read_names(self._page, report, most=most, url=self.href, left_s=self._deadline.left_s)

    @property
    def _is_page_local(self) -> bool:
        """Whether the page's address is not public, or it was given as HTML."""
        document = self._page.watch.document
        if self._request.url is None or document is None:
            return True
        return any(rule_of(address) for address in self._proxy.addresses_of(*origin_of(document.url)))

    def _why_axe_failed(self, error: ScriptFailed) -> str:
        if _NO_PART in str(error):
            return f"nothing on the page matches {' or '.join(map(repr, self._request.include))}, the part to scan"
        return f"axe-core failed in the page: {error}"

    async def _run_axe(self) -> AxeReport:
        run = AxeRun(
            self._page,
            self._request,
            deadline=self._deadline,
            frame_limit_s=self._settings.frame_limit_s,
            max_frames=self._settings.max_frames,
        )
        return await run.run(max_nodes=self._settings.max_nodes_per_finding, with_boxes=self._request.screenshot)

    def _note_feed(self, what: str) -> None:
        if all(doubt.kind != "endless-feed" for doubt in self._load.doubts):
            self._load.doubts.append(Doubt(kind="endless-feed", what=what))

    def _note_unread_frames(self, report: AxeReport) -> None:
        for frame in self._page.watch.unread.values():
            if frame.frame_id not in {"", *report.frame_ids}:
                continue  # it is outside the part to scan, or hidden
            fault = self._proxy.faults.get(origin_of(frame.url))
            report.unread_frames[public_url(frame.url)] = fault.reason if fault else frame.why
        unread = report.unread_frames
        if unread:
            some = list(unread.items())[:_FRAMES_SHOWN]
            shown = "; ".join(
                f"{one_line(name, limit=_NAME_CHARS)}: {one_line(why, limit=MAX_CHARS)}" for name, why in some
            )
            number = "1 frame" if len(unread) == 1 else f"{len(unread)} frames"
            what = f"{number} could not be read ({shown})"
            self._load.doubts.append(Doubt(kind="unread-frame", what=what, where=one_line(some[0][0], limit=MAX_CHARS)))

    def _note_rules_left_out(self, report: AxeReport) -> None:
        late = {
            "there was no time for {}": report.rules_left_out,
            "there was no time to finish {}": report.rules_cut_short,
        }
        what = [text.format(_name_rules(list(rules))) for text, rules in late.items() if rules]
        if what:
            self._load.doubts.append(Doubt(kind="rules-left-out", what="; ".join(what)))

    async def _with_pictures(self, result: ScanResult) -> Audit:
        """Return the result, with screenshots if requested; a page that cannot be drawn is still scanned."""
        facts, judged = self._load.facts, judged_wanted(self._names, most=self._settings.max_pictures)
        is_wanted = self._request.screenshot or bool(judged)
        if not is_wanted or facts is None or not await self._journey.mask():
            return Audit(result)
        self._on_progress("picture")
        height, left_s = facts.height, self._deadline.left_s
        pictures = await draw(self._page, self._request, result.findings, judged, page_height=height, left_s=left_s)
        self._mark("picture")
        result = result.revised(
            timings_ms={**self._timings, "total": self._deadline.spent_ms},
            notes=(*result.notes, *([pictures.missing] if pictures.missing else [])),
        )
        return Audit(result, pictures.shots)

    def _mark(self, step: str) -> None:
        self._timings[step] = self._deadline.spent_ms - sum(self._timings.values())

    def _result(
        self, browser: Chromium, status: ScanStatus, reason: str = "", report: AxeReport | None = None
    ) -> ScanResult:
        seen = Seen(
            watch=self._page.watch,
            waited=self._load.waited,
            refusals=tuple(self._proxy.refusals),
            facts=self._load.facts,
            report=report or AxeReport(),
            content=self._content,
            names=self._names,
            is_page_local=self._is_page_local,
        )
        result = make_result(
            self._request,
            seen,
            status=status,
            reason=reason,
            doubts=self._load.doubts,
            engine={
                "axe": load_axe().version,
                "browser": browser.version,
                "sandbox": browser.sandbox,
                "fonts": browser.fonts.fingerprint,
                "terms": terms_of(self._request),
            },
            timings_ms={**self._timings, "total": self._deadline.spent_ms},
        )
        return self._journey.finish(result)


def _name_rules(rules: list[str]) -> str:
    """Return the first few rules and the number of others."""
    more = f" and {len(rules) - _RULES_SHOWN} more" if len(rules) > _RULES_SHOWN else ""
    number = "1 rule" if len(rules) == 1 else f"{len(rules)} rules"
    return f"{number}: {', '.join(rules[:_RULES_SHOWN])}{more}"
