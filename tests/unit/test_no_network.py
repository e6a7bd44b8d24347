"""The suite's own guard: nothing in this process reaches beyond loopback."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.support import network


@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "169.254.169.254", "::ffff:192.0.2.1", "2001:db8::1"])
def test_a_connection_to_another_machine_is_refused(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as sock:
        with pytest.raises(OSError, match="the network is off"):
            sock.connect((address, 80))
        with pytest.raises(OSError, match="the network is off"):
            sock.connect_ex((address, 80))


async def test_an_asyncio_connection_to_another_machine_is_refused() -> None:
    with pytest.raises(OSError, match="the network is off"):
        await asyncio.open_connection("192.0.2.1", 80)


def test_a_name_is_not_looked_up() -> None:
    with pytest.raises(socket.gaierror, match="the network is off"):
        socket.getaddrinfo("example.org", 80)


async def test_loopback_is_reached() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async with server:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        writer.close()


def test_this_machines_names_may_be_looked_up() -> None:
    assert network._is_local("localhost")
    assert network._is_local(b"127.0.0.1")
    assert network._is_local(None)
    assert not network._is_local("localhost.example.org")
