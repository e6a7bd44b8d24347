"""Performs a request's steps in a loaded page; the resulting page is audited.

A failed step ends the visit as ``unreachable``: the page that it leads to was not scanned, and must not pass. The
reason names the step, its target, what was found instead, and the page. Each step has its own deadline within the
scan's. No output contains values of variables. ``actions.py`` performs the steps.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import urljoin

from producer.contract import ScanRequest, ScanResult, public_url
from producer.contract.addresses import origin_of
from producer.contract.steps import STEP_LIMIT_S, Step
from worker.scan.cdp import CallFailed, CallTimedOut
from worker.scan.deadline import Deadline
from worker.scan.journey.actions import Actions, StepFailed
from worker.scan.journey.conceal import SHORTEST, conceal, conceal_text, forms_of
from worker.scan.journey.consent import WAIT_S
from worker.scan.journey.elements import ANSWER_LIMIT_S, Elements
from worker.scan.journey.fence import Fence
from worker.scan.journey.messages import Messages
from worker.scan.load import Load
from worker.scan.page import Page, ScriptFailed, literal
from worker.scan.pictures import take_pictures
from worker.scan.proxy import Fault
from worker.scan.settings import Audit, ScanSettings
from worker.scan.verdict import Unread, judge_document
from worker.scan.waiting import Waited, read_facts, wait_for_load, wait_until_still

_SHARE: Final = 0.8
"""Maximum share of the scan's remaining time for one step."""
_MEANT_LIMIT_S: Final = 2.0
"""Time for an announced navigation to request its document."""
_FLUSH: Final = "0"


class Journey:
    """The steps of one visit; may be empty."""

    def __init__(
        self,
        request: ScanRequest,
        *,
        page: Page,
        load: Load,
        faults: Mapping[tuple[str, int], Fault],
        settings: ScanSettings,
        deadline: Deadline,
        variables: Mapping[str, str],
    ) -> None:
        self._request = request
        self._page = page
        self._load = load
        self._faults = faults
        self._settings = settings
        self._deadline = deadline
        self._variables = variables
        self._asked = request.url or ""
        self._end_s = 0.0
        self._fence = Fence(frozenset())
        self._actions: Actions | None = None
        self._has_failed = False

    async def run(self) -> None:
        """Perform the steps, and settle the page that they lead to; raises ``Unread`` for a failed one."""
        if not self._request.steps:
            return
        self._asked, self._fence = self._request.url or "", Fence(self._origins())
        await self._page.keep_to(self._fence)
        self._actions = Actions(self._page, variables=self._variables, origins=self._fence.origins, settle=self._settle)
        messages, steps = Messages(self._page, self._request), self._request.steps
        for number, step in enumerate(steps, 1):
            await messages.before(step, _shown(number, step), is_last=number == len(steps))
            await self._do(self._actions, number, step)
        self._page.watch.moved_from = ""
        self._load.begin_again(asked=self._asked)
        await self._load.settle()
        await messages.after_last()

    async def pictures(self) -> dict[str, bytes]:
        """Return a screenshot of the page in which a step failed, if screenshots were requested."""
        if not (self._has_failed and self._request.screenshot and await self.mask()):
            return {}
        pictures = await take_pictures(
            self._page,
            (),
            viewport=self._request.window,
            page_height=0,
            left_s=self._deadline.left_s,
            pixel_ratio=self._request.pixel_ratio,
        )
        return pictures.shots

    async def mask(self) -> bool:
        """Let the page draw the variables' values as dots; False if no screenshot may be taken."""
        secrets = [value for value in self._variables.values() if len(value) >= SHORTEST]
        try:
            if secrets:
                await Elements(self._page).ask(f"mask({literal(secrets)})")
        except (CallFailed, ScriptFailed):
            return False
        return True

    def finish(self, result: ScanResult) -> ScanResult:
        """Return the result with the steps' notes and the last step, without the variables' values."""
        if self._actions:
            notes = (*result.notes, *self._actions.notes)
            result = result.revised(notes=notes, reached_by="" if self._has_failed else self._last_step())
        return conceal(result, self._variables)

    def conceal(self, audit: Audit) -> Audit:
        """Return an audit to which findings were added, without the variables' values."""
        return replace(audit, result=conceal(audit.result, self._variables))

    # ------------------------------------------------------------------------------------------ one step

    async def _do(self, actions: Actions, number: int, step: Step) -> None:
        own_s = step.timeout_s or (WAIT_S if step.consent else STEP_LIMIT_S)
        limit_s = min(own_s, self._deadline.left_s * _SHARE)
        self._end_s, self._fence.left_for = time.monotonic() + limit_s, ""
        href = self._load.facts.href if self._load.facts else ""
        self._load.begin_again()
        navigations = self._page.watch.navigations
        try:
            await actions.do(step, limit_s=limit_s)
            if navigations != self._page.watch.navigations:
                self._judge()
        except CallTimedOut:
            late = "the page was too busy to answer"
            if self._page.watch.departure.is_under_way:
                late = "the page that it leads to did not load in time"
            if limit_s < own_s:
                late = "the scan's time (deadline_s) has run out"
            await self._fail(number, step, f"{late}, after {limit_s:.3g} s")
        except CallFailed as error:
            await self._fail(number, step, self._load.explain(f"the page is gone: {error}"))
        except (StepFailed, ScriptFailed, Unread) as error:
            await self._fail(number, step, str(error))
        if step.goto is not None:
            self._asked = urljoin(href or self._request.url or "", step.goto)
        elif self._load.facts and self._load.facts.href != href:
            self._asked = ""  # a page reached by a click is a page that was asked for

    def _judge(self) -> None:
        """Raise ``StepFailed`` if the document is a server error."""
        unread = judge_document(self._page.watch.document, error="", faults=self._faults)
        if unread is not None:
            raise StepFailed(unread.reason)

    def _last_step(self) -> str:
        done = [(number, step) for number, step in enumerate(self._request.steps, 1) if step.scan is None]
        return _shown(*done[-1]) if done else ""

    async def _fail(self, number: int, step: Step, why: str) -> None:
        self._has_failed = True
        reason = f"{_shown(number, step)} failed: {why}{await self._where()}"
        raise Unread("unreachable", conceal_text(reason, forms_of(self._variables)))

    async def _where(self) -> str:
        try:
            facts = await read_facts(self._page)
        except (CallFailed, ScriptFailed):
            return ""
        return f"; the page is {facts.title[:100]!r}, {public_url(facts.href)[:300]}"

    # ------------------------------------------------------------------------------------------ waiting

    async def _settle(self) -> None:
        """Wait for the effects of a step: document, load, stillness; raises ``StepFailed`` if it leaves the site."""
        await self._wait_for_departure()
        watch, load = self._page.watch, self._load
        while True:
            navigations = watch.navigations
            await self._page.until(lambda: not watch.departure.is_under_way or self._is_stopped, timeout_s=self._left_s)
            if self._fence.left_for:
                allowed = " and ".join(sorted(self._fence.origins))
                raise StepFailed(f"it leads to {self._fence.left_for}: a journey must stay on {allowed}")
            load.end_if_lost()
            if watch.departure.is_under_way:
                raise StepFailed("the page that it leads to did not load in time")
            looks_s, frame_s = load.settle_limit_s, self._settings.frame_limit_s
            await wait_for_load(
                self._page, load.is_over, until="load", timeout_s=self._left_s, looks_s=looks_s, frame_s=frame_s
            )
            try:
                load.facts = await wait_until_still(
                    self._page,
                    Waited(),
                    load.is_over,
                    quiet_ms=self._settings.quiet_ms,
                    timeout_s=min(load.settle_limit_s, self._left_s),
                )
            except CallTimedOut:
                raise
            except CallFailed:
                load.end_if_lost()
                if not self._left_s:
                    raise
                continue
            if watch.navigations == navigations and not watch.departure.is_under_way:
                return

    async def _wait_for_departure(self) -> None:
        """Let the page handle the input first: only then is it known whether it navigates to another document."""
        watch = self._page.watch
        try:
            world = await self._page.world(self._page.session, watch.frame_id, timeout_s=ANSWER_LIMIT_S)
            await self._page.evaluate(self._page.session, world, _FLUSH, timeout_s=ANSWER_LIMIT_S)
        except CallFailed:
            self._load.end_if_lost()
        limit_s = min(_MEANT_LIMIT_S, self._left_s)
        await self._page.until(lambda: not watch.departure.is_meant or self._is_stopped, timeout_s=limit_s)

    @property
    def _is_stopped(self) -> bool:
        return bool(self._fence.left_for) or self._load.is_over()

    @property
    def _left_s(self) -> float:
        return max(0.0, self._end_s - time.monotonic())

    def _origins(self) -> frozenset[str]:
        """Return the origins that the journey may show: those of the requested page and of the loaded one."""
        shown = self._load.facts.href if self._load.facts else ""
        return frozenset(filter(None, map(origin_of, (self._request.url or "", shown))))


def _shown(number: int, step: Step) -> str:
    """Return a step as named in messages: ``step 3 'save it' (click text=Save)``; values of ``fill`` are not shown."""
    waits = step.wait_for and (step.wait_for.text or step.wait_for.address)
    what = f"{step.action} {step.selector or step.goto or step.press or waits or ''}".strip()
    name = f" {step.name!r}" if step.name else ""
    return f"step {number}{name} ({what})"
