"""Identifies visitors, and refuses forbidden requests before any view runs. Pure ASGI.

A visitor is identified in one of three ways: on loopback, anyone is an operator; by a signed cookie after a sign-in
(``--auth``); by the header of a trusted proxy (``--proxy-header``), which is read only if configured, and only from the
proxy's address. Every change is a POST that needs the role operator and the session's token.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from producer.web.desk import Visitor
from producer.web.sessions import LASTS_S, Session, Sessions
from producer.web.settings import WebSettings, is_loopback

MAX_FORM_BYTES: Final = 4_000_000
MAX_SIGN_IN_BYTES: Final = 64_000
"""Maximum size of a form from somebody who has not signed in."""
FORM_S: Final = 60.0
"""Time for a form to arrive, even over a slow connection."""
MAX_FIELDS: Final = 100
FREE: Final = ("/assets/", "/health", "/sign-in")
"""Paths that need no sign-in."""
_SHARED: Final = ("/assets/", "/health")
"""Paths with the same response for everybody: they begin no session."""
_CHANGES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_NEVER_A_PAGE: Final = 421
"""The status for a Host that is not this machine: whoever sent it must not get a page of this application."""
Form = dict[str, str]
RoleOf = Callable[[str, str], str]
Say = Callable[[Request, int, str], Response]
"""Returns the page that refuses a request with this status and reason."""


class Guard:
    """Wraps the application; ``role_of`` returns the role of a name and proof (``Session.proof``) now, '' for none.

    Browsers get a refusal as a page made by ``say``, programs as a line of text.
    """

    def __init__(self, app: ASGIApp, *, settings: WebSettings, sessions: Sessions, role_of: RoleOf, say: Say) -> None:
        self._app = app
        self._say = say
        self._settings = settings
        self._sessions = sessions
        self._role_of = role_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        session, is_new = self._session(request)
        visitor = self._visitor(request, session)
        scope["state"] |= {"visitor": visitor, "session": session, "sessions": self._sessions}
        scope["state"]["may_view"] = lambda: bool(self._visitor(request, self._session(request)[0]).role)
        refused = await self._refusal(request, session, visitor)
        if isinstance(refused, tuple):
            status, why = refused
            is_page = "text/html" in request.headers.get("accept", "") and status != _NEVER_A_PAGE
            refused = self._say(request, status, why) if is_page else PlainTextResponse(f"{why}\n", status)
        is_shared = request.scope["path"].startswith(_SHARED)  # a cache may give its response to other visitors
        sending = self._with_cookie(request, session, send) if is_new and not is_shared else send
        await (refused or self._app)(scope, receive, sending)

    async def _refusal(self, request: Request, session: Session, visitor: Visitor) -> Response | tuple[int, str] | None:
        path = request.scope["path"]
        if self._settings.is_open and not is_loopback(_host(request.headers.get("host", ""))):
            return _NEVER_A_PAGE, "expected a Host of this machine, such as localhost"  # a foreign name for it
        is_free = path.startswith(FREE)
        if not visitor.role and not is_free:
            return self._to_sign_in(request)
        if request.method in {"GET", "HEAD"}:
            return None
        if request.method not in _CHANGES or not self._is_own(request):
            return 403, "this form was sent from another site"
        try:
            async with asyncio.timeout(FORM_S):
                request.state.form = await _form(request, MAX_FORM_BYTES if visitor.role else MAX_SIGN_IN_BYTES)
        except (TimeoutError, ClientDisconnect):
            return 408, f"the form did not arrive within {FORM_S:g} s"
        except ValueError as error:
            return 413 if "bytes" in str(error) else 400, str(error)
        token = request.state.form.get("token") or request.headers.get("x-csrf-token", "")
        if not self._sessions.is_token(session, token):
            why = "the form's token is missing or belongs to another session"
            return 403, f"{why}: reload the page, then send the form again"
        if not visitor.may_act and path not in {"/sign-in", "/sign-out"}:
            return 403, f"{visitor.name or 'a reader'!r} may only view: changes need the role operator"
        return None

    def _session(self, request: Request) -> tuple[Session, bool]:
        now_s = time.time()
        found = self._sessions.read(request.cookies.get(self._sessions.cookie, ""), now_s=now_s)
        return (found, False) if found else (self._sessions.begin("", "", now_s=now_s), True)

    def _visitor(self, request: Request, session: Session) -> Visitor:
        token = self._sessions.token(session)
        settings = self._settings
        if settings.is_open:
            return Visitor("", "operator", token)
        if settings.proxy_header:
            address = request.client.host if request.client else ""
            named = request.headers.getlist(settings.proxy_header) if settings.is_proxy(address) else []
            name = named[0].strip() if len(named) == 1 else ""  # of several, one may be the visitor's own
            role = ("operator" if name in settings.operators else "reader") if name else ""
            return Visitor(name, role, token)  # pyright: ignore[reportArgumentType]  '' until signed in
        # The file decides, not the cookie: the account may have been removed, or have another role or password now.
        role = self._role_of(session.name, session.proof) if session.role else ""
        return Visitor(session.name, role, token)  # pyright: ignore[reportArgumentType]  the same

    def _to_sign_in(self, request: Request) -> Response | tuple[int, str]:
        if not self._settings.auth:
            return 401, f"the proxy sent no user name in {self._settings.proxy_header!r}, or several"
        if request.method != "GET" or "application/json" in request.headers.get("accept", ""):
            return 401, "sign in first"
        asked = request.scope["path"] + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"{self._settings.prefix}/sign-in?next={quote(asked)}", status_code=303)

    @staticmethod
    def _is_own(request: Request) -> bool:
        """Return whether the browser says that a form was sent from a page of this application."""
        came = request.headers.get("sec-fetch-site")
        if came is not None:
            return came in {"same-origin", "none"}
        origin = request.headers.get("origin")
        return origin is None or origin.partition("://")[2] == request.headers.get("host")

    def _with_cookie(self, request: Request, session: Session, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and not any(
                name.lower() == b"set-cookie" for name, _ in message["headers"]
            ):
                line = cookie_line(request, self._settings, self._sessions, session)
                message = {**message, "headers": [*message["headers"], (b"set-cookie", line.encode())]}
            await send(message)

        return sending


def cookie_line(request: Request, settings: WebSettings, sessions: Sessions, session: Session) -> str:
    """Return the header that sets the session cookie, for TLS alone if the request came over TLS.

    Nothing proves X-Forwarded-Proto, but a visitor who invents it limits only their own cookie.
    """
    schemes = (request.scope["scheme"], request.headers.get("x-forwarded-proto", "").lower())
    secure = "; Secure" if "https" in schemes else ""
    value = f"{sessions.cookie}={sessions.sign(session)}"
    return f"{value}; Path={settings.prefix or '/'}; Max-Age={LASTS_S}; HttpOnly; SameSite=Lax{secure}"


def form_of(request: Request) -> Form:
    """Return the fields of the submitted form."""
    form: Form = request.state.form
    return form


async def _form(request: Request, max_bytes: int) -> Form:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise ValueError(f"the form exceeds {max_bytes:,} bytes")
    text = body.decode("utf-8", "replace")
    return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS))


def _host(header: str) -> str:
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""
