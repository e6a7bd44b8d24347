"""Decides which addresses a scan may reach. Pure: resolves and opens nothing; ``proxy.py`` calls it.

Refused by rule: ``metadata`` (cloud credentials), ``unspecified``, ``loopback``, ``link-local``, ``multicast``,
``private`` (site-local IPv6 too), ``cgnat`` (RFC 6598), ``reserved`` (all others that are not globally reachable by
IANA's special-purpose registries, or unallocated), ``closed-port``. IPv4 inside IPv6 (mapped, compatible, translated,
6to4, Teredo, NAT64) is judged as the IPv4 address it is.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

from producer.contract.addresses import host_of
from worker.scan.settings import ScanSettings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(map(ipaddress.ip_network, texts))


LOOPBACK: Final = "loopback"
"""An entry in the allowed hosts: this machine's other ports, for pages on this machine."""
OPENED_BY_SETTING: Final = frozenset({"loopback", "private", "cgnat"})

# AWS, GCP, Azure and others (also the container endpoint of ECS); Azure's wire server; Alibaba; Oracle. Then on IPv6,
# within the private space: AWS, its EKS; GCP; Oracle; Linode; Scaleway.
_METADATA: Final = frozenset(
    map(
        ipaddress.ip_address,
        (
            *("169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192"),
            *("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:a9fe:a9fe::1"),
            "fd00:42::42",
        ),
    )
)
_RANGES: Final[tuple[tuple[str, tuple[Network, ...]], ...]] = (
    ("unspecified", (ipaddress.ip_network("0.0.0.0/8"), ipaddress.ip_network("::/128"))),
    ("loopback", (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))),
    ("link-local", (ipaddress.ip_network("169.254.0.0/16"), ipaddress.ip_network("fe80::/10"))),
    ("multicast", (ipaddress.ip_network("224.0.0.0/4"), ipaddress.ip_network("ff00::/8"))),
    ("cgnat", (ipaddress.ip_network("100.64.0.0/10"),)),
    (
        "private",
        (
            ipaddress.ip_network("10.0.0.0/8"),
            ipaddress.ip_network("172.16.0.0/12"),
            ipaddress.ip_network("192.168.0.0/16"),
            ipaddress.ip_network("fc00::/7"),
            ipaddress.ip_network("fec0::/10"),
        ),
    ),
    (
        "reserved",
        _networks(
            # Not globally reachable by IANA's IPv4 special-purpose registry; also two anycast addresses of 192.0.0.0/24
            # that are (PCP, TURN), which serve no pages.
            *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
            "240.0.0.0/4",
            # By the IPv6 registry, within the unicast space that IANA allocates.
            *("2001::/23", "2001:db8::/32", "3fff::/20"),
        ),
    ),
)
"""The registries as of November 2026, instead of ``is_global``, which depends on Python's release.

https://www.iana.org/assignments/iana-ipv4-special-registry, …/iana-ipv6-special-registry."""
_UNICAST: Final = ipaddress.ip_network("2000::/3")
"""All allocated IPv6 space; the rest is reserved (https://www.iana.org/assignments/ipv6-address-space)."""
_REACHABLE: Final = _networks(
    *(
        "2001:1::1/128",
        "2001:1::2/128",
        "2001:1::3/128",
        "2001:3::/32",
        "2001:4:112::/48",
        "2001:20::/28",
        "2001:30::/28",
    ),
)
"""Blocks of 2001::/23 that are globally reachable: anycast of PCP, TURN and DNS-SD, AMT, AS112, ORCHIDv2, drones."""
_WRAPPED: Final = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "::ffff:0:0:0/96")))
"""NAT64 (RFC 6052) and IPv4-translated addresses (RFC 2765)."""
_IPV4: Final = 4
_COMPATIBLE: Final = ipaddress.ip_network("::/96")
_NO_IPV4: Final = ipaddress.ip_network("::/112")
"""``::`` and ``::1``, which embed no IPv4 address, and their neighbours."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused address."""

    rule: str
    host: str
    port: int
    address: str

    def describe(self) -> str:
        """Name the rule and the address, and how to allow it if possible."""
        what = f"{self.host}:{self.port}" + (f" ({self.address})" if self.address != self.host else "")
        hint = "; a worker started with SCAN_ALLOW_PRIVATE=1 allows it" if self.rule in OPENED_BY_SETTING else ""
        return f"the guard refused {what}: rule {self.rule!r}{hint}"


class Guard:
    """The rules of one engine."""

    def __init__(self, settings: ScanSettings, *, page: str | None = None) -> None:
        self._settings = settings
        self._allow_private = settings.allow_private
        self._closed_ports = frozenset(settings.closed_ports)
        self._names, self._networks = _read_allowed(settings.allow_hosts)
        self._is_page_on_loopback = LOOPBACK in self._names and is_loopback(host_of(page or ""))

    def for_page(self, url: str | None) -> Guard:
        """Return the guard for a scan of ``url``.

        If ``LOOPBACK`` is allowed and the page is on this machine, it may also reach the machine's other ports, as an
        application calls its API.
        """
        return Guard(self._settings, page=url)

    def refuse(self, host: str, port: int, address: str) -> Refusal | None:
        """Return why a connection to ``address``, to which ``host`` resolved, is refused, or None."""
        rule = rule_of(address)
        if rule is None:
            return None
        is_opened = rule in OPENED_BY_SETTING and (
            self._allow_private
            or (rule == "loopback" and self._is_page_on_loopback and is_loopback(host))
            or self._is_allowed(host, port, ipaddress.ip_address(address.partition("%")[0]))
        )
        if is_opened and port not in self._closed_ports:
            return None
        return Refusal("closed-port" if is_opened else rule, host, port, address)

    def _is_allowed(self, host: str, port: int, address: Address) -> bool:
        host = host.lower().rstrip(".")
        names = {host, f"{host}:{port}"}
        parents = host.split(".")
        names |= {"*." + ".".join(parents[i:]) for i in range(1, len(parents))}
        return bool(names & self._names) or any(address in network for network in self._networks)


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine by name: ``localhost`` or a loopback address; resolves nothing."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return is_localhost(host)


def is_localhost(name: str) -> bool:
    """Return whether a name is reserved for this machine (RFC 6761), such as ``app.localhost.``."""
    return f".{name.lower().rstrip('.')}".endswith(".localhost")


def rule_of(address: str) -> str | None:
    """Return the name of the rule that closes ``address``, None for a globally reachable one."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unreadable"
    real = embedded_ipv4(parsed) or parsed
    if real in _METADATA:
        return "metadata"
    if _is_in(real, _REACHABLE):
        return None
    for rule, networks in _RANGES:
        if _is_in(real, networks):
            return rule
    return None if real.version == _IPV4 or real in _UNICAST else "reserved"


def _is_in(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks if network.version == address.version)


def embedded_ipv4(address: Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address embedded in an IPv6 one, or None."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    is_wrapped = any(address in network for network in _WRAPPED) or (address in _COMPATIBLE and address not in _NO_IPV4)
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if is_wrapped else None


def _read_allowed(entries: tuple[str, ...]) -> tuple[frozenset[str], tuple[Network, ...]]:
    names: set[str] = set()
    networks: list[Network] = []
    for entry in entries:
        try:
            networks.append(ipaddress.ip_network(entry, strict=False))
        except ValueError:
            names.add(entry.strip().lower())
    return frozenset(names), tuple(networks)
