"""A model host behind TLS and a proxy that wants a bearer token, which is read for each call."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import worker.models.ollama.http
from producer.errors import ModelUnreachable, SettingsError
from tests.support.site import AUTHORITY, VOUCHED
from worker.models.ollama.http import OllamaClient, read_token
from worker.settings import WorkerSettings


@asynccontextmanager
async def proxy(wanted: str) -> AsyncGenerator[str]:
    """A TLS server that answers with a version where the token is ``wanted``."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        status, body = ("200 OK", b'{"version": "0.32.0"}') if f"bearer {wanted}\r" in head else ("401 No", b"{}")
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(VOUCHED)
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_token_is_sent_and_one_that_expired_is_replaced_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.models.ollama.http, "trusted", lambda: ssl.create_default_context(cafile=str(AUTHORITY)))
    file = tmp_path / "token"
    async with proxy("t0ken2") as url:
        settings = WorkerSettings.from_env({"OLLAMA_BASE_URL": url, "OLLAMA_TOKEN_FILE": str(file)})
        client = OllamaClient(settings.ollama_hosts[0])
        try:
            with pytest.raises(ModelUnreachable, match="cannot be read: No such file or directory"):
                await client.version()
            file.write_text("t0ken1")
            with pytest.raises(ModelUnreachable, match=r"refuses the login \(401\): No; renew the token") as refused:
                await client.version()
            file.write_text("t0ken2\n")

            assert await client.version() == "0.32.0"
        finally:
            await client.close()
    assert "t0ken1" not in str(refused.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_token_is_read_from_a_file_with_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "token"
    file.write_text("t0ken\r\n", encoding=encoding)

    assert read_token(str(file)) == "t0ken"


def test_a_token_goes_to_hosts_behind_tls_only() -> None:
    urls = "http://gpu1:11434,https://gpu2.example"
    hosts = WorkerSettings.from_env({"OLLAMA_BASE_URL": urls, "OLLAMA_TOKEN_FILE": "/run/token"}).ollama_hosts

    assert [host.token_file for host in hosts] == ["", "/run/token"]
    with pytest.raises(SettingsError, match="no https:// host: the token needs TLS"):
        WorkerSettings.from_env({"OLLAMA_TOKEN_FILE": "/run/token"})
