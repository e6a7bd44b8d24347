"""Signed cookies with name, role and expiry, and the token in the visitor's forms. Nothing is stored on the server.

A cookie is ``id.name.role.expiry.proof.signature``, signed with HMAC-SHA-256. Processes that share the key share the
sessions. A visitor who has not signed in has a session without a role, so that the sign-in form also has a token.
``proof`` is a digest of the password's hash in the file: a session ends when its password is changed.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

LASTS_S: Final = 12 * 3600
MAX_COOKIE_CHARS: Final = 600
_FIELDS: Final = 5
"""Fields of a cookie before its signature; those of earlier releases have no proof."""


@dataclass(frozen=True, slots=True)
class Session:
    """``role`` is '' before signing in; ``expires_s`` is Unix time; ``proof`` is ``Account.proof`` at the sign-in."""

    session_id: str
    name: str
    role: str
    expires_s: int
    proof: str = ""


class Sessions:
    """Signs and reads the cookies. ``cookie`` is their name: a browser sends a host's to all ports of it."""

    def __init__(self, key: bytes, *, cookie: str = "") -> None:
        self._key = key
        self.cookie = cookie or f"sightline-{self._digest(b'cookie', '')[:8]}"

    def begin(self, name: str, role: str, *, now_s: float, proof: str = "") -> Session:
        """Return a new session, so that a token from before the sign-in is invalid after it."""
        return Session(secrets.token_hex(16), name, role, int(now_s) + LASTS_S, proof)

    def sign(self, session: Session) -> str:
        """Return the cookie."""
        name = base64.urlsafe_b64encode(session.name.encode()).decode().rstrip("=")
        text = f"{session.session_id}.{name}.{session.role}.{session.expires_s}.{session.proof}"
        return f"{text}.{self._digest(b'session', text)}"

    def read(self, cookie: str, *, now_s: float) -> Session | None:
        """Return the session; None for a cookie that is forged, malformed or too old."""
        text, _, signature = cookie.rpartition(".")
        if len(cookie) > MAX_COOKIE_CHARS or not cookie.isascii():
            return None
        if not hmac.compare_digest(self._digest(b"session", text), signature):
            return None
        fields = text.split(".")
        if len(fields) != _FIELDS or int(fields[3]) < now_s:
            return None
        session_id, name, role, expires, proof = fields
        try:
            named = base64.urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode()
        except (ValueError, binascii.Error):
            return None
        return Session(session_id, named, role, int(expires), proof)

    def token(self, session: Session) -> str:
        """Return the token for forms of this session."""
        return self._digest(b"form", session.session_id + session.name + session.role)

    def is_token(self, session: Session, token: str) -> bool:
        """Return whether ``token`` is this session's token."""
        return token.isascii() and hmac.compare_digest(self.token(session), token)

    def _digest(self, purpose: bytes, text: str) -> str:
        return hmac.new(self._key, purpose + b"\n" + text.encode(), sha256).hexdigest()
