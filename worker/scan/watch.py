"""What has been seen of a page: a record of CDP events, with no calls and no clock of its own.

Authoritative about the main document (which response, whole or not), the redirects that led to it, what is still being
loaded, and how often the page took itself elsewhere. ``page.py`` feeds it; ``verdict.py`` judges it.
Event fields: https://chromedevtools.github.io/devtools-protocol/tot/Network/
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

JsonObject = dict[str, Any]

# These stay open as long as the page likes, or nobody waits for them.
_NEVER_ENDING: Final = frozenset({"EventSource", "WebSocket", "Media", "Ping", "CSPViolationReport", "Prefetch"})
_TRAFFIC: Final = frozenset(
    f"Network.{name}"
    for name in ("requestWillBeSent", "responseReceived", "dataReceived", "loadingFinished", "loadingFailed")
)
_MAX_URL_CHARS: Final = 2_000
BLOCKED_BY_REQUEST: Final = "net::ERR_BLOCKED_BY_CLIENT"
"""Chromium's error for what we fail ourselves, as the scan's request asks: missing by intention."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """One hop: ``status`` is 0 for a navigation by the page itself."""

    status: int
    url: str


@dataclass(slots=True)
class MainDocument:
    """The main frame's newest document request. ``error`` is Chromium's, such as ``net::ERR_CONNECTION_REFUSED``."""

    url: str
    loader_id: str
    status: int | None = None
    is_whole: bool = False
    error: str = ""


@dataclass(slots=True)
class Watch:
    """State of one page, changed by ``see`` only. Times are the caller's monotonic seconds.

    ``inflight`` maps the requests that are open to the session that began them. A frame's document is asked for in its
    parent's session and ends in its own. ``session`` is empty for the page's own, and names the frame's otherwise.
    """

    frame_id: str
    committed_loader: str = ""
    redirects: list[Redirect] = field(default_factory=list[Redirect])
    inflight: dict[str, str] = field(default_factory=dict[str, str])
    last_network_s: float = 0.0
    received_bytes: int = 0
    failed_requests: int = 0
    navigations: int = 0
    """Documents that came after the first."""
    is_loaded: bool = False
    is_parsed: bool = False
    crash: str = ""
    dialogs: int = 0
    popups: int = 0
    unread_frames: dict[str, str] = field(default_factory=dict[str, str])
    frame_ids: dict[str, str] = field(default_factory=dict[str, str])
    """The frame that last asked for the document at a URL."""
    _documents: dict[str, MainDocument] = field(default_factory=dict[str, MainDocument])
    _frame_urls: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def document(self) -> MainDocument | None:
        """The document that is shown; the newest one asked for while none is."""
        shown = self._documents.get(self.committed_loader)
        return shown or next(reversed(self._documents.values()), None)

    @property
    def is_document_lost(self) -> bool:
        """Whether the shown document broke off; it will not become more."""
        shown = self._documents.get(self.committed_loader)
        return shown is not None and bool(shown.error)

    @property
    def departures(self) -> int:
        """How often the page has set out for another document; it may not have arrived at any."""
        return max(0, len(self._documents) - 1)

    def see(self, method: str, params: JsonObject, *, now_s: float, session: str = "") -> None:
        """Note one event; events it does not know are ignored."""
        match method:
            case "Network.requestWillBeSent":
                self._request_sent(params, session)
            case "Network.responseReceived":
                self._response_received(params)
            case "Network.dataReceived":
                self.received_bytes += int(params["dataLength"])
            case "Network.loadingFinished":
                self._loading_finished(params)
            case "Network.loadingFailed":
                self._loading_failed(params)
            case "Page.frameNavigated":
                self._frame_navigated(params, session)
            case "Page.loadEventFired":
                self.is_loaded = self.is_loaded or not session
            case "Page.domContentEventFired":
                self.is_parsed = self.is_parsed or not session
            case _:
                pass
        if method in _TRAFFIC:
            self.last_network_s = now_s

    def forget_session(self, session: str) -> None:
        """Stop waiting for the requests of a frame that is gone."""
        self.inflight = {request: owner for request, owner in self.inflight.items() if owner != session}

    def _request_sent(self, event: JsonObject, session: str) -> None:
        request_id, url = str(event["requestId"]), str(event["request"]["url"])[:_MAX_URL_CHARS]
        if url.startswith(("data:", "blob:")):
            return
        if event.get("type") == "Document" and event.get("frameId") == self.frame_id:
            self._main_request(event, url)
        elif event.get("type") == "Document":
            self._frame_urls[request_id] = url
            self.frame_ids[url] = str(event.get("frameId", ""))
        if event.get("type") not in _NEVER_ENDING:
            self.inflight[request_id] = session

    def _main_request(self, event: JsonObject, url: str) -> None:
        response = event.get("redirectResponse")
        if response is not None:
            self.redirects.append(Redirect(int(response["status"]), url))
        elif self._documents:
            self.redirects.append(Redirect(0, url))
        loader_id = str(event["loaderId"])
        self._documents[loader_id] = MainDocument(url=url, loader_id=loader_id)

    def _response_received(self, event: JsonObject) -> None:
        document = self._documents.get(str(event["requestId"]))
        if document is not None:
            document.status = int(event["response"]["status"])

    def _loading_finished(self, event: JsonObject) -> None:
        request_id = str(event["requestId"])
        self.inflight.pop(request_id, None)
        if request_id in self._documents:
            self._documents[request_id].is_whole = True

    def _loading_failed(self, event: JsonObject) -> None:
        request_id, error = str(event["requestId"]), str(event.get("errorText", ""))
        self.inflight.pop(request_id, None)
        if request_id in self._documents:
            self._documents[request_id].error = error or "the request was cancelled"
            return
        if event.get("canceled") or error == BLOCKED_BY_REQUEST:
            return
        self.failed_requests += 1
        # What the site itself forbids to embed is unread by everyone, not only by us.
        if request_id in self._frame_urls and "BLOCKED_BY" not in error:
            self.unread_frames[self._frame_urls[request_id]] = error

    def _frame_navigated(self, event: JsonObject, session: str) -> None:
        frame = event["frame"]
        if session or frame["id"] != self.frame_id or frame["loaderId"] not in self._documents:
            return
        if self.committed_loader and frame["loaderId"] != self.committed_loader:
            self.navigations += 1
        self.committed_loader = str(frame["loaderId"])
        self.is_loaded = False
        self.is_parsed = False
