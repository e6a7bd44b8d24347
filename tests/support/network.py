"""Turns the network off in the suite: this process can resolve and connect to loopback addresses only.

Child processes (workers, browsers) are not restricted; they are given loopback addresses only.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", ""})


def _text(host: object) -> str:
    return host.decode("ascii", "replace") if isinstance(host, bytes) else str(host or "")


def _is_address(host: object) -> bool:
    """Return whether ``host`` needs no look-up."""
    try:
        ipaddress.ip_address(_text(host).partition("%")[0])
    except ValueError:
        return False
    return True


def _is_local(host: object) -> bool:
    """Return whether ``host``, a name or an address, is this machine."""
    if not _is_address(host):
        return _text(host).lower() in _NAMES
    address = ipaddress.ip_address(_text(host).partition("%")[0])
    return address.is_loopback or address.is_unspecified


@contextmanager
def only_loopback() -> Generator[None]:
    """Refuse every look-up and connection that would leave this machine."""
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def refuse(sock: socket.socket, address: Any) -> None:
        if sock.family in {socket.AF_INET, socket.AF_INET6} and not _is_local(address[0]):
            raise OSError(errno.ENETUNREACH, f"the network is off in the suite: {address!r} is not loopback")

    def guarded_connect(sock: socket.socket, address: Any) -> None:
        refuse(sock, address)
        connect(sock, address)

    def guarded_connect_ex(sock: socket.socket, address: Any) -> int:
        refuse(sock, address)
        return connect_ex(sock, address)

    def guarded_getaddrinfo(host: Any, *rest: Any, **options: Any) -> Any:
        if not _is_local(host) and not _is_address(host):
            raise socket.gaierror(socket.EAI_NONAME, f"the network is off in the suite: {host!r} is not looked up")
        return getaddrinfo(host, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
        yield
