"""A page in a separate context: opens it, communicates with its frames, updates its ``Watch``, and closes it.

Sightline's scripts run in an isolated world with the page's DOM but none of its JavaScript, so redefinitions by the
page have no effect there. Every call has a deadline; a crash ends the open ones. Frames of other sites have separate
processes and sessions, found by frame id. ``visit.py`` decides what to do with a page.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from producer.contract import Viewport
from worker.scan.cdp import BrowserGone, CallFailed, CallTimedOut, JsonObject, Session
from worker.scan.chromium import Chromium
from worker.scan.frozen import Frozen
from worker.scan.held import Held
from worker.scan.journey.fence import Fence
from worker.scan.losses import describe_exception
from worker.scan.watch import MAX_URL_CHARS, Watch
from worker.scan.workers import START, Workers
from worker.scan.worlds import WORLD, Worlds

_CHECK_EVERY_S: Final = 0.25
_OPEN_LIMIT_S: Final = 10.0
_SHOWN: Final = [{"type": "iframe"}, {"type": "worker"}]
# Calls that make a session report its requests, and its workers and frames of other processes before they run.
_SETUP: Final[tuple[tuple[str, JsonObject], ...]] = (
    ("Page.enable", {}),
    ("Network.enable", {"maxTotalBufferSize": 0, "maxResourceBufferSize": 0}),
    (
        "Target.setAutoAttach",
        {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True, "filter": _SHOWN},
    ),
    ("Inspector.enable", {}),
    # A page is audited at rest: one that asks may skip its animations.
    ("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]}),
)


class ScriptFailed(Exception):
    """A script of Sightline threw an error in the page."""


class Page:
    """A page of one scan; made by ``open``, ended by ``close``."""

    def __init__(self, browser: Chromium, start_script: str) -> None:
        self._browser = browser
        setup = {"source": start_script, "worldName": WORLD}
        self._setup = (*_SETUP, ("Page.addScriptToEvaluateOnNewDocument", setup))
        self._context: asyncio.Task[str] | None = None
        self._attached: asyncio.Future[tuple[str, str]] = asyncio.get_running_loop().create_future()
        self._frames: dict[str, Session] = {}
        self._changed = asyncio.Event()
        self.workers = Workers(browser.connection, self._changed.set)
        self._held = Held()
        self.has_bad_headers = False
        """Whether the browser refused to send headers of the request."""
        self._frozen = Frozen()
        self._worlds = Worlds()
        self.session = browser.session("")
        self.watch = Watch(frame_id="")

    @classmethod
    async def open(
        cls, browser: Chromium, *, proxy_port: int, viewport: Viewport, user_agent: str, start_script: str
    ) -> Page:
        """Return a blank page, ready to navigate; cleans up if this fails.

        ``start_script`` runs in a document's isolated world right before the page's first script; never if the page has
        none.
        """
        page = cls(browser, start_script)
        try:
            async with asyncio.timeout(_OPEN_LIMIT_S):
                await page._open(proxy_port, viewport, user_agent)
        except TimeoutError:
            browser.is_broken = True
            await page.close()
            msg = f"no page opened within {_OPEN_LIMIT_S:.0f} s"
            raise CallTimedOut(msg) from None
        except BaseException:
            await asyncio.shield(page.close())
            raise
        return page

    async def _open(self, proxy_port: int, viewport: Viewport, user_agent: str) -> None:
        making = self._browser.new_context(self._see_target, proxy_port=proxy_port)
        self._context = asyncio.create_task(making, name="new-context")
        context_id = await asyncio.shield(self._context)
        await self._browser.connection.call(
            "Target.createTarget",
            {
                "url": "about:blank",
                "browserContextId": context_id,
                "width": viewport.width,
                "height": viewport.height,
            },
        )
        target_id, session_id = await self._attached
        self.session = self._browser.session(session_id)
        self.watch = Watch(frame_id=target_id)
        self._browser.connection.listen(session_id, self._see)
        self._setup = (*self._setup, ("Emulation.setUserAgentOverride", {"userAgent": user_agent}))
        metrics = {"width": viewport.width, "height": viewport.height, "deviceScaleFactor": 1, "mobile": False}
        own: tuple[tuple[str, JsonObject], ...] = (
            ("Emulation.setDeviceMetricsOverride", metrics),
            ("Network.setBypassServiceWorker", {"bypass": True}),
            (START, {}),
        )
        await asyncio.gather(*(self.session.call(method, params) for method, params in (*self._setup, *own)))

    async def close(self) -> None:
        """Close the context with all its pages; safe to call twice. Never raises."""
        self._frozen.close()
        for name in (*(session.session_id for session in self.sessions), *self.workers):
            self._browser.connection.forget(name)
        context, self._context = self._context, None
        if context is not None:
            with contextlib.suppress(CallFailed, BrowserGone):
                await self._browser.dispose(await context)

    async def until(self, is_reached: Callable[[], bool], *, timeout_s: float) -> bool:
        """Wait until ``is_reached()``, checked after every event and four times a second; False at the limit."""
        end_s = time.monotonic() + timeout_s
        while not is_reached():
            left_s = end_s - time.monotonic()
            if left_s <= 0 or self._browser.connection.closed.is_set():
                return False
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, _CHECK_EVERY_S)):
                    await self._changed.wait()
        return True

    async def hold_requests(self, headers: Callable[[JsonObject], list[JsonObject]]) -> None:
        """Hold each request of the page until it has the headers that ``headers(request)`` returns."""
        self._held.headers = headers
        await self.session.call("Fetch.enable")

    async def block_hosts(self, patterns: Sequence[str]) -> None:
        """Fail each request to these hosts before it is made, including those of frames."""
        self._held.blocked_hosts = tuple(patterns)
        await self.prepare_all("Fetch.enable", {"patterns": self._held.patterns})

    async def forbid_writes(self) -> None:
        """Fail each request other than GET, HEAD and OPTIONS before it is made, including those of frames."""
        self._held.only_reads = True
        await self.prepare_all("Fetch.enable", {})

    async def keep_to(self, fence: Fence | None) -> None:
        """Stay on the current document instead of going to one that ``fence`` refuses; None: go anywhere."""
        self._held.fence = fence
        if fence is not None and (patterns := self._held.patterns) is not None:
            await self.session.call("Fetch.enable", {"patterns": patterns})

    async def ignore_certificates(self) -> None:
        """Accept any certificate, including in frames."""
        await self.prepare_all("Security.setIgnoreCertificateErrors", {"ignore": True})

    async def prepare_all(self, method: str, params: JsonObject) -> None:
        """Call the method for the page and its frames in separate processes, and for further frames before they run."""
        self._setup = (*self._setup, (method, params))
        calls = (session.call(method, params) for session in self.sessions)
        own, *_ = await asyncio.gather(*calls, return_exceptions=True)  # a frame may be gone
        if isinstance(own, BaseException):
            raise own

    async def freeze(self, *, timeout_s: float) -> None:
        """Stop the page's own scripts and workers until it is thawed or requests a document."""
        self.workers.pause()
        await self._frozen.freeze(self.sessions, held=self._held.patterns, timeout_s=timeout_s)

    async def thaw(self, *, timeout_s: float) -> None:
        """Let the page's scripts run again; safe to call at any time."""
        self.workers.resume()
        await self._frozen.thaw(self.sessions, timeout_s=timeout_s)

    @property
    def sessions(self) -> list[Session]:
        """The page's own session, then those of frames in separate processes."""
        return [self.session, *self._frames.values()]

    @property
    def frame_processes(self) -> int:
        """Number of frames that are now in separate processes."""
        return len(self._frames)

    def session_of(self, frame_id: str, parent: Session) -> Session:
        """Return the session of a child frame: its own, or its parent's."""
        return self._frames.get(frame_id, parent)

    async def world(self, session: Session, frame_id: str, *, timeout_s: float) -> int:
        """Return the context id of the isolated world in the frame, created on first use."""
        return await self._worlds.get(session, frame_id, timeout_s=timeout_s)

    async def give_script(self, session: Session, source: str, *, timeout_s: float) -> None:
        """Run a script in the isolated world of the session's documents, and of later ones that have scripts."""
        script = {"source": source, "worldName": WORLD, "runImmediately": True}
        await session.call("Page.addScriptToEvaluateOnNewDocument", script, timeout_s=timeout_s)

    async def keep_from(self, url: str, *, timeout_s: float) -> None:
        """Prevent later documents from navigating by themselves to ``url``, as recorded by ``Watch``."""
        is_it = f"event.destination.url.split('#')[0].slice(0, {MAX_URL_CHARS}) === {literal(url)}"
        source = f"navigation.addEventListener('navigate', (event) => {{ if ({is_it}) event.preventDefault(); }})"
        script = {"source": source, "worldName": WORLD}
        await self.session.call("Page.addScriptToEvaluateOnNewDocument", script, timeout_s=timeout_s)

    async def evaluate(
        self, session: Session, world: int, expression: str, *, timeout_s: float, by_value: bool = True
    ) -> Any:
        """Return the value (or, not by value, the object id) of ``expression``, promises awaited.

        Raises ``ScriptFailed`` when it throws, ``CallTimedOut`` when the page is too busy to answer.
        """
        call = {"expression": expression, "contextId": world, "awaitPromise": True, "returnByValue": by_value}
        try:
            answer = await session.call("Runtime.evaluate", {**call, "timeout": timeout_s * 1000}, timeout_s=timeout_s)
        except CallFailed:
            self._worlds.forget(session, world)
            raise
        if "exceptionDetails" in answer:
            raise ScriptFailed(describe_exception(answer["exceptionDetails"]))
        return answer["result"].get("value" if by_value else "objectId")

    def _see_target(self, method: str, params: JsonObject) -> None:
        """Take the first page as this one, close popups and shared workers before they run, record a crash."""
        if method == "Target.attachedToTarget":
            info = params["targetInfo"]
            if info["type"] == "page" and not self._attached.done():
                self._attached.set_result((info["targetId"], params["sessionId"]))
                return
            self.watch.popups += info["type"] == "page"
            self._browser.session("").post("Target.closeTarget", {"targetId": info["targetId"]})
        elif method == "Target.targetCrashed" and params["targetId"] == self.watch.frame_id:
            self._crashed(str(params.get("status") or "crashed"))

    def _crashed(self, how: str) -> None:
        self.watch.crash = how
        self._browser.connection.fail_session(self.session.session_id, f"the page's process died: {how}")
        self._changed.set()

    def _see(self, method: str, params: JsonObject) -> None:
        self._see_frame_of(self.session, "", method, params)

    def _see_frame_of(self, session: Session, name: str, method: str, params: JsonObject) -> None:
        """Process one event of a session; ``name`` is empty for the page's own."""
        self.watch.see(method, params, now_s=time.monotonic(), session=name)
        self._worlds.see(session.session_id, method, params)
        if method == "Target.attachedToTarget":
            self._attach(params, parent=session.session_id)
        elif method == "Target.detachedFromTarget":
            self._detach(params)
        elif method == "Page.javascriptDialogOpening":
            # A step that leaves a page leaves it, whatever was typed there; people would confirm that, too.
            is_leaving = params.get("type") == "beforeunload"
            self.watch.dialogs += not is_leaving
            session.post("Page.handleJavaScriptDialog", {"accept": is_leaving})
        elif method == "Fetch.requestPaused" and self._frozen.is_on and params.get("resourceType") == "Document":
            self._frozen.thaw_first(self.sessions, lambda: self._go_on(session, params))
        elif method == "Fetch.requestPaused":
            self._go_on(session, params)
        elif method == "Inspector.targetCrashed" and not name:
            self._crashed(self.watch.crash or "crashed")
        elif method == "Inspector.targetCrashed":
            for frame_id in [frame_id for frame_id, owner in self._frames.items() if owner is session]:
                self.watch.frame_died(frame_id)
            self._browser.connection.fail_session(name, "the frame's process died")
        self._changed.set()

    def _go_on(self, session: Session, params: JsonObject) -> None:
        """Continue a held request, or fail it; also one whose headers the browser refuses, which would wait forever."""
        method, answer = self._held.answer(params, frame_id=self.watch.frame_id)
        with contextlib.suppress(BrowserGone):
            sent = self._browser.connection.post(method, answer, session_id=session.session_id)
            if "headers" in answer:
                sent.add_done_callback(lambda sent: self._fail_unsent(session, answer, sent))

    def _fail_unsent(self, session: Session, answer: JsonObject, sent: asyncio.Future[JsonObject]) -> None:
        error = None if sent.cancelled() else sent.exception()
        if isinstance(error, CallFailed) and "header" in str(error).lower():
            self.has_bad_headers = True
            session.post("Fetch.failRequest", {"requestId": answer["requestId"], "errorReason": "Failed"})

    def _attach(self, params: JsonObject, *, parent: str) -> None:
        """Prepare a worker, or a frame in a separate process, and let it run."""
        if params["targetInfo"]["type"] == "worker":
            page = self.session.session_id
            self.workers.start(params, parent=parent, setup=self._setup, watch=self.watch, page=page)
            return
        session = self._browser.session(params["sessionId"])
        name = session.session_id
        self._frames[params["targetInfo"]["targetId"]] = session
        self._browser.connection.listen(name, lambda method, event: self._see_frame_of(session, name, method, event))
        for method, arguments in (*self._setup, (START, {})):
            session.post(method, arguments)

    def _detach(self, params: JsonObject) -> None:
        name = params["sessionId"]
        self.workers.end(name, self.watch)
        self._frames = {frame: session for frame, session in self._frames.items() if session.session_id != name}
        self._browser.connection.fail_session(name, "the frame is gone")
        self._browser.connection.forget(name)
        self.watch.forget_session(name)


def literal(value: object) -> str:
    """Return ``value`` as a JavaScript expression: JSON is one."""
    return json.dumps(value)
