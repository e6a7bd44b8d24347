"""The proxy on the wire: forwarded, changed and refused requests."""

from __future__ import annotations

import _socket
import asyncio
import socket
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from tests.support.site import AUTHORITY
from worker.own_redis.server import free_port
from worker.scan.guard import Guard
from worker.scan.proxy import INLINE_HOST, ScanProxy, origin_of, resolve_host
from worker.scan.relay import reset
from worker.scan.settings import ScanSettings

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OPEN = Guard(ScanSettings(allow_private=True))
LIMIT_S = 60


@asynccontextmanager
async def server(serve: Serve) -> AsyncGenerator[int]:
    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield int(listening.sockets[0].getsockname()[1])
    listening.close()


async def ask(proxy: ScanProxy, request: bytes) -> bytes:
    """Send a request and return all that comes until the proxy closes."""
    async with asyncio.timeout(LIMIT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(request)
        try:
            return await reader.read()
        finally:
            writer.close()


def answering(response: bytes, heard: list[bytes] | None = None) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if heard is not None:
            heard.append(head)
        writer.write(response)
        await writer.drain()
        writer.close()

    return serve


async def test_a_request_goes_on_in_origin_form_without_the_headers_of_its_hop() -> None:
    heard: list[bytes] = []
    serve = answering(b"HTTP/1.1 200 OK\r\nKeep-Alive: x\r\nX-Own: 1\r\n\r\nbody", heard)
    async with server(serve) as port, ScanProxy(OPEN, max_bytes=10**6) as proxy:
        head = f"GET http://127.0.0.1:{port}/a/b?c=d HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode()
        got = await ask(proxy, head + b"Proxy-Connection: keep-alive\r\nUpgrade: h2c\r\nAccept: */*\r\n\r\n")

    assert heard == [b"GET /a/b?c=d HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nConnection: close\r\n\r\n"]
    assert got == b"HTTP/1.1 200 OK\r\nX-Own: 1\r\nConnection: close\r\n\r\nbody"


async def test_a_tunnel_without_tls_is_passed_on_where_an_authority_is_given() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"heard " + await reader.readexactly(5))
        writer.close()

    async with server(serve) as port, ScanProxy(OPEN, max_bytes=10**6, ca=AUTHORITY.read_text()) as proxy:
        got = await ask(proxy, f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\nhello".encode())

    assert got.endswith(b"\r\n\r\nheard hello")


async def test_a_body_goes_up_with_its_request() -> None:
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        heard.append(await reader.readexactly(5))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async with server(serve) as port, ScanProxy(OPEN, max_bytes=10**6) as proxy:
        await ask(proxy, f"POST http://127.0.0.1:{port}/ HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello".encode())

    assert heard == [b"hello"]


async def test_an_interim_answer_is_left_out_before_the_real_one() -> None:
    response = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n\r\nbody"
    async with server(answering(response)) as port, ScanProxy(OPEN, max_bytes=10**6) as proxy:
        got = await ask(proxy, f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\n\r\n".encode())

    assert got == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nbody"


async def test_interim_answers_without_end_are_no_answer() -> None:
    async with (
        server(answering(b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000)) as port,
        ScanProxy(OPEN, max_bytes=10**6) as proxy,
    ):
        got = await ask(proxy, f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\n\r\n".encode())

    assert got == b""
    assert "more than 20 interim responses" in proxy.faults["127.0.0.1", port].reason
    assert not proxy.faults["127.0.0.1", port].is_down


async def test_bytes_of_headers_count_as_received() -> None:
    response = b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2_000 + b"\r\n\r\n"
    async with server(answering(response)) as port, ScanProxy(OPEN, max_bytes=1_000) as proxy:
        with pytest.raises(ConnectionResetError):
            await ask(proxy, f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\n\r\n".encode())

    assert proxy.is_over_budget


async def test_a_tunnel_carries_bytes_both_ways() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readexactly(4))[::-1])
        await writer.drain()
        writer.close()

    async with server(echo) as port, ScanProxy(OPEN, max_bytes=10**6) as proxy:
        got = await ask(proxy, f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\nping".encode())

    assert got == b"HTTP/1.1 200 Connection established\r\n\r\ngnip"


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET / HTTP/1.1",
        b"GET /etc/passwd HTTP/1.1",
        b"GET file:///etc/passwd HTTP/1.1",
        b"GET ftp://127.0.0.1/ HTTP/1.1",
        b"GET http:/// HTTP/1.1",
        b"GET http://127.0.0.1:99999/ HTTP/1.1",
        b"CONNECT  HTTP/1.1",
        b"nonsense",
        b"GET http://127.0.0.1/ HTTP/1.1\r\nX: " + b"x" * 300_000,
    ],
)
async def test_a_request_that_no_browser_sends_to_a_proxy_gets_no_response(request_line: bytes) -> None:
    async with ScanProxy(OPEN, max_bytes=10**6) as proxy:
        try:
            got = await ask(proxy, request_line + b"\r\n\r\n")
        except ConnectionResetError:
            got = b""

    assert got == b""


async def test_a_refused_address_is_recorded_once_and_not_connected_to() -> None:
    heard: list[bytes] = []
    async with (
        server(answering(b"", heard)) as port,
        ScanProxy(Guard(ScanSettings()), max_bytes=10**6) as proxy,
    ):
        for line in (
            "GET http://127.0.0.1:{}/ HTTP/1.1",
            "CONNECT 127.0.0.1:{} HTTP/1.1",
            "GET http://127.0.0.1:{}/x H/1",
        ):
            got = await ask(proxy, f"{line.format(port)}\r\n\r\n".encode())
            assert got == b"" or got.startswith(b"HTTP/1.1 403 ")

    assert heard == []
    assert [(refusal.rule, refusal.port) for refusal in proxy.refusals] == [("loopback", port)]
    assert proxy.faults["127.0.0.1", port].refusal == proxy.refusals[0]


async def test_a_server_that_is_not_there_is_a_fault_without_a_refusal() -> None:
    port = free_port()

    async with ScanProxy(OPEN, max_bytes=10**6) as proxy:
        await ask(proxy, f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\n\r\n".encode())

    assert proxy.refusals == []
    assert "connection refused" in proxy.faults["127.0.0.1", port].reason


async def test_a_name_that_does_not_resolve_is_a_fault_that_names_it() -> None:
    async def nothing(host: str, port: int) -> Sequence[str]:
        del host, port
        return []

    async with ScanProxy(OPEN, nothing, max_bytes=10**6) as proxy:
        await ask(proxy, b"GET http://no.such.name/ HTTP/1.1\r\n\r\n")

    assert proxy.faults["no.such.name", 80].reason == "the name 'no.such.name' does not resolve: no address"


async def test_nothing_more_comes_through_once_the_budget_is_spent() -> None:
    response = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 500_000
    async with server(answering(response)) as port, ScanProxy(OPEN, max_bytes=100_000) as proxy:
        request = f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\n\r\n".encode()
        try:
            got = await ask(proxy, request)
        except ConnectionResetError:
            got = b""
        again = await ask(proxy, request)

    assert len(got) <= 200_000
    assert again == b""
    assert proxy.is_over_budget


async def test_a_connection_that_the_server_broke_off_is_broken_off_for_the_browser() -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        await writer.drain()
        reset(writer)

    async with server(break_off) as port, ScanProxy(OPEN, max_bytes=10**6) as proxy:
        with pytest.raises(ConnectionResetError):
            await ask(proxy, f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\n\r\n".encode())


async def test_a_browser_that_goes_away_in_the_middle_leaves_no_error() -> None:
    errors: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(str(context)))
    sent = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
        except OSError:
            sent.set()
            writer.close()

    async with server(endless) as port, ScanProxy(OPEN, max_bytes=10**9) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\n\r\n".encode())
        await reader.readexactly(1000)
        reset(writer)
        await asyncio.wait_for(sent.wait(), LIMIT_S)

    assert errors == []


async def test_an_answer_that_is_no_http_is_not_passed_on() -> None:
    async with server(answering(b"+PONG\r\n\r\n")) as port, ScanProxy(OPEN, max_bytes=10**6) as proxy:
        try:
            got = await ask(proxy, f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\n\r\n".encode())
        except ConnectionResetError:
            got = b""

    assert got == b""


async def test_a_page_given_as_html_is_answered_here_and_only_when_there_is_one() -> None:
    request = f"GET http://{INLINE_HOST}/ HTTP/1.1\r\n\r\n".encode()

    async def nowhere(host: str, port: int) -> Sequence[str]:
        raise OSError(-2, f"{host}:{port} is unknown")

    async with ScanProxy(OPEN, nowhere, max_bytes=10**6, inline_html="<p>grüße") as proxy:
        given = await ask(proxy, request)
    async with ScanProxy(OPEN, nowhere, max_bytes=10**6) as proxy:
        missing = await ask(proxy, request)

    assert given.endswith("\r\n\r\n<p>grüße".encode())
    assert b"text/html; charset=utf-8" in given
    assert missing == b""


async def test_closing_the_proxy_ends_what_is_open() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with server(hang) as port:
        proxy = ScanProxy(OPEN, max_bytes=10**6)
        async with proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")

        async with asyncio.timeout(LIMIT_S):
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(1)
        writer.close()


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://a.example/x", ("a.example", 80)),
        ("https://A.example/", ("a.example", 443)),
        ("https://[::1]:8443/", ("::1", 8443)),
        ("http://a.example./x", ("a.example", 80)),
    ],
)
def test_faults_are_found_by_a_pages_address(url: str, origin: tuple[str, int]) -> None:
    assert origin_of(url) == origin


async def test_the_systems_resolver_knows_this_machine() -> None:
    assert "127.0.0.1" in await resolve_host("localhost", 80)


async def test_names_that_nobody_resolves_let_no_other_scan_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()

    def look_up(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        if host != "fast.example":
            is_over.wait(LIMIT_S)
        return [(0, 0, 0, "", ("192.0.2.1", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    async with ScanProxy(OPEN, max_bytes=10**6) as slow, ScanProxy(OPEN, max_bytes=10**6) as beside:
        asking = [asyncio.create_task(slow._resolve_once(f"{number}.example", 443)) for number in range(200)]
        for _ in range(5):
            await asyncio.sleep(0)  # until the threads have been asked
        try:
            async with asyncio.timeout(LIMIT_S / 2):
                found = await beside._resolve_once("fast.example", 80)
        finally:
            is_over.set()
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    assert list(found) == ["192.0.2.1"]


@pytest.mark.parametrize("host", ["a..example", f"{'a' * 64}.example"])
async def test_a_host_that_no_name_can_be_like_does_not_resolve(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _socket.getaddrinfo)  # not the suite's, which refuses it first
    async with ScanProxy(OPEN, max_bytes=10**6) as proxy:
        answer = await ask(proxy, f"CONNECT {host}:443 HTTP/1.1\r\n\r\n".encode())

        assert answer.startswith(b"HTTP/1.1 502 ")
        assert "does not resolve" in proxy.faults[host, 443].reason
