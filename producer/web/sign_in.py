"""Sign-in with name and password, and sign-out."""

from __future__ import annotations

import asyncio
import time

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from producer.web.accounts import Accounts, Tries
from producer.web.desk import Desk, Shown
from producer.web.guard import cookie_line, form_of
from producer.web.sessions import Session, Sessions


class SignIn:
    """The sign-in views; ``scrypt`` runs in a thread, one at a time, so that a flood of requests takes only 32 MB."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._tries = Tries()
        self._one = asyncio.Semaphore(1)

    async def form(self, desk: Desk, request: Request) -> Shown:
        """Show the form."""
        del desk
        facts = {"next": own_path(request.query_params.get("next", "")), "why": ""}
        return Shown("sign_in.html.jinja", "Sign in", facts)

    async def sign_in(self, desk: Desk, request: Request) -> Shown | Response:
        """Begin a session, or report that name or password is wrong, without saying which."""
        form = form_of(request)
        name, onward = form.get("name", "").strip()[:64], own_path(form.get("next", ""))
        whose = (f"name:{name}", f"from:{request.client.host if request.client else ''}")
        async with self._one:  # attempts made at the same time count one after the other
            now_s = time.time()
            if self._tries.is_over(*whose, now_s=now_s):
                why = "Too many failed attempts: wait five minutes."
                return Shown("sign_in.html.jinja", "Sign in", {"next": onward, "why": why}, ("why",), 429)
            account = await asyncio.to_thread(self._accounts.signed_in, name, form.get("password", ""))
            if account is None:
                self._tries.failed(*whose, now_s=now_s)
        if account is None:
            facts = {"next": onward, "why": "The name or password is wrong."}
            return Shown("sign_in.html.jinja", "Sign in", facts, ("why",), 401)
        session = _sessions(request).begin(account.name, account.role, now_s=now_s, proof=account.proof)
        return _onward(desk, request, onward, session)

    @staticmethod
    async def sign_out(desk: Desk, request: Request) -> Response:
        """End the session in this browser."""
        return _onward(desk, request, "/sign-in", _sessions(request).begin("", "", now_s=time.time()))


def own_path(text: str) -> str:
    """Return a path of this application to continue with; '/' for an address elsewhere."""
    is_path = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if is_path and "\\" not in text else "/"


def _sessions(request: Request) -> Sessions:
    sessions: Sessions = request.state.sessions
    return sessions


def _onward(desk: Desk, request: Request, path: str, session: Session) -> Response:
    answer = RedirectResponse(desk.settings.prefix + path, status_code=303)
    cookie = cookie_line(request, desk.settings, _sessions(request), session)
    answer.raw_headers.append((b"set-cookie", cookie.encode()))
    return answer
