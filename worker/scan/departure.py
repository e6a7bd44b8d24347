"""Detects whether a page is navigating: a document was requested, by the page or by a step, and has not arrived.

Fed by ``watch.py`` with the events of the page's own session. Between a click on a link and the new document, a static
page gives no other sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

_SETS_OUT: Final = ("Page.frameRequestedNavigation", "Page.frameScheduledNavigation")
_OF_A_BROWSER: Final = ("http:", "https:", "about:", "blob:", "data:", "file:", "javascript:")
_ARRIVES: Final = ("Page.navigatedWithinDocument", "Page.frameStoppedLoading", "Page.frameClearedScheduledNavigation")


@dataclass(slots=True)
class Departure:
    """The main frame's pending navigation; ``is_meant``: it was announced but has requested nothing yet."""

    is_meant: bool = False
    app_url: str = ""
    """Address of another program, such as ``sms:1``, for which the current document set out."""
    _loader: str = ""

    @property
    def is_under_way(self) -> bool:
        """Whether a document was requested and has neither arrived nor failed."""
        return bool(self._loader)

    def see(self, method: str, params: dict[str, Any], *, frame_id: str, session: str) -> None:
        """Process one event; events of frames and unknown events are ignored."""
        if session:
            return
        if method == "Network.requestWillBeSent":
            if params.get("type") == "Document" and params.get("frameId") == frame_id:
                self.is_meant, self._loader = False, str(params["loaderId"])
        elif method == "Network.loadingFailed":
            self._loader = "" if params["requestId"] == self._loader else self._loader
        elif method == "Page.frameNavigated":
            if params["frame"]["id"] == frame_id:
                self.is_meant, self.app_url, self._loader = False, "", ""
        elif params.get("frameId") == frame_id and method in _SETS_OUT:
            is_here, url = params.get("disposition", "currentTab") == "currentTab", str(params.get("url", ""))
            self.is_meant = is_here and url.startswith(("http:", "https:"))
            self.app_url = self.app_url if url.startswith(_OF_A_BROWSER) else url
        elif params.get("frameId") == frame_id and method in _ARRIVES:
            self.is_meant = False
