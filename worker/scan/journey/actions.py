"""Performs steps in the page: waits for the element, then sends real mouse and keyboard input.

Lists, dates and colours cannot be entered in a headless browser: their value is set, and the events are sent. A failed
step raises ``StepFailed``, which describes what was found instead; ``journey.py`` adds the step and the page.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from fnmatch import fnmatchcase
from typing import Final, assert_never
from urllib.parse import urljoin

from producer.contract.addresses import origin_of, path_of, public_url
from producer.contract.step_selectors import StepSelector, read_step_selector
from producer.contract.steps import VARIABLE, Step, WaitFor
from worker.scan.cdp import CallFailed, CallTimedOut, JsonObject
from worker.scan.journey.consent import KNOWN_BUTTONS, WORDS
from worker.scan.journey.elements import ANSWER_LIMIT_S, Elements, Found, Place
from worker.scan.journey.keys import key_events
from worker.scan.page import Page, ScriptFailed, literal

_LOOK_EVERY_S: Final = 0.05
_SCROLLS: Final = 10
"""Scrolls to the bottom of a page that keeps growing."""


class StepFailed(Exception):
    """A step failed; the message describes what was found instead."""


class Actions:
    """Performs steps in one page; a journey may visit only ``origins``, ``settle`` waits for a step's effects."""

    def __init__(
        self,
        page: Page,
        *,
        variables: Mapping[str, str],
        origins: frozenset[str],
        settle: Callable[[], Awaitable[None]],
    ) -> None:
        self._page = page
        self._variables = variables
        self._origins = origins
        self._settle = settle
        self._elements = Elements(page)
        self._end_s = 0.0
        self._limit_s = 0.0
        self.notes: list[str] = []

    async def do(self, step: Step, *, limit_s: float) -> None:  # noqa: C901  one case per action
        """Perform one step within ``limit_s``; raises ``StepFailed``."""
        self._limit_s, self._end_s = limit_s, time.monotonic() + limit_s
        match step.action:
            case "goto":
                await self._goto(step.goto or "")
            case "click":
                await self._click(read_step_selector(step.selector))
            case "fill":
                await self._fill(read_step_selector(step.selector), step.value or "")
            case "select":
                await self._select(read_step_selector(step.selector), step.value or "")
            case "check" | "uncheck":
                await self._check(read_step_selector(step.selector), wanted=step.action == "check")
            case "press":
                await self._press(step.press or "", step.on)
            case "hover":
                place = await self._ready(read_step_selector(step.selector), needs_enabled=False)
                await self._mouse("mouseMoved", place)
            case "wait_for":
                await self._wait_for(step.wait_for or WaitFor(idle=True))
            case "scroll":
                await self._scroll(step.scroll or "bottom")
            case "consent":
                await self._consent(step.consent or True)
            case "scan":
                pass  # an intermediate state, which another request scans
            case _:
                assert_never(step.action)

    # ------------------------------------------------------------------------------------------ actions

    async def _goto(self, text: str) -> None:
        here = str(await self._asked("location.href"))
        url = urljoin(here, text)
        if origin_of(url) not in self._origins:
            raise StepFailed(f"it leads to {origin_of(url) or 'no page'}: a journey must stay on {self._allowed}")
        navigations = self._page.watch.navigations
        answer = await self._page.session.call("Page.navigate", {"url": url}, timeout_s=self._left_s)
        if answer.get("isDownload"):
            raise StepFailed("the address is a download, not a page")
        await self._settle()
        error = str(answer.get("errorText", "")).removeprefix("net::")
        if error and self._page.watch.navigations == navigations:
            raise StepFailed(f"{public_url(url)} has no page ({error}): the previous one is still shown")

    async def _click(self, selector: StepSelector) -> None:
        popups = self._page.watch.popups
        await self._press_at(await self._ready(selector))
        await self._settle()
        if self._page.watch.popups > popups:
            self.notes.append("a step opened another window, which was closed: goto opens its address in this one")

    async def _press_at(self, place: Place) -> None:
        await self._mouse("mouseMoved", place)
        await self._mouse("mousePressed", place)
        await self._mouse("mouseReleased", place)

    async def _mouse(self, kind: str, place: Place) -> None:
        event: JsonObject = {"type": kind, "x": place.x, "y": place.y}
        if kind != "mouseMoved":
            event |= {"button": "left", "clickCount": 1}
        await self._page.session.call("Input.dispatchMouseEvent", event, timeout_s=max(self._left_s, ANSWER_LIMIT_S))

    async def _fill(self, selector: StepSelector, value: str) -> None:
        text = VARIABLE.sub(lambda found: self._variables[found[1]], value)
        await self._ready(selector, needs_place=False)
        field = await self._elements.ask("prepareField()")
        if field["problem"]:
            raise StepFailed(str(field["problem"]))
        if not field["is_typed"]:
            if not await self._elements.ask(f"setField({literal(text)})"):
                raise StepFailed("the field does not take this value")
        elif text:
            await self._page.session.call("Input.insertText", {"text": text}, timeout_s=self._left_s)
        else:
            await self._keys("Delete")

    async def _select(self, selector: StepSelector, value: str) -> None:
        await self._ready(selector, needs_place=False)
        problem = str(await self._elements.ask(f"choose({literal(value)})"))
        if problem:
            raise StepFailed(problem)
        await self._settle()

    async def _check(self, selector: StepSelector, *, wanted: bool) -> None:
        place = await self._ready(selector)
        state = await self._elements.ask("isChecked()")
        if state is None:
            raise StepFailed(f"{place.what} cannot be checked")
        if state is wanted:
            return
        await self._press_at(place)
        await self._settle()
        if not await self._until(lambda: self._is_checked(selector, wanted=wanted)):
            raise StepFailed(f"{place.what} was clicked and is still {'not ' if wanted else ''}checked")

    async def _is_checked(self, selector: StepSelector, *, wanted: bool) -> bool:
        found = await self._elements.find(selector)
        return not found.count or await self._elements.ask("isChecked()") is wanted  # it may disappear when checked

    async def _press(self, keys: str, on: str | None) -> None:
        if on:
            await self._ready(read_step_selector(on), needs_place=False)
            await self._elements.ask("focus()")
        await self._keys(keys)
        await self._settle()

    async def _keys(self, keys: str) -> None:
        for event in key_events(keys):
            await self._page.session.call("Input.dispatchKeyEvent", event, timeout_s=max(self._left_s, ANSWER_LIMIT_S))

    async def _wait_for(self, wanted: WaitFor) -> None:
        if wanted.idle:
            await self._settle()
        elif wanted.address:
            pattern = wanted.address
            if not await self._until(lambda: self._is_at(pattern)):
                raise StepFailed(f"the address did not become {pattern!r} within {self._limit_s:g} s")
        else:
            selector = (
                read_step_selector(wanted.selector) if wanted.selector else StepSelector("text", wanted.text or "")
            )
            await self._visible(selector)

    async def _is_at(self, pattern: str) -> bool:
        here = str(await self._asked("location.href"))
        pattern = pattern.replace("[", "[[]")  # only * and ? are wildcards
        return any(fnmatchcase(text, pattern) for text in (here, path_of(here), here.partition("#")[0]))

    async def _scroll(self, where: str) -> None:
        if where not in {"top", "bottom"}:
            await self._ready(read_step_selector(where), needs_enabled=False, needs_place=False)
            await self._elements.place()
            await self._settle()
            return
        height = -1.0
        for _ in range(_SCROLLS):
            reached = float(await self._elements.ask(f"scrollTo({literal(where)})"))
            await self._settle()
            if reached == height or where == "top" or not self._left_s:
                return
            height = reached

    async def _consent(self, which: str | bool) -> None:
        """Accept a banner; if none appears in time, that is a note, not a failure."""
        selector = read_step_selector(which) if isinstance(which, str) else None

        async def is_there() -> bool:
            look = self._elements.find(selector) if selector else self._elements.find_consent(KNOWN_BUTTONS, WORDS)
            return (await look).is_visible and await self._still_place() is not None

        if not await self._until(is_there):
            self.notes.append(f"consent: no banner appeared within {self._limit_s:g} s")
            return
        place = await self._elements.place()
        if place is not None:
            await self._press_at(place)
            await self._settle()

    # ------------------------------------------------------------------------------------------ waiting

    async def _ready(self, selector: StepSelector, *, needs_enabled: bool = True, needs_place: bool = True) -> Place:
        """Wait until the element is visible, enabled, uncovered and at rest; raises ``StepFailed`` if it is not."""
        found: Found | None = None
        place: Place | None = None

        def why() -> str:
            if place is not None and place.disabled and needs_enabled:
                return f"{place.what} is disabled"
            return f"{place.what} is covered by {place.covered}" if place and place.covered and needs_place else ""

        async def is_ready() -> bool:
            nonlocal found, place
            found, place = await self._elements.find(selector), None
            place = await self._still_place() if found.is_visible else None
            return place is not None and not why()

        if await self._until(is_ready) and place is not None:
            return place
        raise StepFailed(f"{why() or await self._why_not(selector, found)}, after {self._limit_s:g} s")

    async def _visible(self, selector: StepSelector) -> None:
        found: Found | None = None

        async def is_visible() -> bool:
            nonlocal found
            found = await self._elements.find(selector)
            return found.is_visible

        if not await self._until(is_visible):
            raise StepFailed(f"{await self._why_not(selector, found)}, after {self._limit_s:g} s")

    async def _why_not(self, selector: StepSelector, found: Found | None) -> str:
        if found is None:
            return "the page was too busy to answer"
        if found.hidden:
            number = "one element matches" if found.count == 1 else f"{found.count} elements match"
            return f"{number}, but none is visible ({', '.join(found.hidden)})"
        if found.count:
            return "it matches but keeps moving"
        instead = await self._elements.instead(selector)
        return "nothing matches" + (f"; found instead: {instead}" if instead else "")

    async def _still_place(self) -> Place | None:
        """Return the position of the found element once it is the same in two checks."""
        first = await self._elements.place()
        if first is None:
            return None
        await self._page.until(lambda: False, timeout_s=_LOOK_EVERY_S / 2)
        second = await self._elements.place()
        return second if second is not None and (first.x, first.y) == (second.x, second.y) else None

    async def _until(self, is_reached: Callable[[], Awaitable[bool]]) -> bool:
        """Poll until the condition holds or the step's time is over; continues if the page navigates meanwhile."""
        while True:
            try:
                if await is_reached():
                    return True
            except CallTimedOut:
                pass
            except CallFailed:
                if self._page.watch.crash:
                    raise
            except ScriptFailed as error:
                raise StepFailed(f"the browser cannot look for it: {error}") from None
            if time.monotonic() >= self._end_s:
                return False
            await self._page.until(lambda: False, timeout_s=_LOOK_EVERY_S)

    async def _asked(self, expression: str) -> object:
        page = self._page
        world = await page.world(page.session, page.watch.frame_id, timeout_s=ANSWER_LIMIT_S)
        return await page.evaluate(page.session, world, expression, timeout_s=ANSWER_LIMIT_S)

    @property
    def _left_s(self) -> float:
        return max(0.0, self._end_s - time.monotonic())

    @property
    def _allowed(self) -> str:
        return " and ".join(sorted(self._origins))
