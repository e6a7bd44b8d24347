"""The isolated worlds of one page's frames: created on first use, known until the frame's document is replaced.

Asking the browser for a world before each call would take a tenth of a scan's calls. ``page.py`` evaluates in them.
"""

from __future__ import annotations

from typing import Final

from worker.scan.cdp import JsonObject, Session

WORLD: Final = "sightline"
_REPLACED: Final = frozenset({"Page.frameNavigated", "Page.documentOpened", "Page.frameDetached"})


class Worlds:
    """Context ids by session and frame."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], int] = {}
        self._replaced = 0

    async def get(self, session: Session, frame_id: str, *, timeout_s: float) -> int:
        """Return the context id of the isolated world in the frame."""
        key = (session.session_id, frame_id)
        if key in self._known:
            return self._known[key]
        before = self._replaced
        made = await session.call(
            "Page.createIsolatedWorld", {"frameId": frame_id, "worldName": WORLD}, timeout_s=timeout_s
        )
        world = int(made["executionContextId"])
        if self._replaced == before:  # otherwise it may be the previous document's
            self._known[key] = world
        return world

    def see(self, session_id: str, method: str, params: JsonObject) -> None:
        """Process one event of a session."""
        if method in _REPLACED:
            self._replaced += 1
            self._known.pop((session_id, str(params.get("frameId") or params["frame"]["id"])), None)

    def forget(self, session: Session, world: int) -> None:
        """Drop a world in which a call failed: its document may be gone."""
        self._known = {
            key: known for key, known in self._known.items() if (key[0], known) != (session.session_id, world)
        }
