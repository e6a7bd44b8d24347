"""The outermost layer: the path prefix, security headers, and one line of JSON per request. Pure ASGI."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)


class Edge:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, *, prefix: str, log: Callable[[str], object] | None) -> None:
        self._app = app
        self._prefix = prefix
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = origin_form(str(scope["path"]))
        scope = {**scope, "path": asked}
        if self._prefix and (asked == self._prefix or asked.startswith(f"{self._prefix}/")):
            scope = {**scope, "path": asked.removeprefix(self._prefix) or "/"}
        scope.setdefault("state", {})
        began = time.monotonic()
        seen: MutableMapping[str, Any] = {"status": 0, "bytes": 0, "first_ms": 0.0}

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen["status"] = message["status"]
                seen["first_ms"] = (time.monotonic() - began) * 1000
                given = {name.lower() for name, _ in message["headers"]}
                extra = [*HEADERS, (b"server-timing", f"app;dur={seen['first_ms']:.1f}".encode())]
                if b"cache-control" not in given:
                    extra.append((b"cache-control", b"no-store"))
                message = {**message, "headers": [*message["headers"], *extra]}
            elif message["type"] == "http.response.body":
                seen["bytes"] += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            if self._log is not None:
                self._log(self._line(scope, asked, seen, began))

    @staticmethod
    def _line(scope: Scope, asked: str, seen: MutableMapping[str, Any], began: float) -> str:
        visitor = scope["state"].get("visitor")
        client = scope.get("client")
        fields = {
            "event": "web.request",
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "method": scope["method"],
            "path": asked[:500],
            "status": seen["status"],
            "ms": round((time.monotonic() - began) * 1000, 1),
            "bytes": seen["bytes"],
            "visitor": visitor.name if visitor else "",
            "from": client[0] if client else "",
        }
        return json.dumps(fields)


def origin_form(path: str) -> str:
    """Return the path of a request target, which a proxy may send with scheme and host (RFC 9112, 3.2.2)."""
    if not path.startswith(("http://", "https://")):
        return path
    _, _, rest = path.partition("://")
    return f"/{rest.partition('/')[2]}"
