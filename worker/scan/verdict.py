"""Decides whether a page counts as scanned, and if not, why. Pure.

``unreachable``: there is nothing to audit. ``blocked``: the guard refused the page's own address. ``partial``: audited,
but incomplete. A page in doubt is not ``scanned``. ``visit.py`` collects the facts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote, urlsplit

from producer.contract import ScanStatus, public_url
from worker.scan.phrases import find_phrase
from worker.scan.proxy import Fault, origin_of
from worker.scan.watch import MainDocument, OpenRequest

HTML_TYPES: Final = frozenset({"text/html", "application/xhtml+xml"})
_FIRST_ERROR: Final = 400
_REQUESTS_SHOWN: Final = 3
_URL_CHARS: Final = 80
_NO_CONTENT: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT})
_NET_ERRORS: Final[Mapping[str, str]] = {
    "ERR_TOO_MANY_REDIRECTS": "it redirects in a loop",
    "ERR_CONTENT_LENGTH_MISMATCH": "it was cut off: fewer bytes arrived than announced",
    "ERR_INCOMPLETE_CHUNKED_ENCODING": "it was cut off in the middle",
    "ERR_CONNECTION_RESET": "the server dropped the connection",
    "ERR_EMPTY_RESPONSE": "the server closed the connection without an answer",
    "ERR_CONTENT_DECODING_FAILED": "its compression is broken",
    "ERR_BLOCKED_BY_CLIENT": "it is on a host that the request blocks",
    "ERR_UNSAFE_PORT": "browsers refuse this port",
    "ERR_INVALID_RESPONSE": "the answer is not HTTP",
    "ERR_INVALID_HTTP_RESPONSE": "the answer is not HTTP",
    "ERR_SSL_PROTOCOL_ERROR": "the server does not speak TLS",
}
_SIGN_IN: Final = re.compile(
    r"\b(log ?[io]n\w*|sign ?in\w*|sso|auth|oauth2?|openid|saml2?|adfs|authenticate|authentication|authorize"
    r"|sessions? new|anmelden|anmeldung|einloggen|connexion|inloggen|accedi|accesso|iniciar sesion|acceder)\b"
)
"""Words in addresses of sign-in pages, separated by one space."""
_SIGN_IN_END: Final = re.compile(_SIGN_IN.pattern + r"( (?:php|x?html?|aspx?|jsp|do|cgi))?$")
_TO_SIGN_IN: Final = "headers, cookies or a storage state for it are missing or have expired"


class Unread(Exception):
    """There is nothing to audit; has the scan's final status, the reason, and for ``partial`` the kind of doubt."""

    def __init__(self, status: ScanStatus, reason: str, *, doubt: str = "", asks_to_sign_in: bool = False) -> None:
        super().__init__(reason)
        self.status: ScanStatus = status
        self.reason = reason
        self.doubt = doubt
        self.asks_to_sign_in = asks_to_sign_in


def judge_document(
    document: MainDocument | None, *, error: str, faults: Mapping[tuple[str, int], Fault]
) -> Unread | None:
    """Return why the main document cannot be audited, judging by the network, or None.

    ``error`` is Chromium's error for the navigation, ``faults`` are the connections that the proxy could not open or
    refused.
    """
    if document is None:
        return Unread("unreachable", f"the page was not loaded: {_explain(error)}")
    fault = faults.get(origin_of(document.url))
    if fault is not None and document.status is None:
        return Unread("blocked" if fault.refusal else "unreachable", fault.reason)
    if document.status is None:
        return Unread("unreachable", f"the page was not loaded: {_explain(error or document.error)}")
    if document.status == HTTPStatus.UNAUTHORIZED:
        reason = f"the server answered {_status_line(document.status)}: {_TO_SIGN_IN}"
        return Unread("unreachable", reason, asks_to_sign_in=True)
    if document.status >= _FIRST_ERROR and document.challenge:
        reason = f"the server answered {_status_line(document.status)}: a bot check ({document.challenge})"
        return Unread("unreachable", reason, doubt="bot-wall")
    if document.come_again_s is not None:
        asks = f"asks to wait {document.come_again_s:,.0f} s"
        return Unread("unreachable", f"the server answered {_status_line(document.status)} and {asks}")
    if document.status >= _FIRST_ERROR:
        return Unread("unreachable", f"the server answered {_status_line(document.status)}: an error, not the page")
    if document.status in _NO_CONTENT:
        return Unread("unreachable", f"the server answered {_status_line(document.status)}: it has no page to scan")
    if document.error and not document.is_whole:
        return Unread("unreachable", f"the page was not loaded completely: {_explain(document.error)}")
    return None


def judge_place(href: str) -> Unread | None:
    """Return why a document at this address was not served by a server, or None."""
    if href.startswith(("http:", "https:")):
        return None
    is_about = href.startswith("about:")
    name = href.partition("#")[0][:_URL_CHARS] if is_about else f"a {href.partition(':')[0]}: document"
    return Unread("unreachable", f"the page navigated to {name}: the loaded page is gone")


def judge_type(content_type: str) -> Unread | None:
    """Return why a document of this type is not audited; None for HTML."""
    if content_type in HTML_TYPES:
        return None
    return Unread("unreachable", f"the document is {content_type[:_URL_CHARS]!r}: only HTML pages can be scanned")


def judge_sign_in(*, asked: str, shown: str) -> Unread | None:
    """Return why the page at ``shown`` is not the page ``asked`` for: only its address names a sign-in. Else None.

    A page that only has a sign-in field may be the requested one.
    """
    if not _is_sign_in(shown) or _is_sign_in(asked):
        return None
    reason = f"it led to the sign-in page {public_url(shown)}: {_TO_SIGN_IN}; to scan that page, use its own address"
    return Unread("unreachable", reason, asks_to_sign_in=True)


def is_sign_in_page(*, asked: str, title: str, heading: str) -> bool:
    """Return whether a page that asks for a sign-in calls itself a sign-in page although its address does not.

    It may have been wanted, such as the front page of an application: it is only a remark. The last part of an address
    counts, since ``/login/code`` and ``/login-help`` are other pages than ``/login``.
    """
    says_so = any(_names_sign_in(text) or find_phrase("sign-in", text) for text in (title, heading))
    return says_so and not _ends_in_sign_in(asked)


def _ends_in_sign_in(url: str) -> bool:
    """Return whether a host or the end of a path or route names a sign-in."""
    try:
        parts = urlsplit(url)
        ends = [unquote(text).rstrip("/") for text in (parts.path, parts.fragment)]
        return _names_sign_in(parts.hostname or "") or any(_SIGN_IN_END.search(_words(end)) for end in ends)
    except ValueError:
        return False


def _is_sign_in(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return _names_sign_in(unquote(f"{parts.hostname or ''} {parts.path} {parts.fragment}"))
    except ValueError:
        return False


def _names_sign_in(text: str) -> bool:
    return _SIGN_IN.search(_words(text)) is not None


def _words(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text.lower())


def describe_requests(requests: Iterable[OpenRequest]) -> str:
    """Return a few of the requests in words, with their number; nothing for none."""
    all_ = list(requests)
    shown = [f"{one.kind.lower()} {public_url(one.url)[:_URL_CHARS]}" for one in all_[:_REQUESTS_SHOWN]]
    more = f" and {len(all_) - _REQUESTS_SHOWN} more" if len(all_) > _REQUESTS_SHOWN else ""
    return ", ".join(shown) + more


def _status_line(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _explain(error: str) -> str:
    code = error.removeprefix("net::")
    if code.startswith("ERR_CERT"):
        return f"its certificate is not valid ({code})"
    meaning = _NET_ERRORS.get(code)
    return f"{meaning} ({code})" if meaning else (code or "no document arrived")
