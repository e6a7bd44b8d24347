"""Finds a step's element in the page as people see it: visible, enabled, uncovered, and stable.

CSS, labels and texts are searched by ``js/journey.js`` in the isolated world, including open shadow roots; roles and
accessible names by the browser itself (``Accessibility.queryAXTree``). Frames are not entered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

from producer.contract.step_selectors import StepSelector
from worker.scan.axe_source import script
from worker.scan.cdp import CallFailed, JsonObject
from worker.scan.page import Page, literal

ANSWER_LIMIT_S: Final = 2.0
_MOST_RESOLVED: Final = 50
_SHOWN: Final = 5
_NAME_CHARS: Final = 60
_AX_ROLES: Final = {"img": ("img", "image"), "none": ("none", "presentation")}
"""Roles for which the browser has other names."""


@dataclass(frozen=True, slots=True)
class Found:
    """The number of matching elements, and a description if none is visible."""

    count: int
    hidden: tuple[str, ...]

    @property
    def is_visible(self) -> bool:
        """Whether there is an element to act on."""
        return self.count > 0 and not self.hidden


@dataclass(frozen=True, slots=True)
class Place:
    """The position of the found element: its centre in window pixels; ``covered`` names what covers it."""

    x: float
    y: float
    covered: str
    disabled: bool
    what: str


class Elements:
    """Finds elements in one page; remembers the last ones until the next search."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def find(self, selector: StepSelector) -> Found:
        """Look for elements. Raises ``CallFailed`` for a page that navigated away or is busy, ``ScriptFailed``."""
        if selector.kind == "role":
            return await self._find_role(selector)
        return _found(
            await self.ask(f"find({literal(selector.kind)}, {literal(selector.value)}, {_js(selector.is_exact)})")
        )

    async def find_consent(self, known: tuple[str, ...], words: str) -> Found:
        """Look for the button that accepts a consent banner."""
        return _found(await self.ask(f"findConsent({literal(known)}, {literal(words)})"))

    async def place(self) -> Place | None:
        """Scroll the found element into the window and return its position; None if it is no longer visible."""
        place = await self.ask("place()")
        return None if place is None else Place(**cast("JsonObject", place))

    async def instead(self, selector: StepSelector) -> str:
        """Return a description of similar elements found instead, such as ``3 buttons: 'Cancel', 'Help', 'Close'``."""
        try:
            if selector.kind == "role":
                names = [f"'{name[:_NAME_CHARS]}'" for name, _ in await self._with_role(selector.value)]
                seen: JsonObject = {"what": selector.value, "count": len(names), "shown": names[:_SHOWN]}
                if not names:
                    seen = await self.ask("instead('role', '')")
            else:
                seen = await self.ask(f"instead({literal(selector.kind)}, {literal(selector.value)})")
        except CallFailed:
            return ""
        return _list_of(str(seen["what"]), int(seen["count"]), list(map(str, seen["shown"])))

    async def ask(self, call: str) -> Any:
        """Return the value of a function of ``js/journey.js``."""
        world = await self._world()
        expression = f"{script('journey')}\nsightlineJourney.{call}"
        return await self._page.evaluate(self._page.session, world, expression, timeout_s=ANSWER_LIMIT_S)

    async def _world(self) -> int:
        return await self._page.world(self._page.session, self._page.watch.frame_id, timeout_s=ANSWER_LIMIT_S)

    async def _find_role(self, selector: StepSelector) -> Found:
        fit = [node for name, node in await self._with_role(selector.value) if _is_named(name, selector)]
        session, world = self._page.session, await self._world()
        await self.ask("take()")  # makes sure that the script is loaded for the call by name
        objects: list[JsonObject] = []
        for node in fit[:_MOST_RESOLVED]:
            asked: JsonObject = {"backendNodeId": node, "executionContextId": world}
            answer = await session.call("DOM.resolveNode", asked, timeout_s=ANSWER_LIMIT_S)
            objects.append({"objectId": answer["object"]["objectId"]})
        taken: JsonObject = {
            "functionDeclaration": "function (...elements) { return sightlineJourney.take(...elements); }",
            "executionContextId": world,
            "arguments": objects,
            "returnByValue": True,
        }
        answer = await session.call("Runtime.callFunctionOn", taken, timeout_s=ANSWER_LIMIT_S)
        return _found(answer["result"].get("value") or {"count": 0, "hidden": []})

    async def _with_role(self, role: str) -> list[tuple[str, int]]:
        """Return name and node of each element with a role, without those hidden from assistive technology."""
        session, world = self._page.session, await self._world()
        root = await self._page.evaluate(session, world, "document", timeout_s=ANSWER_LIMIT_S, by_value=False)
        found: list[tuple[str, int]] = []
        for name in _AX_ROLES.get(role, (role,)):
            asked: JsonObject = {"objectId": root, "role": name}
            answer = await session.call("Accessibility.queryAXTree", asked, timeout_s=ANSWER_LIMIT_S)
            nodes = cast("list[JsonObject]", answer["nodes"])
            found += [
                (_plain(str(node.get("name", {}).get("value", ""))), int(node["backendDOMNodeId"]))
                for node in nodes
                if not node.get("ignored") and "backendDOMNodeId" in node
            ]
        return found


def _plain(name: str) -> str:
    """Return a name in one line, without halves of surrogate pairs, which UTF-8 cannot encode."""
    return " ".join(name.encode("utf-8", "replace").decode().split())


def _is_named(name: str, selector: StepSelector) -> bool:
    if not selector.name:
        return True
    return name == selector.name if selector.is_exact else selector.name.lower() in name.lower()


def _found(answer: Any) -> Found:
    return Found(int(answer["count"]), tuple(map(str, answer["hidden"])))


def _list_of(what: str, count: int, shown: list[str]) -> str:
    if not count:
        return f"no {what}"
    plural = what if count == 1 else "links or buttons" if what == "link or button" else f"{what}s"
    more = f" and {count - len(shown)} more" if count > len(shown) else ""
    return f"{count} {plural}: {', '.join(shown)}{more}"


def _js(is_true: bool) -> str:
    return "true" if is_true else "false"
