"""Receivers of notices: a webhook, and a mail server with STARTTLS and a login; both are real servers on loopback."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class WebhookStub:
    """Collects requests: headers in lower case, and the body. ``answer`` returns the reply by the request's number."""

    answer: Callable[[int], str] = lambda _: "200 OK"
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list[tuple[dict[str, str], bytes]])
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        self.came.append((headers, await reader.readexactly(int(headers["content-length"]))))
        self.arrived.set()
        answer = self.answer(len(self.came))
        if answer:
            writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
            writer.close()


@asynccontextmanager
async def webhook_stub(answer: Callable[[int], str] = lambda _: "200 OK") -> AsyncGenerator[WebhookStub]:
    """Serve until the block ends; for the answer ``""`` nothing is sent."""
    stub = WebhookStub(answer)
    server = await asyncio.start_server(stub.serve, "127.0.0.1", 0)
    stub.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?token=s3cret"
    try:
        yield stub
    finally:
        server.close()


@dataclass
class SmtpStub:
    """A mail server. ``said`` has the received commands, ``mails`` the mails, ``logins`` users and passwords."""

    tls: ssl.SSLContext | None
    refuse: str = ""
    """Answer to DATA's end in place of 250."""
    answers: dict[str, str] = field(default_factory=dict[str, str])
    """Answers to commands, by their first word, or to a line, in place of the usual ones; '' is no answer at all."""
    said: list[str] = field(default_factory=list[str])
    mails: list[str] = field(default_factory=list[str])
    logins: list[str] = field(default_factory=list[str])
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client (RFC 5321, 3207, 4954)."""
        is_encrypted = False

        def say(text: str) -> None:
            writer.write(f"{text}\r\n".encode())

        say("220 mail.test")
        while line := (await reader.readline()).decode().strip():
            word = line.split()[0].upper()
            self.said.append(word)
            answer = self.answers.get(line, self.answers.get(word))
            if answer is not None:
                if answer:
                    say(answer)
            elif word == "EHLO":
                offers = ["AUTH PLAIN"] if is_encrypted else ["STARTTLS"] if self.tls else []
                say("\r\n".join(["250-mail.test", *(f"250-{one}" for one in offers), "250 8BITMIME"]))
            elif word == "STARTTLS" and self.tls:
                say("220 go")
                await writer.drain()
                await writer.start_tls(self.tls)
                is_encrypted = True
            elif word == "AUTH":
                self.logins.append(base64.b64decode(line.split()[2]).decode())
                say("235 in")
            elif word == "DATA":
                say("354 go")
                mail = (await reader.readuntil(b"\r\n.\r\n")).decode()
                self.mails += [] if self.refuse else [mail]
                say(self.refuse or "250 taken")
            elif word == "QUIT":
                say("221 bye")
                break
            else:
                say("250 ok")
        writer.close()


@asynccontextmanager
async def smtp_stub(**options: Any) -> AsyncGenerator[SmtpStub]:
    """Serve until the block ends."""
    stub = SmtpStub(**options)
    server = await asyncio.start_server(stub.serve, "127.0.0.1", 0)
    stub.port = server.sockets[0].getsockname()[1]
    try:
        yield stub
    finally:
        server.close()
