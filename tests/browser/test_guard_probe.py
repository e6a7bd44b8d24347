"""A page cannot reach an address that the guard refuses, through any channel or name."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import unquote

import pytest

from producer.contract import ScanRequest, ScanResult
from tests.support.hostile import GUILTY
from tests.support.site import PAGES, Request, Site, redirect, reply
from worker.own_redis.server import free_port
from worker.scan.engine import ScanEngine, ScanSettings

NAMES = {"inner.test": "127.0.0.1", "allowed.test": "127.0.0.2", "metadata.test": "169.254.169.254"}


class Forbidden(asyncio.DatagramProtocol):
    """A port of 127.0.0.1, TCP and UDP, that records everything it receives."""

    def __init__(self) -> None:
        self.port = 0
        self.arrived: list[str] = []

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.arrived.append(f"UDP {data[:20]!r} from {addr}")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        place = len(self.arrived)
        self.arrived.append("TCP")
        self.arrived[place] = f"TCP {(await reader.read(1000))[:60]!r}"
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAccess-Control-Allow-Origin: *\r\nConnection: close\r\n\r\n"
        )
        await writer.drain()
        writer.close()


@asynccontextmanager
async def forbidden_port() -> AsyncGenerator[Forbidden]:
    place = Forbidden()
    place.port = free_port()  # below the ephemeral ports: of UDP, these may have the same number taken
    server = await asyncio.start_server(place.serve, "127.0.0.1", place.port)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: place, local_addr=("127.0.0.1", place.port)
    )
    async with server:
        yield place
    transport.close()


async def resolve(host: str, port: int) -> Sequence[str]:
    """Resolve the names of this test, and addresses to themselves."""
    del port
    return [NAMES.get(host, "127.0.0.1" if host == "localhost" else host)]


def probing_site(site: Site, hosts: list[str], *, late_ms: int = 1500) -> None:
    """Serve the probe; what goes out late (reports, speculation, WebRTC) has ``late_ms`` before the scan may end."""
    text = (PAGES / "probe.html").read_text().replace("HOSTS", json.dumps(hosts), 1).replace("LATE_MS", str(late_ms), 1)
    policy = {"Content-Security-Policy-Report-Only": f"default-src 'none'; report-uri http://{hosts[0]}/csp"}
    site.add("/probe", reply(text, headers=policy))
    site.add(
        "/probe-worker.js", reply("fetch(decodeURIComponent(location.search.slice(1)))", content_type="text/javascript")
    )
    site.add("/probe-done", reply("done"))
    site.add("/bounce", bounce)


async def bounce(request: Request, writer: asyncio.StreamWriter) -> None:
    await redirect(unquote(request.target.partition("?")[2]))(request, writer)


async def probe(settings: ScanSettings, url: str, *, wait_for: str | None = None) -> ScanResult:
    async with ScanEngine(settings, resolve=resolve) as engine:
        return (await engine.audit(ScanRequest(url=url, deadline_s=40, wait_for=wait_for))).result


@pytest.fixture
def guarded(settings: ScanSettings) -> ScanSettings:
    """Only 127.0.0.2 may be reached."""
    return dataclasses.replace(
        settings, allow_private=False, allow_hosts=("127.0.0.2/32",), load_limit_s=15, max_frame_processes=500
    )


def ways_to(port: int) -> list[str]:
    return [
        *(f"{host}:{port}" for host in ("127.0.0.1", "localhost", "inner.test", "2130706433", "0x7f.1", "127.1")),
        *(f"{host}:{port}" for host in ("[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "metadata.test")),  # noqa: S104  a URL
    ]


async def test_no_channel_of_a_page_reaches_a_forbidden_address(guarded: ScanSettings) -> None:
    async with forbidden_port() as place:
        with Site() as site:
            probing_site(site, ways_to(place.port))
            result = await probe(guarded, site.url("/probe", host="127.0.0.2"), wait_for="#done")

            assert site.seen("/probe-done")
        assert place.arrived == []

    assert result.http_status == 200
    refused = " ".join(result.refused)
    assert all(rule in refused for rule in ("'loopback'", "'unspecified'", "'metadata'"))


async def test_the_probe_would_arrive_if_it_were_allowed(guarded: ScanSettings) -> None:
    async with forbidden_port() as place:
        with Site() as site:
            probing_site(site, [f"127.0.0.1:{place.port}"], late_ms=2500)
            await probe(
                dataclasses.replace(guarded, allow_private=True), site.url("/probe", host="127.0.0.2"), wait_for="#done"
            )

        paths = {line.split("/")[1].split(" ")[0] for line in place.arrived if "GET /" in line or "POST /" in line}
        assert len(paths) >= 16, sorted(paths)
        assert not [line for line in place.arrived if line.startswith("UDP")]


async def test_a_name_that_is_rebound_reaches_nothing(guarded: ScanSettings) -> None:
    answers: list[str] = []

    async def rebind(host: str, port: int) -> Sequence[str]:
        del host, port
        answers.append("127.0.0.1" if answers else "127.0.0.2")
        return answers[-1:]

    async with forbidden_port() as place:
        with Site() as site:
            probing_site(site, [f"rebind.test:{place.port}"])
            async with ScanEngine(guarded, resolve=rebind) as engine:
                request = ScanRequest(url=site.url("/probe", host="rebind.test"), deadline_s=20, wait_for="#done")
                audit = await engine.audit(request)

            assert site.seen("/probe-done")
        assert place.arrived == []

    assert audit.result.http_status == 200
    assert answers[:2] == ["127.0.0.2", "127.0.0.1"]


async def test_a_name_with_one_forbidden_address_among_allowed_ones_is_refused(guarded: ScanSettings) -> None:
    async def both(host: str, port: int) -> Sequence[str]:
        del host, port
        return ["127.0.0.2", "127.0.0.1"]

    with Site() as site:
        async with ScanEngine(guarded, resolve=both) as engine:
            audit = await engine.audit(ScanRequest(url=site.url("/pages/clean.html", host="both.test")))

    assert audit.result.status == "blocked"
    assert "(127.0.0.1): rule 'loopback'" in audit.result.reason
    assert site.requests == []


async def test_a_name_is_looked_up_once_and_that_address_is_used(guarded: ScanSettings) -> None:
    asked: list[str] = []

    async def alternate(host: str, port: int) -> Sequence[str]:
        del port
        asked.append(host)
        return ["127.0.0.2" if len(asked) == 1 else "127.0.0.1"]

    with Site() as site:
        site.add("/twice", GUILTY + "<script>fetch('/again').then(() => fetch('/and-again'))</script>")
        async with ScanEngine(guarded, resolve=alternate) as engine:
            audit = await engine.audit(ScanRequest(url=site.url("/twice", host="pinned.test")))

        assert site.seen("/and-again")
    assert audit.result.status == "scanned"
    assert asked == ["pinned.test"]


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("http://127.0.0.1:{port}/", "loopback"),
        ("http://inner.test:{port}/", "loopback"),
        ("https://inner.test:{port}/", "loopback"),
        ("http://[::1]:{port}/", "loopback"),
        ("http://metadata.test/latest/meta-data", "metadata"),
        ("http://10.255.255.254/", "private"),
    ],
)
async def test_a_page_at_a_forbidden_address_is_blocked_and_the_rule_named(
    guarded: ScanSettings, url: str, rule: str
) -> None:
    async with forbidden_port() as place:
        result = await probe(guarded, url.format(port=place.port))

        assert place.arrived == []
    assert result.status == "blocked"
    assert f"rule {rule!r}" in result.reason


async def test_a_redirect_to_a_forbidden_address_is_blocked(guarded: ScanSettings) -> None:
    async with forbidden_port() as place:
        with Site() as site:
            site.add("/out", redirect(f"http://inner.test:{place.port}/"))
            result = await probe(guarded, site.url("/out", host="127.0.0.2"))

        assert place.arrived == []
    assert result.status == "blocked"


async def test_a_page_that_leaves_for_a_forbidden_address_is_blocked(guarded: ScanSettings) -> None:
    async with forbidden_port() as place:
        with Site() as site:
            site.add("/leave", GUILTY + f"<script>location.href = 'http://127.0.0.1:{place.port}/'</script>")
            result = await probe(guarded, site.url("/leave", host="127.0.0.2"))

        assert place.arrived == []
    assert result.status == "blocked"
    assert result.findings == ()


async def test_a_forbidden_frame_makes_the_page_partial_and_is_named(guarded: ScanSettings) -> None:
    async with forbidden_port() as place:
        with Site() as site:
            frame = f'<iframe title="x" src="http://127.0.0.1:{place.port}/"></iframe>'
            site.add("/framing", GUILTY.replace("</main>", f"{frame}</main>"))
            result = await probe(guarded, site.url("/framing", host="127.0.0.2"))

        assert place.arrived == []
    assert result.status == "partial"
    assert "rule 'loopback'" in result.reason


async def test_a_closed_port_is_not_reached_though_private_addresses_are_allowed(settings: ScanSettings) -> None:
    async with forbidden_port() as place:
        result = await probe(
            dataclasses.replace(settings, closed_ports=(place.port,)), f"http://127.0.0.1:{place.port}/"
        )

        assert place.arrived == []
    assert result.status == "blocked"
    assert "'closed-port'" in result.reason
