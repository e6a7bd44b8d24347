"""The settings of ``sightline web``: address, path prefix, and who may view and act. Checked once, frozen."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final, Literal

from producer.errors import InputError

Role = Literal["reader", "operator"]
ROLES: Final[tuple[Role, ...]] = ("reader", "operator")
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_HEADER: Final = re.compile(r"[A-Za-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """``auth`` is a file of passwords; ``proxy_header`` names the header in which a proxy sends the user's name.

    ``proxies`` are the addresses from which that header is trusted, ``operators`` the names in it that may act.
    """

    host: str = "127.0.0.1"
    port: int = 8417
    prefix: str = ""
    auth: str = ""
    proxy_header: str = ""
    proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    operators: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether no sign-in is needed: only on loopback."""
        return not self.auth and not self.proxy_header

    def checked(self) -> WebSettings:
        """Return the settings; raises ``InputError`` if they are malformed or would let anyone in."""
        if self.is_open and not is_loopback(self.host):
            msg = (
                f"--host {self.host!r} can be reached from elsewhere: add --auth FILE (passwords and roles), or "
                f"--proxy-header NAME behind a proxy that authenticates users; or keep --host 127.0.0.1"
            )
            raise InputError(msg)
        if self.auth and self.proxy_header:
            raise InputError("--auth and --proxy-header contradict each other: give the one that signs users in")
        if not _PREFIX.fullmatch(self.prefix):
            raise InputError(f"--prefix {self.prefix!r}: expected a path such as /sightline, without a trailing slash")
        if self.proxy_header and not _HEADER.fullmatch(self.proxy_header):
            raise InputError(f"--proxy-header {self.proxy_header!r}: expected a header's name such as X-Forwarded-User")
        for one in self.proxies:
            try:
                ip_network(one, strict=False)
            except ValueError:
                raise InputError(f"--proxy {one!r}: expected an address or a network such as 10.0.0.0/8") from None
        return self

    def is_proxy(self, address: str) -> bool:
        """Return whether a connection from ``address`` comes from a trusted proxy."""
        try:
            came_from = ip_address(address)
        except ValueError:
            return False
        return any(came_from in ip_network(one, strict=False) for one in self.proxies)


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches ``host``."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
