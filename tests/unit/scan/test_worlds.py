"""A frame's world is asked for once per document, and again once the document may be another."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from worker.scan.cdp import JsonObject, Session
from worker.scan.worlds import Worlds

NAVIGATED = ("Page.frameNavigated", {"frame": {"id": "top"}})


class Browser:
    """Answers with a new number each time; ``meanwhile`` runs before the answer."""

    session_id = "page"

    def __init__(self) -> None:
        self.asked = 0
        self.meanwhile: Callable[[], None] = lambda: None

    async def call(self, method: str, params: JsonObject, *, timeout_s: float) -> JsonObject:
        assert (method, params["frameId"], timeout_s) == ("Page.createIsolatedWorld", "top", 1)
        self.asked += 1
        self.meanwhile()
        return {"executionContextId": self.asked}


async def ask(worlds: Worlds, browser: Browser) -> int:
    return await worlds.get(cast("Session", browser), "top", timeout_s=1)


async def test_a_world_is_asked_for_once_until_its_document_is_replaced() -> None:
    worlds, browser = Worlds(), Browser()

    first = [await ask(worlds, browser), await ask(worlds, browser)]
    worlds.see("page", "Page.frameNavigated", {"frame": {"id": "another frame"}})
    worlds.see("another session", *NAVIGATED)
    beside = await ask(worlds, browser)
    worlds.see("page", *NAVIGATED)
    after = await ask(worlds, browser)
    worlds.see("page", "Page.frameDetached", {"frameId": "top"})

    assert (first, beside, after, await ask(worlds, browser)) == ([1, 1], 1, 2, 3)


async def test_an_answer_that_crosses_a_navigation_is_used_once() -> None:
    worlds, browser = Worlds(), Browser()
    browser.meanwhile = lambda: worlds.see("page", *NAVIGATED)
    crossed = await ask(worlds, browser)
    browser.meanwhile = lambda: None

    assert (crossed, await ask(worlds, browser)) == (1, 2)


async def test_a_world_in_which_a_call_failed_is_asked_for_again() -> None:
    worlds, browser = Worlds(), Browser()
    world = await ask(worlds, browser)

    worlds.forget(cast("Session", browser), world + 1)
    still = await ask(worlds, browser)
    worlds.forget(cast("Session", browser), world)

    assert (still, await ask(worlds, browser)) == (world, world + 1)
