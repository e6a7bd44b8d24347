"""Records a page's CDP events; makes no calls and has no clock.

Authoritative about the main document (which response, complete or not), the redirects to it, open requests, and the
page's own navigations. ``page.py`` feeds it; ``verdict.py`` judges it. Event fields:
https://chromedevtools.github.io/devtools-protocol/tot/Network/
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, Final

from worker.scan.departure import Departure
from worker.scan.losses import Losses, challenge_of, come_again_of

JsonObject = dict[str, Any]

# These stay open as long as the page likes, or are never waited for.
_NEVER_ENDING: Final = frozenset({"EventSource", "WebSocket", "Ping", "CSPViolationReport", "Prefetch"})
_STREAM_TYPES: Final = frozenset({"text/event-stream", "multipart/x-mixed-replace"})
_LOOKS: Final = frozenset({"Image", "Media", "Font"})
"""Resource types that affect only a page's appearance, not its elements."""
_HOLDS_UP: Final = frozenset({"Script", "Stylesheet"})
"""Resource types that the load event waits for; a page without one of them is incomplete."""
_MOST_FACTOR: Final = 3
"""Factor by which requests that receive data are waited for longer than silent ones."""
_TRAFFIC: Final = frozenset(
    f"Network.{name}"
    for name in ("requestWillBeSent", "responseReceived", "dataReceived", "loadingFinished", "loadingFailed")
)
MAX_URL_CHARS: Final = 2_000
_NO_ADDRESS: Final = "a frame without an address"
BLOCKED_BY_REQUEST: Final = "net::ERR_BLOCKED_BY_CLIENT"
"""Chromium's error for requests that the scan request blocks."""


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
    challenge: str = ""
    """The header of a service that answered in place of the site."""
    come_again_s: float | None = None


@dataclass(slots=True)
class OpenRequest:
    """A request that has not ended. ``session`` began it; ``seen_s`` is the time of its last activity."""

    session: str
    kind: str
    url: str
    frame_id: str
    began_s: float
    seen_s: float
    is_answered: bool = False

    def is_stuck(self, now_s: float, *, looks_s: float, frame_s: float) -> bool:
        """Return whether to continue without it: an image, medium, font or frame document that is not answered."""
        if self.kind in _LOOKS:
            return now_s - self.seen_s >= looks_s or now_s - self.began_s >= looks_s * _MOST_FACTOR
        return self.kind == "Document" and not self.is_answered and now_s - self.began_s >= frame_s


@dataclass(frozen=True, slots=True)
class UnreadFrame:
    """A frame whose document did not arrive, or whose process died."""

    frame_id: str
    url: str
    why: str = ""
    is_dead: bool = False


@dataclass(slots=True)
class Watch:
    """State of one page, changed by ``see`` only. Times are the caller's monotonic seconds.

    ``open`` has the requests that have not ended. A frame's document is requested in its parent's session and ends in
    its own. ``session`` is empty for the page's own, and names the frame's otherwise.
    """

    frame_id: str
    committed_loader: str = ""
    redirects: list[Redirect] = field(default_factory=list[Redirect])
    open: dict[str, OpenRequest] = field(default_factory=dict[str, OpenRequest])
    last_network_s: float = 0.0
    received_bytes: int = 0
    failed_requests: int = 0
    navigations: int = 0
    """Number of documents after the first."""
    is_loaded: bool = False
    """The load event came, or never will: while it was parsed, the page navigated to something that is not a page."""
    is_parsed: bool = False
    has_frames: bool = False
    """Whether there has been a frame in the page."""
    cut_by: str = ""
    """Address of a failed navigation while the page was parsed, or of an app that got a form: parsing ends there."""
    crash: str = ""
    dialogs: int = 0
    popups: int = 0
    unread: dict[str, UnreadFrame] = field(default_factory=dict[str, "UnreadFrame"])
    """The frames without a document, by id: several may have requested the same address."""
    losses: Losses = field(default_factory=Losses)
    departure: Departure = field(default_factory=Departure)
    moved_from: str = ""
    """Address of the loaded document that the page itself left for the current one."""
    _documents: dict[str, MainDocument] = field(default_factory=dict[str, MainDocument])
    _frame_requests: dict[str, UnreadFrame] = field(default_factory=dict[str, "UnreadFrame"])
    """Frames' documents by request; the reason is still empty."""
    _given_up: set[str] = field(default_factory=set[str])
    _streams: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def inflight(self) -> dict[str, OpenRequest]:
        """The open requests to wait for before the page counts as still."""
        awaited = self.open.items()
        return {name: one for name, one in awaited if one.kind != "Media" and name not in self._given_up}

    @property
    def unread_frames(self) -> dict[str, str]:
        """The reason by address of the frames without a document."""
        return {frame.url: frame.why for frame in self.unread.values()}

    @property
    def document(self) -> MainDocument | None:
        """The current document; the newest one requested while there is none."""
        shown = self._documents.get(self.committed_loader)
        return shown or next(reversed(self._documents.values()), None)

    @property
    def is_document_lost(self) -> bool:
        """Whether the current document broke off, so that no more of it will arrive."""
        shown = self._documents.get(self.committed_loader)
        return shown is not None and bool(shown.error)

    @property
    def departures(self) -> int:
        """The number of navigations the page has started; none may have arrived."""
        return max(0, len(self._documents) - 1)

    def see(self, method: str, params: JsonObject, *, now_s: float, session: str = "") -> None:
        """Process one event; unknown events are ignored."""
        self.losses.see(method, params, frame_id=self.frame_id, session=session)
        self.departure.see(method, params, frame_id=self.frame_id, session=session)
        self.has_frames = self.has_frames or method == "Page.frameAttached"
        match method:
            case "Network.requestWillBeSent":
                self._request_sent(params, session, now_s)
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
            case "Page.frameStoppedLoading":
                self._frame_stopped(str(params["frameId"]))
            case "Page.loadEventFired":
                self.is_loaded = self.is_loaded or not session
            case "Page.domContentEventFired":
                self.is_parsed = self.is_parsed or not session
            case _:
                pass
        self._note_traffic(method, params, now_s)

    def begin_worker(self, event: JsonObject, *, now_s: float) -> None:
        """Record a running worker: its page requested its script, whose end is known once the script has run."""
        self.last_network_s = now_s
        if (script := self.open.get(str(event["targetInfo"]["targetId"]))) is not None:
            script.kind, script.session = "Worker", str(event["sessionId"])

    def _note_traffic(self, method: str, params: JsonObject, now_s: float) -> None:
        if method not in _TRAFFIC or params["requestId"] in self._streams:
            return
        self.last_network_s = now_s
        if (request := self.open.get(str(params["requestId"]))) is not None:
            request.seen_s = now_s

    def drop_reload(self) -> None:
        """Drop the hop left by the scan's own reload."""
        if self.document is not None and self.redirects[-1:] == [Redirect(0, self.document.url)]:
            self.redirects.pop()

    def restart(self) -> None:
        """Remove a failed navigation before it is retried."""
        for kept in (self._documents, self._frame_requests, self.open, self.redirects, self.unread):
            kept.clear()
        self.committed_loader, self.failed_requests, self.is_loaded, self.is_parsed = "", 0, False, False

    def frame_died(self, frame_id: str) -> None:
        """Record that a frame's process died."""
        urls = [known.url for known in self._frame_requests.values() if known.frame_id == frame_id]
        self.unread[frame_id] = UnreadFrame(frame_id, (urls or [_NO_ADDRESS])[-1], "its process died", is_dead=True)

    def forget_session(self, session: str) -> None:
        """Stop waiting for the requests of a removed frame."""
        self.open = {name: request for name, request in self.open.items() if request.session != session}

    def give_up(self, now_s: float, *, looks_s: float, frame_s: float) -> bool:
        """Stop waiting for stuck requests; returns whether the page is parsed and waits for nothing else."""
        stuck = {
            name
            for name, request in self.open.items()
            if request.frame_id != self.frame_id or request.kind != "Document"
            if request.is_stuck(now_s, looks_s=looks_s, frame_s=frame_s)
        }
        is_held = bool(stuck) or any(now_s - began_s >= looks_s for began_s in self._streams.values())
        if not (self.is_parsed and is_held and stuck | self._given_up >= self.open.keys()):
            return False
        self._given_up |= stuck
        for name in stuck:
            if (frame := self._frame_requests.get(name)) is not None:
                self._miss(frame, f"no answer within {frame_s:.1f} s")
        return True

    def is_held_up(self, now_s: float, *, looks_s: float, frame_s: float, silent_s: float) -> bool:
        """Return whether a complete page waits only for unanswered scripts and styles, and for stuck requests."""
        silent = {
            name
            for name, request in self.open.items()
            if request.kind in _HOLDS_UP and not request.is_answered and now_s - request.began_s >= silent_s
        }
        others = (request for name, request in self.open.items() if name not in silent | self._given_up)
        is_whole = self.document is not None and self.document.is_whole
        return (
            is_whole and bool(silent) and all(one.is_stuck(now_s, looks_s=looks_s, frame_s=frame_s) for one in others)
        )

    def open_since(self, began_s: float) -> list[OpenRequest]:
        """Return the requests open since then, except frames and workers, which are reported elsewhere."""
        noted = {"Document", "Worker"}
        long_open = (one for one in self.open.values() if one.began_s <= began_s and one.kind not in noted)
        return [one for one in long_open if one.kind != "Media" or not one.is_answered]

    def _request_sent(self, event: JsonObject, session: str, now_s: float) -> None:
        request_id, url = str(event["requestId"]), str(event["request"]["url"])[:MAX_URL_CHARS]
        if url.startswith(("data:", "blob:")):
            return
        if event.get("type") == "Document" and event.get("frameId") == self.frame_id:
            self._main_request(event, url)
        elif event.get("type") == "Document":
            self._frame_requests[request_id] = UnreadFrame(str(event.get("frameId", "")), url)
        kind, frame_id = str(event.get("type", "")), str(event.get("frameId", ""))
        if kind not in _NEVER_ENDING:
            self.open[request_id] = OpenRequest(session, kind, url, frame_id, began_s=now_s, seen_s=now_s)

    def _main_request(self, event: JsonObject, url: str) -> None:
        response = event.get("redirectResponse")
        if response is not None:
            self.redirects.append(Redirect(int(response["status"]), url))
        elif self._documents:
            self.redirects.append(Redirect(0, url))
        loader_id = str(event["loaderId"])
        self._documents[loader_id] = MainDocument(url=url, loader_id=loader_id)

    def _response_received(self, event: JsonObject) -> None:
        request_id = str(event["requestId"])
        if (request := self.open.get(request_id)) is not None:
            request.is_answered = True
        if event["response"].get("mimeType") in _STREAM_TYPES:
            request = self.open.pop(request_id, None)  # the load event waits for the first picture of a stream
            self._streams[request_id] = request.began_s if request and request.kind in _LOOKS else inf
        if (frame := self._frame_requests.get(request_id)) is not None:
            self.unread.pop(frame.frame_id, None)  # it was loaded again, or answered late
        document = self._documents.get(request_id)
        if document is not None:
            document.status, headers = int(event["response"]["status"]), event["response"].get("headers", {})
            document.challenge = challenge_of(headers)
            document.come_again_s = come_again_of(document.status, headers)

    def _loading_finished(self, event: JsonObject) -> None:
        request_id = str(event["requestId"])
        self.open.pop(request_id, None)
        if request_id in self._documents:
            self._documents[request_id].is_whole = True

    def _loading_failed(self, event: JsonObject) -> None:
        request_id, error = str(event["requestId"]), str(event.get("errorText", ""))
        self.open.pop(request_id, None)
        if request_id in self._documents:
            self._documents[request_id].error = error or "the request was cancelled"
            hop = Redirect(0, self._documents[request_id].url)
            if request_id != self.committed_loader and self.redirects[-1:] == [hop]:
                self.redirects.pop()  # it stayed on its page
            return
        if event.get("canceled") or error.startswith(BLOCKED_BY_REQUEST):
            return
        self.failed_requests += 1
        # Frames that the site itself forbids to embed are missing for every visitor.
        if (frame := self._frame_requests.get(request_id)) is not None and "BLOCKED_BY" not in error:
            self._miss(frame, error)

    def _miss(self, frame: UnreadFrame, why: str) -> None:
        self.unread[frame.frame_id] = replace(frame, why=why)

    def _frame_stopped(self, frame_id: str) -> None:
        """Record that a frame will get no more content.

        If the page navigated to an app, a download or a 204 response while it was parsed, there is never a load event.
        The document of a media file never ends in the network events.
        """
        if frame_id != self.frame_id:
            ended = ("Document", frame_id)
            self.open = {name: one for name, one in self.open.items() if (one.kind, one.frame_id) != ended}
        elif self.committed_loader:
            newest = next(reversed(self._documents.values()))
            is_cut = not self.is_parsed and newest.loader_id != self.committed_loader and bool(newest.error)
            self.cut_by = newest.url if is_cut else self.cut_by
            if not self.is_parsed and self.departure.app_url:
                self.cut_by = self.departure.app_url
            self.is_loaded = self.is_parsed = True

    def _frame_navigated(self, event: JsonObject, session: str) -> None:
        frame = event["frame"]
        if session or frame["id"] != self.frame_id or frame["loaderId"] not in self._documents:
            return
        if frame["loaderId"] != self.committed_loader:
            left = self._documents.get(self.committed_loader)  # none for the first one, and after `restart`
            self.navigations += left is not None
            self.moved_from = left.url if left is not None and self.is_loaded else ""
            self.losses.forget()
        self.committed_loader = str(frame["loaderId"])
        self.is_loaded = self.is_parsed = False
        self.cut_by = ""
