"""Which addresses a scan may reach."""

from __future__ import annotations

import ipaddress

import pytest

from worker.scan.guard import Guard, is_localhost, rule_of
from worker.scan.proxy import resolve_host
from worker.scan.settings import ScanSettings

CLOSED = {
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "::1": "loopback",
    "0.0.0.0": "unspecified",  # noqa: S104  an address to judge, not to bind
    "0.1.2.3": "unspecified",
    "::": "unspecified",
    "10.0.0.1": "private",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.168.1.1": "private",
    "fc00::1": "private",
    "fd12:3456::1": "private",
    "100.64.0.1": "cgnat",
    "169.254.1.1": "link-local",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "169.254.169.254": "metadata",
    "169.254.170.2": "metadata",
    "168.63.129.16": "metadata",
    "100.100.100.200": "metadata",
    "fd00:ec2::254": "metadata",
    "fd00:ec2::23": "metadata",
    "fd20:ce::254": "metadata",
    "fd00:c1::a9fe:a9fe": "metadata",
    "fd00:a9fe:a9fe::1": "metadata",
    "fd00:42::42": "metadata",
    "224.0.0.1": "multicast",
    "ff02::1": "multicast",
    "255.255.255.255": "reserved",
    "240.0.0.1": "reserved",
    "192.0.2.1": "reserved",
    "198.18.0.1": "reserved",
    "2001:db8::1": "reserved",
    "::ffff:127.0.0.1": "loopback",
    "::ffff:10.0.0.1": "private",
    "::ffff:169.254.169.254": "metadata",
    "::127.0.0.1": "loopback",
    "64:ff9b::7f00:1": "loopback",
    "64:ff9b::a9fe:a9fe": "metadata",
    "64:ff9b:1::7f00:1": "reserved",
    "::ffff:0:127.0.0.1": "loopback",
    "fec0::1": "private",
    "192.88.99.1": "reserved",
    "5f00::1": "reserved",
    "2002:7f00:1::": "loopback",
    "2002:a00:1::1": "private",
    "not an address": "unreadable",
}


def test_an_address_that_is_not_public_is_closed_by_a_named_rule() -> None:
    assert {address: rule_of(address) for address in CLOSED} == CLOSED


NOT_REACHABLE = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.0.0.0/29", "192.0.0.8/32", "192.0.0.170/32", "192.0.0.171/32", "192.0.2.0/24", "192.88.99.0/24"),
    *("192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "255.255.255.255/32"),
    *("::/128", "::1/128", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001:2::/48", "2001:10::/28"),
    *("2001:db8::/32", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "4000::/3", "e000::/4"),
)
"""Rows of IANA's special-purpose registries that are not globally reachable, and of IPv6 what is not given out."""
REACHABLE = (
    *("192.31.196.0/24", "192.52.193.0/24", "192.175.48.0/24", "2001:1::1/128", "2001:1::2/128", "2001:1::3/128"),
    *("2001:3::/32", "2001:4:112::/48", "2001:20::/28", "2001:30::/28", "2620:4f:8000::/48", "2a00::/12", "2400::/12"),
)
"""Those that are, and some of what is given out."""


@pytest.mark.parametrize("row", NOT_REACHABLE)
def test_no_address_of_a_registered_block_is_open_whatever_python_knows(row: str) -> None:
    block = ipaddress.ip_network(row)

    assert rule_of(str(block[0])) is not None
    assert rule_of(str(block[-1])) is not None
    assert rule_of(str(block[block.num_addresses // 3])) is not None


@pytest.mark.parametrize("row", REACHABLE)
def test_a_registered_block_that_is_reachable_is_open(row: str) -> None:
    block = ipaddress.ip_network(row)

    assert [rule_of(str(block[at])) for at in (0, -1)] == [None, None]


@pytest.mark.parametrize("name", ["localhost.", "LocalHost.", "app.localhost", "app.localhost.", "localhost"])
async def test_a_name_of_this_machine_is_refused_even_if_no_resolver_knows_it(name: str) -> None:
    addresses = await resolve_host(name, 80)

    assert [Guard(ScanSettings()).refuse(name, 80, address) is not None for address in addresses] == [
        True for _ in addresses
    ]
    assert "127.0.0.1" in addresses


def test_a_name_similar_to_this_machine_s_is_not_taken_for_it() -> None:
    assert [is_localhost(name) for name in ("notlocalhost", "localhost.example", "")] == [False] * 3


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_a_public_address_is_open(address: str) -> None:
    assert rule_of(address) is None


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.1.2.3", "192.168.0.9", "fd12::1", "100.64.0.1"])
def test_the_setting_opens_private_addresses(address: str) -> None:
    guard = Guard(ScanSettings(allow_private=True))

    assert guard.refuse("host", 80, address) is None


@pytest.mark.parametrize("address", ["169.254.169.254", "168.63.129.16", "fe80::1", "224.0.0.1", "0.0.0.0"])  # noqa: S104  the same
def test_no_setting_opens_metadata_or_link_local_addresses(address: str) -> None:
    guard = Guard(ScanSettings(allow_private=True, allow_hosts=("host", "0.0.0.0/0", "::/0")))

    assert guard.refuse("host", 80, address) is not None


@pytest.mark.parametrize("entry", ["intranet.example", "*.example", "intranet.example:8080", "10.1.0.0/16", "10.1.2.3"])
def test_an_allowed_host_is_opened_alone(entry: str) -> None:
    guard = Guard(ScanSettings(allow_hosts=(entry,)))

    assert guard.refuse("Intranet.example", 8080, "10.1.2.3") is None
    assert guard.refuse("other.test", 8080, "10.2.2.3") is not None


def test_a_closed_port_stays_closed_on_private_addresses_only() -> None:
    guard = Guard(ScanSettings(allow_private=True, closed_ports=(6379,)))

    refusal = guard.refuse("localhost", 6379, "127.0.0.1")

    assert refusal is not None
    assert refusal.rule == "closed-port"
    assert guard.refuse("redis.example", 6379, "8.8.8.8") is None


def test_a_refusal_names_rule_host_and_address_and_the_setting_that_allows_it() -> None:
    refusal = Guard(ScanSettings()).refuse("inner.example", 80, "10.0.0.7")

    assert refusal is not None
    assert refusal.describe() == (
        "the guard refused inner.example:80 (10.0.0.7): rule 'private'; "
        "a worker started with SCAN_ALLOW_PRIVATE=1 allows it"
    )


def test_a_refusal_that_no_setting_lifts_names_no_setting() -> None:
    refusal = Guard(ScanSettings()).refuse("169.254.169.254", 80, "169.254.169.254")

    assert refusal is not None
    assert refusal.describe() == "the guard refused 169.254.169.254:80: rule 'metadata'"
