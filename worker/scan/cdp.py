"""A client of the Chrome DevTools Protocol over the browser's pipe: calls with deadlines, events by session.

Owns the two pipe ends and the numbering of calls; independent of pages. If the other end closes, the browser is gone
and every open call raises ``BrowserGone``. Protocol: https://chromedevtools.github.io/devtools-protocol/ with
``--remote-debugging-pipe``: JSON messages, each ended by a zero byte. Next: ``chromium.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any, Final, cast

from worker.telemetry import note_failure

JsonObject = dict[str, Any]
EventHandler = Callable[[str, JsonObject], None]

MAX_MESSAGE_BYTES: Final = 256 * 2**20
"""Maximum size of a message. A page with a 100 MB data URI causes events of that size; beyond this the browser counts
as broken."""
CALL_LIMIT_S: Final = 10.0


class CallFailed(Exception):
    """The browser refused one call."""


class CallTimedOut(CallFailed):
    """The browser or the page did not answer a call in time; the page may be busy permanently."""


class BrowserGone(Exception):
    """The browser process exited or no longer answers."""


class Connection:
    """The pipe to one browser."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._next_id = 0
        self._waiting: dict[int, tuple[str, asyncio.Future[JsonObject]]] = {}
        self._handlers: dict[str, EventHandler] = {}
        self.closed = asyncio.Event()
        self._pump = asyncio.create_task(self._read_messages(), name="cdp-pump")

    def listen(self, session_id: str, handler: EventHandler) -> None:
        """Send the session's events to ``handler``; the empty id is the browser itself."""
        self._handlers[session_id] = handler

    def forget(self, session_id: str) -> None:
        """Stop delivering the session's events; safe to call twice."""
        self._handlers.pop(session_id, None)

    async def call(
        self, method: str, params: JsonObject | None = None, *, session_id: str = "", timeout_s: float = CALL_LIMIT_S
    ) -> JsonObject:
        """Return the call's result; raises ``CallFailed``, ``CallTimedOut`` or ``BrowserGone``."""
        waiting = self.post(method, params, session_id=session_id)
        try:
            async with asyncio.timeout(timeout_s):
                return await waiting
        except TimeoutError:
            msg = f"{method} was not answered within {timeout_s:.1f} s"
            raise CallTimedOut(msg) from None

    def post(
        self, method: str, params: JsonObject | None = None, *, session_id: str = ""
    ) -> asyncio.Future[JsonObject]:
        """Send a call and return the future of its result, for calls that need no waiting."""
        if self.closed.is_set():
            msg = f"the browser is gone: {method} cannot be sent"
            raise BrowserGone(msg)
        self._next_id += 1
        message: JsonObject = {"id": self._next_id, "method": method, "params": params or {}}
        if session_id:
            message["sessionId"] = session_id
        future: asyncio.Future[JsonObject] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_retrieve)
        self._waiting[self._next_id] = (session_id, future)
        self._writer.write(json.dumps(message).encode() + b"\0")
        return future

    def fail_session(self, session_id: str, reason: str) -> None:
        """Fail the session's open calls with ``CallFailed``: a crashed page would never answer them."""
        for owner, future in self._waiting.values():
            if owner == session_id and not future.done():
                future.set_exception(CallFailed(reason))

    async def close(self) -> None:
        """Close both ends, which makes Chromium exit. Safe to call twice."""
        self._pump.cancel()
        # Not awaited: its end has already ended every call, and our own cancellation must pass on.
        await asyncio.wait([self._pump])
        self._end()
        # Not "close", which waits until all is written: a stopped browser reads nothing, and is killed only after this.
        if not self._writer.is_closing():
            self._writer.transport.abort()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _read_messages(self) -> None:
        try:
            while True:
                message = await self._reader.readuntil(b"\0")
                self._deliver(cast("JsonObject", json.loads(message[:-1])))
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            pass
        except Exception as error:  # noqa: BLE001  the browser is replaced, and is not to blame
            note_failure("cdp-pump", error)
        finally:
            self._end()

    def _deliver(self, message: JsonObject) -> None:
        if "id" not in message:
            handler = self._handlers.get(message.get("sessionId", ""))
            if handler is not None:
                handler(message["method"], message.get("params", {}))
            return
        _, future = self._waiting.pop(message["id"], ("", None))
        if future is None or future.done():
            return
        if "error" in message:
            future.set_exception(CallFailed(str(message["error"].get("message", message["error"]))))
        else:
            future.set_result(message["result"])

    def _end(self) -> None:
        self.closed.set()
        waiting, self._waiting = self._waiting, {}
        for _, future in waiting.values():
            if not future.done():
                future.set_exception(BrowserGone("the browser exited while it was in use"))


class Session:
    """An attached target: a page, or a frame in a separate process."""

    def __init__(self, connection: Connection, session_id: str) -> None:
        self.connection = connection
        self.session_id = session_id

    async def call(
        self, method: str, params: JsonObject | None = None, *, timeout_s: float = CALL_LIMIT_S
    ) -> JsonObject:
        """See ``Connection.call``."""
        return await self.connection.call(method, params, session_id=self.session_id, timeout_s=timeout_s)

    def post(self, method: str, params: JsonObject | None = None) -> None:
        """Send a call without waiting for its answer; the next ``call`` detects a lost browser."""
        with contextlib.suppress(BrowserGone):
            self.connection.post(method, params, session_id=self.session_id)


def _retrieve(future: asyncio.Future[JsonObject]) -> None:
    """Mark the exception as retrieved: a call that timed out may fail later, when nobody awaits it."""
    if not future.cancelled():
        future.exception()
