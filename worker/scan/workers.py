"""The dedicated workers of one page: intercepted before their first line, prepared, and resumed at once.

A worker is not a frame: it has no document, and none of Sightline's scripts run in it. Its requests take the path of
its page's or frame's requests (the proxy, and ``Fetch`` of their session), so nothing is held here: its session only
shows what is still being loaded. ``page.py`` calls this, and closes shared and service workers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from worker.scan.cdp import Connection, JsonObject, Session
from worker.scan.watch import Watch

MOST: Final = 100
"""Maximum number of concurrent workers, including nested ones; further ones are not started."""
START: Final = "Runtime.runIfWaitingForDebugger"
_CALLS: Final = frozenset({"Network.enable", "Target.setAutoAttach", "Emulation.setUserAgentOverride"})
"""The calls that prepare a page's session and that a worker's session supports."""
_PAUSE: Final = ("Debugger.enable", "Debugger.pause")


class Workers:
    """The sessions of one page's workers; ``are_too_many`` says that some were not started."""

    def __init__(self, connection: Connection, on_event: Callable[[], None]) -> None:
        self._connection = connection
        self._on_event = on_event
        self._parents: dict[str, str] = {}
        self._are_paused = False
        self.are_too_many = False

    def start(
        self, params: JsonObject, *, parent: str, setup: Iterable[tuple[str, JsonObject]], watch: Watch, page: str
    ) -> None:
        """Prepare the worker that was attached to session ``parent`` and let it run; ``page`` is its page's session."""
        if len(self._parents) >= MOST:
            self.are_too_many = True
            return
        name, calls = str(params["sessionId"]), [call for call in setup if call[0] in _CALLS]
        self._parents[name] = parent
        watch.begin_worker(params, now_s=time.monotonic())

        def see(method: str, event: JsonObject) -> None:
            watch.see(method, event, now_s=time.monotonic(), session=name)
            if self._owner(name) == page:
                watch.losses.see(method, {**event, "frameId": watch.frame_id}, frame_id=watch.frame_id)
            if method == "Target.attachedToTarget":
                self.start(event, parent=name, setup=calls, watch=watch, page=page)
            elif method == "Target.detachedFromTarget":
                self.end(str(event["sessionId"]), watch)
            self._on_event()

        self._connection.listen(name, see)
        session = Session(self._connection, name)
        paused: list[tuple[str, JsonObject]] = [(method, {}) for method in _PAUSE] if self._are_paused else []
        for method, arguments in (*calls, *paused, (START, {})):
            session.post(method, arguments)

    def end(self, name: str, watch: Watch) -> None:
        """Remove a worker, or those of a removed frame, with their nested workers."""
        for child in [child for child, parent in self._parents.items() if parent == name]:
            self.end(child, watch)
        if self._parents.pop(name, None) is not None:
            self._connection.forget(name)
            watch.forget_session(name)

    def pause(self) -> bool:
        """Pause them; returns whether any was running.

        Running workers take the processor from the page's audit, and a page at rest does not receive their messages.
        """
        if self._are_paused or not self._parents:
            return False
        self._are_paused = True
        self._post(_PAUSE)
        return True

    def resume(self) -> None:
        """Resume all paused workers; safe to call at any time."""
        if self._are_paused:
            self._are_paused = False
            self._post(("Debugger.disable",))

    def _post(self, methods: Iterable[str]) -> None:
        for name in self:
            for method in methods:
                Session(self._connection, name).post(method)

    def _owner(self, name: str) -> str:
        """Return the session of the page or frame that a worker belongs to, however deeply nested."""
        while name in self._parents:
            name = self._parents[name]
        return name

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._parents))
