"""Runs the live checks on a page that axe-core has audited, within 20 s, and adds what they find to its result.

The page's scripts run again meanwhile. Side effects are prevented, since pressing a key in an application may delete
something: the page cannot navigate, and every request other than a read fails. axe-core's findings and counts are
unchanged. A check that fails, takes too long or has no time left is named in ``left_out`` and in a doubt.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from producer.contract import Doubt, Finding, ScanRequest
from producer.contract.checks import LIVE
from producer.contract.live import LivePath, LiveReport
from worker.scan.axe import AxeReport, tags_of
from worker.scan.cdp import CallFailed, CallTimedOut
from worker.scan.journey.fence import Fence
from worker.scan.live import (
    autoplay,
    hover,
    keyboard,
    language,
    motion,
    reflow,
    same_name,
    shortcuts,
    spacing,
    status,
    zoom,
)
from worker.scan.live.check import MAX_PICTURE_BYTES, Check, Found, Hand, Outcome
from worker.scan.live.report import make_findings, name_elements, read_rules
from worker.scan.page import Page, ScriptFailed
from worker.scan.settings import Audit

BUDGET_S: Final = 20.0
_SHARE: Final = 0.8
"""Maximum share of the page's remaining time."""
_REPORT_S: Final = 2.0
"""Share of the budget reserved for naming the findings."""
_LEAST_S: Final = 0.3
_THAW_LIMIT_S: Final = 2.0
_SCRIPTS: Final = {
    "autoplay": ("live_media",),
    "zoom": ("live_text",),
    "spacing": ("live_text",),
    "reflow": ("live_text",),
    "motion": ("live_motion",),
    "status": ("live_status",),
    "same-name": ("live_links",),
    "language": ("live_language",),
    "hover": ("live_hover",),
    "keyboard": ("live_keys",),
    "shortcuts": ("live_keys",),
}
CHECKS: Final[tuple[Check, ...]] = (
    status.CHECK,
    motion.CHECK,
    same_name.CHECK,
    language.CHECK,
    autoplay.CHECK,
    zoom.CHECK,
    spacing.CHECK,
    reflow.CHECK,
    keyboard.CHECK,
    hover.CHECK,
    shortcuts.CHECK,
)
"""In the order in which they run: those that disturb the page most come last."""


async def run_live(
    page: Page,
    request: ScanRequest,
    report: AxeReport,
    audit: Audit,
    *,
    mask: Callable[[], Awaitable[bool]],
    left_s: float,
) -> Audit:
    """Return the audit with the findings of live checks, if the request asks for them.

    ``mask`` hides secrets in the page before each screenshot; False: none may be taken. Raises no error that the page
    can cause.
    """
    if LIVE not in request.checks or not report.worlds:
        return audit
    begun_s = time.monotonic()
    hand = Hand(page, report.worlds, request, left_s=lambda: 0.0, mask=mask)
    run = _Run(hand, begun_s=begun_s, budget_s=min(BUDGET_S, left_s * _SHARE))
    await run.all()
    findings, shots = await run.findings(audit.result.final_url or request.url or "")
    live = LiveReport(
        ran=tuple(run.ran), left_out=run.left_out, path=run.path, spent_ms=round((time.monotonic() - begun_s) * 1000)
    )
    doubts = tuple(
        Doubt(kind="live-left-out", what=f"the live check {name!r} is incomplete: {why}")
        for name, why in run.left_out.items()
    )
    result = audit.result
    result = result.revised(
        incomplete=(*result.incomplete, *findings),
        live=live,
        doubts=(*result.doubts, *doubts),
        timings_ms={**result.timings_ms, "live": live.spent_ms},
    )
    return Audit(result, {**audit.shots, **shots}, come_again_s=audit.come_again_s)


class _Run:
    """One run over one page."""

    def __init__(self, hand: Hand, *, begun_s: float, budget_s: float) -> None:
        self._hand = hand
        self._budget_s = budget_s
        self._end_s = begun_s + budget_s
        self._found: list[Found] = []
        self._more: dict[str, int] = {}
        self._shots: dict[str, bytes] = {}
        self.ran: list[str] = []
        self.left_out: dict[str, str] = {}
        self.path: LivePath | None = None

    async def all(self) -> None:
        """Run the checks that have an enabled rule."""
        wanted = wanted_rules(self._hand.request)
        checks = [check for check in CHECKS if wanted & set(check.rules)]
        page = self._hand.page
        try:
            await page.thaw(timeout_s=_THAW_LIMIT_S)
            await page.keep_to(Fence(frozenset()))
            await page.forbid_writes()
        except CallFailed as error:
            self.left_out = dict.fromkeys((check.name for check in checks), str(error))
            return
        for number, check in enumerate(checks):
            until_s = min(self._end_s - _REPORT_S, time.monotonic() + check.most_s)
            if until_s - time.monotonic() < _LEAST_S:
                self.left_out[check.name] = f"the {self._budget_s:.0f} s for the live checks of this page had run out"
                continue
            outcome = await self._one(check, until_s)
            if why := await self._why_gone():
                self.left_out |= dict.fromkeys((left.name for left in checks[number:]), why)
                return
            self._take(check, outcome, wanted)

    async def _why_gone(self) -> str:
        """Return why the page no longer shows the document that axe-core read, '' if it does or is too busy to tell."""
        page, shown = self._hand.page, self._hand.worlds[0].context
        if page.watch.crash:
            return "the page's process died"
        try:
            world = await page.world(page.session, page.watch.frame_id, timeout_s=_LEAST_S)
        except CallFailed:
            return ""
        return "" if world == shown else "the page navigated away"

    async def _one(self, check: Check, until_s: float) -> Outcome:
        """Run a check and return its outcome, incomplete if it fails or takes too long."""
        outcome = Outcome()
        hand = self._hand.using(*_SCRIPTS[check.name], left_s=lambda: until_s - time.monotonic())
        limit_s = hand.left_s()
        try:
            async with asyncio.timeout(limit_s):
                await check.run(hand, outcome)
        except (CallTimedOut, TimeoutError):
            outcome.left_out = outcome.left_out or f"it did not end within {limit_s:.0f} s"
        except (CallFailed, ScriptFailed) as error:
            outcome.left_out = str(error)[:200]
        return outcome

    def _take(self, check: Check, outcome: Outcome, wanted: set[str]) -> None:
        self.ran.append(check.name)
        self._found += [one for one in outcome.found if one.rule in wanted]
        self._more |= outcome.more
        self._shots |= outcome.shots
        self.path = outcome.path or self.path
        if outcome.left_out:
            self.left_out[check.name] = outcome.left_out

    async def findings(self, url: str) -> tuple[tuple[Finding, ...], dict[str, bytes]]:
        """Return the findings, and as many screenshots as there is room for."""
        hand = self._hand.using(left_s=lambda: self._end_s - time.monotonic())
        named, why = await name_elements(hand, self._found)
        if why:
            self.left_out["report"] = why
        counts = Counter(self._more) + Counter(one.rule for one in self._found)
        findings, shots = make_findings(named, counts, page=url)
        return findings, _bounded({**self._shots, **shots})


def wanted_rules(request: ScanRequest) -> set[str]:
    """Return the rules that the request asks for: those of its standard and those it enables, less those disabled."""
    tags = set(tags_of(request.standard))
    of_standard = {rule for rule, about in read_rules().items() if tags & set(about["tags"])}
    return (of_standard | (set(request.enabled_rules) & set(read_rules()))) - set(request.disabled_rules)


def _bounded(shots: dict[str, bytes]) -> dict[str, bytes]:
    kept: dict[str, bytes] = {}
    size = 0
    for name, shot in shots.items():
        size += len(shot)
        if size > MAX_PICTURE_BYTES:
            break
        kept[name] = shot
    return kept
