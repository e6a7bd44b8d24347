"""Sitemaps and robots.txt behind a login, of previews, and of servers that ask to wait or never end."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from itertools import count, repeat
from typing import Any

import pytest

from producer.cli.scan.options import ScanOptions
from producer.cli.scan.submit import ScanPlan
from producer.cli.scan.targets import Targets, read_targets
from producer.client.submission import prepare
from producer.contract import JsonObject
from producer.errors import InputError, PageUnreachable, SightlineError
from producer.sitemaps import download, robots
from producer.sitemaps.site_login import SiteLogin
from tests.support.site import AUTHORITY, VOUCHED, Site, reply
from tests.support.small_site import Answer, SmallSite, sitemap_index, small_site, urlset

BASIC = f"Basic {b64encode(b'user:se/c:ret').decode()}"
USER_INFO = "user:se%2Fc:ret@"


def for_those_who_log_in(body: bytes, name: str = "Authorization", value: str = BASIC) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        is_in = request.headers.get(name) == value
        request.send_response(200 if is_in else 401)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


def targets_of(*sitemaps: str, secrets: JsonObject | None = None, **options: object) -> Targets:
    return read_targets([], None, ScanOptions(sitemaps=sitemaps, **options), secrets)  # type: ignore[arg-type]  # a test's


def test_user_info_opens_robots_and_sitemaps_and_goes_to_the_pages(site: SmallSite) -> None:
    site.files = {
        "/robots.txt": for_those_who_log_in(f"Sitemap: {site.url}/i.xml\nUser-agent: *\nDisallow: /no\n".encode()),
        "/i.xml": for_those_who_log_in(sitemap_index("s.xml")),
        "/s.xml": for_those_who_log_in(urlset("/a", "/no")),
    }

    targets = targets_of(f"http://{USER_INFO}{site.host}")
    plan = ScanPlan(targets.urls, {}, "b", with_login=targets.with_login)
    job = prepare("scan", next(iter(plan.payloads())))

    assert targets.urls == (f"{site.url}/a",)
    assert json.loads(job.payload) == {"url": f"{site.url}/a"}
    assert json.loads(job.secrets[1]) == {"Authorization": BASIC}
    kept = f"{targets!r} {plan!r} {job!r} {list(plan.job_ids())} {job.payload}"
    assert "se/c" not in kept
    assert "se%2F" not in kept


@pytest.mark.parametrize(
    ("secrets", "name", "value"),
    [
        ({"headers": {"X-Key": "grün"}}, "X-Key", "grün".encode().decode("latin-1")),
        ({"cookies": [{"name": "a", "value": "b"}]}, "Cookie", "a=b"),
        ({"storage_state": {"cookies": [{"name": "a", "value": "b", "domain": "127.0.0.1"}]}}, "Cookie", "a=b"),
    ],
)
def test_a_login_file_opens_sitemaps_too(site: SmallSite, secrets: JsonObject, name: str, value: str) -> None:
    site.files = {"/s.xml": for_those_who_log_in(urlset("/a"), name, value)}

    assert targets_of(f"{site.url}/s.xml", secrets=secrets).urls == (f"{site.url}/a",)
    with pytest.raises(PageUnreachable, match="answers 401 Unauthorized: give a login with --header-file"):
        targets_of(f"{site.url}/s.xml")


def test_a_login_goes_to_no_other_origin_not_even_by_a_redirect_or_an_index(site: SmallSite) -> None:
    with small_site() as other:
        # One host, two ports: another origin, and another site, which is not even asked.
        site.files = {
            "/i.xml": sitemap_index(f"{other.url}/s.xml"),
            "/r.xml": (302, {"Location": f"{other.url}/x"}, b""),
        }
        for name in ("i", "r"):
            with pytest.raises(SightlineError):
                targets_of(f"http://{USER_INFO}{site.host}/{name}.xml", secrets={"headers": {"X-Key": "1"}})

    assert other.asked == []


def test_headers_are_for_the_origin_alone() -> None:
    login = SiteLogin("https://shop.example", {"X": "1"}, [{"name": "a", "value": "b", "domain": ".shop.example"}])

    assert login.headers_for("https://shop.example/s.xml") == {"X": "1", "Cookie": "a=b"}
    for url in (
        "http://shop.example/",
        "https://www.shop.example/",
        "https://shop.example:8443/",
        "https://shop.example.io/",
    ):
        assert login.headers_for(url) == {}


@pytest.mark.parametrize(
    ("cookie", "is_sent"),
    [
        ({"domain": "shop.example"}, True),
        ({"domain": "example"}, False),
        ({"domain": ".example"}, True),
        ({"domain": "hop.example"}, False),
        ({"path": "/maps"}, True),
        ({"path": "/map"}, False),
        ({"path": "/maps/"}, True),
        ({"expires": 1}, False),
        ({"expires": -1}, True),
        ({"url": "https://other.example/"}, False),
    ],
)
def test_a_cookie_goes_where_a_browser_would_send_it(cookie: JsonObject, is_sent: bool) -> None:
    login = SiteLogin("https://shop.example", {}, [{"name": "a", "value": "b", **cookie}])

    assert bool(login.headers_for("https://shop.example/maps/s.xml")) is is_sent


def test_two_logins_of_one_origin_are_refused_and_neither_is_shown() -> None:
    targets = read_targets(["http://a:s3cret@h.example/1", "http://b:hidd3n@h.example/2"], None)

    assert targets.urls == ("http://h.example/1",)
    assert targets.refused[0].problem == "'http://h.example/2' has two logins: scan with one login at a time"


@pytest.mark.parametrize(
    "text", ["http://u:s3cret@", "http://u:s3/cret@h.example:x/", "ftp://u:s3cret@h.example/", "http://u:s3cret@h x/"]
)
def test_an_invalid_address_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(InputError) as alone:
        read_targets([text], None)
    [refused] = read_targets([text, "http://h.example/"], None).refused

    assert "s3" not in f"{alone.value} {refused.url} {refused.problem}"


def test_a_preview_is_scanned_for_the_production_site_that_its_sitemap_names(site: SmallSite) -> None:
    live = "https://www.shop.example"
    site.files = {"/robots.txt": f"Sitemap: {live}/s.xml".encode(), "/s.xml": urlset(f"{live}/", f"{live}/tea")}

    targets = targets_of(site.url, sitemap_replace=(f"{live}={site.url}/",))

    assert targets.urls == (f"{site.url}/", f"{site.url}/tea")
    with pytest.raises(InputError, match="--sitemap-replace 'preview': expected FROM=TO, such as https"):
        targets_of(site.url, sitemap_replace=("preview",))


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("is_date", [True, False])
def test_a_server_that_asks_to_wait_is_asked_again(site: SmallSite, status: int, *, is_date: bool) -> None:
    busy = count()

    def answer(request: BaseHTTPRequestHandler) -> None:
        is_busy = next(busy) == 0
        body = b"" if is_busy else urlset("/a")
        request.send_response(status if is_busy else 200)
        soon = format_datetime(datetime.now(UTC) + timedelta(seconds=1), usegmt=True)
        request.send_header("Retry-After", soon if is_date else "0")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    site.files = {"/s.xml": answer}

    assert targets_of(f"{site.url}/s.xml").urls == (f"{site.url}/a",)
    assert site.asked.count("/s.xml") == 2


@pytest.mark.parametrize("how", ["ca", "insecure"])
def test_a_sitemap_is_read_from_a_server_whose_certificate_is_trusted_for_the_pages(how: str) -> None:
    with Site(tls=VOUCHED) as staging:
        url = staging.add("/s.xml", reply(urlset(staging.url("/a")), content_type="application/xml"))
        trusted: dict[str, Any] = {"ca": AUTHORITY.read_text()} if how == "ca" else {"insecure": True}

        assert targets_of(url, ignore_robots=True, **trusted).urls == (staging.url("/a"),)
        with pytest.raises(PageUnreachable, match="certificate"):
            targets_of(url, ignore_robots=True)


def test_a_wait_that_is_too_long_is_reported(site: SmallSite) -> None:
    site.files = {"/s.xml": (503, {"Retry-After": "3600"}, b""), "/t.xml": (503, {"Retry-After": "soon"}, b"")}

    with pytest.raises(PageUnreachable, match="answers 503 Service Unavailable and asks to wait 3,600 s: too long"):
        targets_of(f"{site.url}/s.xml")
    with pytest.raises(PageUnreachable, match=r"answers 503 Service Unavailable$"):
        targets_of(f"{site.url}/t.xml")


def test_a_server_that_is_always_busy_is_given_up(site: SmallSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "WAITS_S", 0.6)
    site.files = {"/s.xml": (429, {"Retry-After": "0"}, b"")}

    with pytest.raises(PageUnreachable, match="answers 429"):
        targets_of(f"{site.url}/s.xml")
    assert site.asked.count("/s.xml") == 2


DRIPS_S = 30.0


@contextmanager
def endless(*pieces: bytes) -> Generator[str]:
    """A server that sends the first piece and then the second one for ``DRIPS_S``, or until its reader goes."""
    over = threading.Event()

    def serve(listening: socket.socket) -> None:
        while not over.is_set():
            try:
                connected, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=drip, args=(connected,), daemon=True).start()

    def drip(connected: socket.socket) -> None:
        first, again = pieces
        with connected:
            try:
                connected.recv(9_999)
                for piece in (first, *repeat(again, int(DRIPS_S / 0.05))):
                    connected.sendall(piece)
                    if over.wait(0.05):
                        return
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        over.set()
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 OK\r\nX-A: ", b"a"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HT", b"T"),
        (b"HTTP/1.1 200 OK\r\n\r\n<urlset>", b" "),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    ],
)
def test_an_endless_download_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch, pieces: tuple[bytes, bytes]) -> None:
    monkeypatch.setattr(download, "HEAD_S", 0.3)
    monkeypatch.setattr(download, "DEADLINE_S", 0.3)

    begun = time.monotonic()

    with endless(*pieces) as url, pytest.raises(PageUnreachable, match=r"was not complete within 0\.3 s"):
        targets_of(f"{url}/s.xml", ignore_robots=True)

    assert time.monotonic() - begun < DRIPS_S / 2  # only the server's end would have ended it


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"HTTP/1.1 200 OK\r\nX-A: ", b"a"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\nUser-agent: *", b" "),
    ],
)
def test_a_robots_txt_that_never_ends_is_named_and_not_the_sitemap_that_is_open_meanwhile(
    site: SmallSite, monkeypatch: pytest.MonkeyPatch, first: bytes, again: bytes
) -> None:
    over = threading.Event()

    def drip(request: BaseHTTPRequestHandler) -> None:
        with contextlib.suppress(OSError):
            for piece in (first, *repeat(again, 400)):
                request.wfile.write(piece)
                if over.wait(0.05):
                    return

    monkeypatch.setattr(download, "HEAD_S", 0.5)
    monkeypatch.setattr(download, "DEADLINE_S", 5.0)
    monkeypatch.setattr(robots, "BODY_S", 0.5)
    site.files = {"/s.xml": urlset(f"{site.url}/a"), "/robots.txt": drip}

    said = r"/s.xml' lists nothing to scan: .*/robots.txt' could not be loaded: it was not complete within 0\.5 s$"
    with pytest.raises(InputError, match=said):
        targets_of(f"{site.url}/s.xml")
    over.set()
