"""Reads the visible content of a page once, after the audit: text, frames, fields, and what no rule can see.

The reading script runs in the isolated world (``js/page_content.js``), within bounds. In frames, only content that no
rule can read is examined; everything else is about the page itself. Two facts are known only to the browser, which is
asked only if they are possible: closed shadow roots, and exceptions thrown before the watch listened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from producer.contract import ScanRequest
from worker.scan.axe import World
from worker.scan.axe_source import script
from worker.scan.cdp import CallFailed, CallTimedOut, JsonObject, Session
from worker.scan.page import Page, ScriptFailed, literal

_ANSWER_LIMIT_S: Final = 5.0
_MAX_HOSTS: Final = 1000
_MAX_HOSTS_IN_FRAME: Final = 40
"""Of a hundred frames: each host is a call to the browser, and all are made at once."""
_ROOT_DEPTH: Final = 6
"""Levels of a closed shadow root that are examined; anything deeper counts as content."""
_NO_CONTENT: Final = frozenset({"div", "span", "slot", "style", "link", "script", "template"})


@dataclass(frozen=True, slots=True)
class MainPart:
    """The visible content of the page's ``main``."""

    text: str = ""
    others: float = 0
    """Number of images, fields and drawings in it."""
    is_busy: bool = False


@dataclass(frozen=True, slots=True)
class FrameElement:
    """A visible frame; ``is_empty`` if the document of its ``src`` never arrived."""

    url: str
    is_empty: bool
    where: str


@dataclass(frozen=True, slots=True)
class Embedded:
    """A visible ``object`` or ``embed``."""

    url: str
    type: str
    has_window: bool
    where: str


@dataclass(frozen=True, slots=True)
class ShadowedForm:
    """A form with a field named like a property of the form that axe-core reads."""

    form: str
    field: str


@dataclass(frozen=True, slots=True)
class Content:
    """The page as seen in the isolated world.

    Numbers count visible content, except ``hidden``; counting stops once there is enough.
    """

    href: str = ""
    title: str = ""
    headings: tuple[str, ...] = ()
    elements: int = 0
    text: str = ""
    prose: int = 0
    """Characters in long runs of text."""
    hidden: int = 0
    """Characters and images that are present but hidden."""
    media: int = 0
    controls: int = 0
    canvas: float = 0
    """Share of the window covered by the largest canvas."""
    busy: int = 0
    is_busy: bool = False
    main: MainPart | None = None
    hidden_in_main: int = 0
    """Characters and images of the main parts, if nothing of these is visible."""
    scripts: int = 0
    is_noscript_only: bool = False
    entries: int = 0
    passwords: int = 0
    new_passwords: int = 0
    has_captcha: bool = False
    links: int = 0
    frames: tuple[FrameElement, ...] = ()
    embedded: tuple[Embedded, ...] = ()
    shadowed: tuple[ShadowedForm, ...] = ()
    hosts: int = 0
    modal: str = ""
    inert: str = ""
    """The element that makes the main part, or most of the page, inert or hidden without a dialog."""
    has_more_than_modal: bool = False
    parse_error: str = ""
    closed_roots: tuple[str, ...] = field(default=())
    """The elements that hold content in a closed shadow root."""
    silent_frames: int = 0
    """Frames that were audited, and then did not answer in time what they show."""

    @property
    def shows_nothing(self) -> bool:
        """Whether nothing but loading messages and drawings is visible."""
        return not self.text.strip() and not self.media and not self.controls


async def read_content(page: Page, request: ScanRequest, *, frames: Sequence[World], left_s: float) -> Content:
    """Return the page's content; raises ``CallFailed`` if the page is busy or has navigated away.

    ``frames`` are those read by axe-core; removed ones are left out, and busy ones counted.
    """
    limit_s = min(_ANSWER_LIMIT_S, left_s)
    world = await page.world(page.session, page.watch.frame_id, timeout_s=limit_s)
    parts = literal({"include": request.include, "exclude": request.exclude, "max_hosts": _MAX_HOSTS})
    found = await page.evaluate(page.session, world, f"{script('page_content').strip()}({parts})", timeout_s=limit_s)
    fields = cast("dict[str, Any]", found)
    fields["headings"] = tuple(fields["headings"])
    fields["main"] = MainPart(**fields["main"]) if fields["main"] else None
    fields["frames"] = tuple(FrameElement(**frame) for frame in fields["frames"])
    fields["embedded"] = tuple(Embedded(**one) for one in fields["embedded"])
    fields["shadowed"] = tuple(ShadowedForm(**one) for one in fields["shadowed"])
    if fields["hosts"]:
        fields["closed_roots"] = await _closed_roots(page.session, world, limit_s)
    for inside in await asyncio.gather(*(_read_frame(page, frame, limit_s) for frame in frames)):
        fields["silent_frames"] = fields.get("silent_frames", 0) + inside.silent_frames
        fields["frames"] += inside.frames
        fields["embedded"] += inside.embedded
        fields["closed_roots"] = (*fields.get("closed_roots", ()), *inside.closed_roots)
    return Content(**fields)


async def _read_frame(page: Page, frame: World, limit_s: float) -> Content:
    """Return what no rule may be able to read in one frame: its frames, embedded documents, closed shadow roots."""
    whole = literal({"include": [], "exclude": [], "max_hosts": _MAX_HOSTS_IN_FRAME})
    call = f"innerWidth > 1 && innerHeight > 1 ? {script('page_content').strip()}({whole}) : null"
    try:
        found = await page.evaluate(frame.session, frame.context, call, timeout_s=limit_s)
        if not found:
            return Content()
        return Content(
            frames=tuple(FrameElement(**inner) for inner in found["frames"]),
            embedded=tuple(Embedded(**one) for one in found["embedded"]),
            closed_roots=await _closed_roots(frame.session, frame.context, limit_s) if found["hosts"] else (),
        )
    except CallTimedOut:
        return Content(silent_frames=1)
    except (CallFailed, ScriptFailed):
        return Content()


async def read_exceptions(page: Page, *, left_s: float) -> None:
    """Let the watch record exceptions of scripts, which the browser replays to late listeners."""
    await page.session.call("Runtime.enable", timeout_s=min(_ANSWER_LIMIT_S, left_s))
    await page.session.call("Runtime.disable", timeout_s=min(_ANSWER_LIMIT_S, left_s))


async def _closed_roots(session: Session, world: int, limit_s: float) -> tuple[str, ...]:
    """Return the elements among ``sightlineHosts`` that hold content in a closed shadow root."""
    asked = {"expression": "sightlineHosts", "contextId": world}
    hosts = (await session.call("Runtime.evaluate", asked, timeout_s=limit_s))["result"].get("objectId")
    listed = await session.call("Runtime.getProperties", {"objectId": hosts, "ownProperties": True}, timeout_s=limit_s)
    ids = [
        entry["value"]["objectId"]
        for entry in listed["result"]
        if entry["name"].isdigit() and "objectId" in entry.get("value", {})
    ]
    calls = (
        session.call("DOM.describeNode", {"objectId": one, "depth": _ROOT_DEPTH, "pierce": True}, timeout_s=limit_s)
        for one in ids
    )
    answers = await asyncio.gather(*calls, return_exceptions=True)
    found: list[str] = []
    for answer in answers:
        if isinstance(answer, CallFailed) and not isinstance(answer, CallTimedOut):
            continue  # the element is gone
        if isinstance(answer, BaseException):
            raise answer
        node = cast("JsonObject", answer["node"])
        if any(_has_content(root) for root in node.get("shadowRoots", ()) if root.get("shadowRootType") == "closed"):
            found.append(str(node["localName"])[:100])
    return tuple(found)


def _has_content(root: JsonObject) -> bool:
    """Return whether a tree of CDP nodes contains text or non-layout elements."""
    waiting = list(root.get("children", ()))
    if not waiting and root.get("childNodeCount"):
        return True
    while waiting:
        node = waiting.pop()
        name = str(node.get("localName", ""))
        if name in {"style", "script", "template"}:
            continue
        is_text = node.get("nodeName") == "#text" and str(node.get("nodeValue", "")).strip()
        if is_text or (name and name not in _NO_CONTENT):
            return True
        children = node.get("children", ())
        if node.get("childNodeCount") and not children:
            return True
        waiting += children
    return False
