"""Records a page's failed requests: scripts, stylesheets, fonts and data, frames answered with an error.

A record of CDP events like ``watch.py``, which feeds it. It judges nothing: ``doubts.py`` does. Only the page's own
requests count, not those of frames.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from producer.contract.retry_after import COME_AGAIN, read_retry_after

JsonObject = dict[str, Any]

_KINDS: Final = {"Script": "script", "Stylesheet": "stylesheet", "Font": "font", "XHR": "data", "Fetch": "data"}
_FIRST_ERROR: Final = 400
_ASKS_WHO: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
"""Ordinary answers to data requests of a visitor: applications ask their API who is signed in."""
_MOST: Final = 50
"""Maximum length of each list: a page can cause thousands."""
_MOST_OPEN: Final = 5_000
_MAX_URL_CHARS: Final = 2_000
_MAX_ERROR_CHARS: Final = 150
_CHALLENGES: Final = ("cf-mitigated", "x-amzn-waf-action", "x-vercel-mitigated")
"""Headers that show that a service answered in place of the site."""


@dataclass(frozen=True, slots=True)
class Loss:
    """One request that failed; ``kind`` is ``script``, ``stylesheet``, ``font`` or ``data``."""

    kind: str
    url: str
    why: str


@dataclass(frozen=True, slots=True)
class FrameDocument:
    """The server's answer for a frame's document."""

    url: str
    status: int
    content_type: str


@dataclass(slots=True)
class Losses:
    """State of one page, changed by ``see`` only."""

    failed: list[Loss] = field(default_factory=list[Loss])
    frames: dict[str, FrameDocument] = field(default_factory=dict[str, FrameDocument])
    exceptions: list[str] = field(default_factory=list[str])
    _asked: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    _frame_urls: dict[str, str] = field(default_factory=dict[str, str])

    def see(self, method: str, params: JsonObject, *, frame_id: str, session: str = "") -> None:
        """Process one event; events of sessions other than that of the page's main frame, ``frame_id``, are ignored."""
        match "" if session else method:
            case "Network.requestWillBeSent":
                self._request_sent(params, frame_id)
            case "Network.responseReceived":
                self._response_received(params, frame_id)
            case "Network.loadingFinished":
                self._asked.pop(str(params["requestId"]), None)
            case "Network.loadingFailed":
                self._loading_failed(params)
            case "Runtime.exceptionThrown":
                self._exception_thrown(params["exceptionDetails"])
            case _:
                pass

    def forget(self) -> None:
        """Reset: another document has arrived."""
        self.failed.clear()
        self.frames.clear()
        self.exceptions.clear()

    def _request_sent(self, event: JsonObject, frame_id: str) -> None:
        kind, frame, url = str(event.get("type")), str(event.get("frameId")), str(event["request"]["url"])
        if kind == "Document" and frame != frame_id and "redirectResponse" not in event:
            if len(self._frame_urls) < _MOST_OPEN:
                self._frame_urls[frame] = url[:_MAX_URL_CHARS]
        elif kind in _KINDS and frame == frame_id and len(self._asked) < _MOST_OPEN:
            self._asked[str(event["requestId"])] = (_KINDS[kind], url[:_MAX_URL_CHARS])

    def _response_received(self, event: JsonObject, frame_id: str) -> None:
        response, kind, frame = event["response"], str(event.get("type")), str(event.get("frameId"))
        status, content_type = int(response["status"]), str(response.get("mimeType", ""))
        if kind == "Document" and frame != frame_id and len(self.frames) < _MOST_OPEN:
            url = self._frame_urls.get(frame, str(response.get("url", ""))[:_MAX_URL_CHARS])
            self.frames[frame] = FrameDocument(url, status, content_type)
        asked = self._asked.get(str(event["requestId"]))
        if asked is None:
            return
        if status >= _FIRST_ERROR:
            if asked[0] != "data" or status not in _ASKS_WHO:
                self._lose(*asked, f"answered {status}")
        elif asked[0] in {"script", "stylesheet"} and content_type == "text/html":
            self._lose(*asked, "was served as text/html")

    def _loading_failed(self, event: JsonObject) -> None:
        asked = self._asked.pop(str(event["requestId"]), None)
        # Requests forbidden by the site itself (a policy, mixed content) are missing for every visitor.
        if asked is None or event.get("canceled") or event.get("blockedReason"):
            return
        if event.get("corsErrorStatus"):
            why = "was refused by the other site (CORS)"
        else:
            why = f"did not load ({str(event.get('errorText', '')).removeprefix('net::')[:_MAX_ERROR_CHARS]})"
        self._lose(*asked, why)

    def _lose(self, kind: str, url: str, why: str) -> None:
        if len(self.failed) < _MOST and all(loss.url != url for loss in self.failed):
            self.failed.append(Loss(kind, url, why))

    def _exception_thrown(self, details: JsonObject) -> None:
        if len(self.exceptions) < _MOST:
            self.exceptions.append(describe_exception(details)[:_MAX_ERROR_CHARS])


def describe_exception(details: JsonObject) -> str:
    """Return the first line of CDP's ``ExceptionDetails``."""
    exception = details.get("exception", {})
    text = exception.get("description") or exception.get("value") or details.get("text") or "unknown error"
    # The text may come from the page: half a surrogate pair could not be encoded as UTF-8.
    return str(text).partition("\n")[0][:300].encode("utf-8", "replace").decode()


def challenge_of(headers: JsonObject) -> str:
    """Return the header that shows that a service answered in place of the site; '' if there is none."""
    for name, value in headers.items():
        if str(name).lower() in _CHALLENGES:
            return f"{str(name).lower()}: {str(value)[:50]}".encode("utf-8", "replace").decode()
    return ""


def come_again_of(status: int, headers: JsonObject) -> float | None:
    """Return the seconds of Retry-After in a 429 or 503 response, or None."""
    said = {str(name).lower(): str(value) for name, value in headers.items()}
    if status not in COME_AGAIN or challenge_of(headers):
        return None
    return read_retry_after(said.get("retry-after", ""), sent=said.get("date", ""))
