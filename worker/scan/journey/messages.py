"""Records the messages that steps cause, for the live check ``live/status.py``; without live checks it does nothing."""

from __future__ import annotations

import contextlib
from typing import Final

from producer.contract import ScanRequest
from producer.contract.checks import LIVE
from producer.contract.steps import Step
from worker.scan.axe_source import script
from worker.scan.cdp import CallFailed
from worker.scan.journey.elements import ANSWER_LIMIT_S
from worker.scan.page import Page, ScriptFailed, literal

_CAUSES: Final = frozenset({"click", "fill", "select", "check", "uncheck", "press"})


class Messages:
    """The messages of one journey; they stay in the page, whose next document forgets them."""

    def __init__(self, page: Page, request: ScanRequest) -> None:
        self._page = page
        self._is_wanted = LIVE in request.checks

    async def before(self, step: Step, shown: str, *, is_last: bool) -> None:
        """Record what the preceding step caused; ``shown`` names this one. An intermediate state begins a new list."""
        if step.action != "wait_for":
            await self._turn(
                shown if step.action in _CAUSES else "", is_new_state=step.scan is not None and not is_last
            )

    async def after_last(self) -> None:
        """Record what the last step caused."""
        await self._turn("", is_new_state=False)

    async def _turn(self, shown: str, *, is_new_state: bool) -> None:
        if not self._is_wanted:
            return
        page = self._page
        call = f"sightlineStatus.turn({literal(shown)}, {literal(is_new_state)})"
        source = ";\n".join((script("live"), script("live_status"), call))
        with contextlib.suppress(CallFailed, ScriptFailed):  # a page too busy to be read has no messages
            world = await page.world(page.session, page.watch.frame_id, timeout_s=ANSWER_LIMIT_S)
            await page.evaluate(page.session, world, source, timeout_s=ANSWER_LIMIT_S)
