"""Sends a notice to a webhook: one POST to an address that the guard permits.

Signed as https://www.standardwebhooks.com says: ``webhook-id``, ``webhook-timestamp`` and ``webhook-signature``, which
is ``v1,`` and the base64 of HMAC-SHA256 over id, timestamp and body, joined by dots. The id stays the same when a
notice is sent again. Redirects are not followed, no proxy is used, and no message holds the address, which is a secret.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import json
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from producer.contract.distribution import VERSION
from producer.contract.retry_after import read_retry_after
from worker.notices.settings import SLACK
from worker.notices.store import Notice
from worker.notices.text import chat

TIMEOUT_S: Final = 20.0
CONNECT_S: Final = 6.0
"""Time for each address of a host: one that does not answer, such as IPv6 without a route, leaves time for the next."""
_HEAD_BYTES: Final = 16_384
_SECRET: Final = "whsec_"  # noqa: S105  how such keys begin
Refuse = Callable[[str, int, str], str | None]
"""Returns why a host's port at an address must not be connected to, or None."""


class NotSent(Exception):
    """A notice was not accepted; ``again_s`` is the wait that the receiver asked for, if any."""

    def __init__(self, why: str, *, again_s: float | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.again_s = again_s


@dataclass(frozen=True, slots=True)
class Webhook:
    """One address. ``channel`` names it in Redis and logs: a digest, since the address is a secret."""

    address: str = field(repr=False)
    secret: str = field(repr=False)
    environment: str
    refuse: Refuse

    @property
    def channel(self) -> str:
        """Its name."""
        return f"webhook:{sha256(self.address.encode()).hexdigest()[:12]}"

    async def send(self, notice: Notice) -> None:
        """Post the notice; raises ``NotSent``."""
        body = payload(notice, environment=self.environment, for_slack=_is_slack(self.address))
        headers = signed(body, notice.notice_id, self.secret, at_s=int(time.time()))
        try:
            async with asyncio.timeout(TIMEOUT_S):
                status, again_s = await self._post(body, headers)
        except TimeoutError:
            raise NotSent(f"no answer within {TIMEOUT_S:g} s") from None
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise NotSent(_reason(error)) from None
        if not 200 <= status < 300:  # noqa: PLR2004  success, RFC 9110
            raise NotSent(f"it answered {status}", again_s=again_s)

    async def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int, float | None]:
        parts = urlsplit(self.address.removeprefix(SLACK))
        host, is_tls = parts.hostname or "", parts.scheme == "https"
        port = parts.port or (443 if is_tls else 80)
        reader, writer = await self._connect(host, port, is_tls=is_tls)
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            sent = {"Host": parts.netloc, "Content-Length": str(len(body)), "Connection": "close", **headers}
            head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
            writer.write(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode("ascii") + body)
            await writer.drain()
            return await _answer(reader)
        finally:
            writer.close()

    async def _connect(
        self, host: str, port: int, *, is_tls: bool
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the first address that the guard allows and that answers; raises ``NotSent``, ``OSError``."""
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        why: str | OSError = "its host has no address"
        for *_, place in found:
            where = str(place[0])
            if refused := self.refuse(host, port, where):
                why = f"{refused}; to permit a private host, add it to NOTIFY_ALLOW_HOSTS"
                continue
            try:
                context = ssl.create_default_context() if is_tls else None
                name = host if is_tls else None
                async with asyncio.timeout(CONNECT_S):
                    return await asyncio.open_connection(
                        where, port, limit=_HEAD_BYTES, ssl=context, server_hostname=name
                    )
            except TimeoutError:
                why = f"{where} accepted no connection within {CONNECT_S:g} s"
            except OSError as error:
                why = error
        raise why if isinstance(why, OSError) else NotSent(why)


def payload(notice: Notice, *, environment: str, for_slack: bool = False) -> bytes:
    """Return the body: ``text`` alone for Slack, else also the events."""
    text = {"text": chat(notice, environment=environment)}
    about = {"v": 1, "id": notice.notice_id, "environment": environment, "event": notice.event, "count": notice.count}
    document = text if for_slack else {**about, "events": list(notice.events), **text}
    return json.dumps(document).encode()


def signed(body: bytes, notice_id: str, secret: str, *, at_s: int) -> dict[str, str]:
    """Return the headers of a notice, signed where there is a secret."""
    about = {"webhook-id": notice_id, "webhook-timestamp": str(at_s)}
    headers = {"Content-Type": "application/json", "User-Agent": f"sightline/{VERSION}", **about}
    if secret:
        message = b".".join([notice_id.encode(), str(at_s).encode(), body])
        digest = hmac.new(key_of(secret), message, sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers


def key_of(secret: str) -> bytes:
    """Return the key: the bytes after ``whsec_``, else the secret itself."""
    if secret.startswith(_SECRET):
        try:
            return base64.b64decode(secret.removeprefix(_SECRET), validate=True)
        except binascii.Error:
            pass
    return secret.encode()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, float | None]:
    """Return the status, and the seconds of Retry-After; answers before the final one are skipped."""
    while True:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        version, _, rest = head[0].partition(" ")
        if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
            raise ValueError("it does not speak HTTP")
        status = int(rest[:3])
        if status >= 200 or status == 101:  # noqa: PLR2004  101 switches protocols, and is the last
            break
    named = (line.partition(":")[::2] for line in head[1:])
    asked = next((value.strip() for name, value in named if name.strip().lower() == "retry-after"), "")
    return status, read_retry_after(asked) if asked else None


def _is_slack(address: str) -> bool:
    return address.startswith(SLACK) or urlsplit(address).hostname == "hooks.slack.com"


def _reason(error: Exception) -> str:
    if isinstance(error, asyncio.IncompleteReadError | asyncio.LimitOverrunError):
        return "it closed the connection without an answer"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or type(error).__name__}"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error)[:200]
