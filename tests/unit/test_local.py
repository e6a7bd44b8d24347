"""Which hosts ``--local`` opens: those of this machine that were given, and no others."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from producer.errors import DependencyMissing
from worker.own_redis.local import local_service, loopback_hosts
from worker.scan.guard import Guard
from worker.scan.settings import ScanSettings


def test_given_addresses_of_this_machine_are_opened_with_their_port() -> None:
    urls = [
        "http://localhost:3000/a",
        "http://localhost:3000/b",
        "https://app.localhost/",
        "http://127.0.0.2/",
        "http://[::1]:8080/",
        "http://192.168.1.7/",
        "https://example.org/",
        "http://localhost.evil.example/",
    ]

    assert loopback_hosts(urls) == ["localhost:3000", "app.localhost:443", "127.0.0.2:80", "::1/128", "loopback"]
    assert loopback_hosts(["https://example.org/"]) == []


@pytest.mark.parametrize(
    ("host", "port", "address", "is_open"),
    [
        ("localhost", 3000, "127.0.0.1", True),
        ("localhost", 3000, "::1", True),
        ("localhost", 6379, "127.0.0.1", False),
        ("127.0.0.1", 3000, "127.0.0.1", False),
        ("localhost", 3000, "10.0.0.1", True),  # what this machine calls localhost is its owner's choice
        ("evil.example", 3000, "127.0.0.1", False),
    ],
)
def test_the_guard_opens_what_it_was_given_and_no_more(host: str, port: int, address: str, is_open: bool) -> None:
    guard = Guard(ScanSettings(allow_hosts=tuple(loopback_hosts(["http://localhost:3000/"]))))

    assert (guard.refuse(host, port, address) is None) == is_open


@pytest.mark.parametrize(
    ("page", "host", "port", "address", "is_open"),
    [
        ("http://localhost:3000/", "localhost", 8000, "127.0.0.1", True),
        ("http://localhost:3000/", "127.0.0.1", 8000, "127.0.0.1", True),
        ("http://localhost:3000/", "::1", 8000, "::1", True),
        ("http://localhost:3000/", "localhost", 6379, "127.0.0.1", False),  # Redis
        ("http://localhost:3000/", "rebound.example", 8000, "127.0.0.1", False),
        ("http://localhost:3000/", "localhost", 8000, "10.0.0.1", False),
        ("http://localhost:3000/", "10.0.0.1", 8000, "10.0.0.1", False),
        ("https://example.org/", "localhost", 8000, "127.0.0.1", False),
        ("http://localhost.example.org/", "localhost", 8000, "127.0.0.1", False),
        (None, "localhost", 8000, "127.0.0.1", False),
    ],
)
def test_a_page_on_this_machine_reaches_its_api_on_another_port(
    page: str | None, host: str, port: int, address: str, *, is_open: bool
) -> None:
    hosts = tuple(loopback_hosts(["http://localhost:3000/"]))
    guard = Guard(ScanSettings(allow_hosts=hosts, closed_ports=(6379,))).for_page(page)

    assert (guard.refuse(host, port, address) is None) == is_open


def test_without_a_temporary_folder_it_says_where_to_put_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    service = local_service({}, [])

    with pytest.raises(DependencyMissing, match=r"temporary folder \(No such file or directory\): free"), service:
        pytest.fail("it started")
