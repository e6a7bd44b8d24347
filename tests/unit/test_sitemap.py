"""Real-world sitemaps: nested, compressed, looping, broken, hostile. Over real HTTP on loopback."""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import time
import tracemalloc
from http.server import BaseHTTPRequestHandler
from itertools import product
from typing import Any

import pytest

from producer.errors import InputError
from producer.sitemaps import download, sitemap
from producer.sitemaps.search import Search, in_sitemaps
from producer.sitemaps.sitemap import Choice, read_sitemap
from tests.support.rows import check_each
from tests.support.site import PAGES
from tests.support.small_site import SmallSite, sitemap_index, urlset


def redirect(to: str) -> tuple[int, dict[str, str], bytes]:
    return (301, {"Location": to}, b"")


def test_nested_and_packed_sitemaps_give_their_pages_in_order(site: SmallSite) -> None:
    site.files = {
        "/sitemap.xml": sitemap_index(f"{site.url}/a.xml", f"{site.url}/b.xml.gz", f"{site.url}/deeper.xml"),
        "/a.xml": (200, {"Content-Encoding": "gzip"}, gzip.compress(urlset(f"{site.url}/1"))),
        "/b.xml.gz": (200, {"Content-Encoding": "gzip"}, gzip.compress(gzip.compress(urlset(f"{site.url}/2")))),
        "/deeper.xml": sitemap_index(f"{site.url}/c.xml.gz"),
        "/c.xml.gz": gzip.compress(urlset(f"{site.url}/3", f"{site.url}/1")),
    }

    listed = read_sitemap(f"{site.url}/sitemap.xml", Choice())

    assert list(listed.pages) == [f"{site.url}/{number}" for number in (1, 2, 3)]
    assert listed.sitemaps == 5
    assert dict(listed.left_out) == {"listed twice": 1}
    assert not listed.problems


def test_a_sitemap_is_read_over_tls(site: SmallSite, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(PAGES / "self_signed.pem")
    site.server.socket = server.wrap_socket(site.server.socket, server_side=True)
    monkeypatch.setattr(ssl, "_create_default_https_context", ssl._create_unverified_context)
    url = site.url.replace("http:", "https:")
    site.files = {"/sitemap.xml": urlset(f"{url}/page")}

    listed = read_sitemap(f"{url}/sitemap.xml", Choice())

    assert (list(listed.pages), dict(listed.problems)) == ([f"{url}/page"], {})


def test_sitemaps_that_loop_are_read_once_each(site: SmallSite) -> None:
    site.files = {
        "/a.xml": sitemap_index(f"{site.url}/b.xml", f"{site.url}/a.xml"),
        "/b.xml": sitemap_index(f"{site.url}/a.xml", f"{site.url}/c.xml"),
        "/c.xml": urlset(f"{site.url}/page"),
    }

    listed = read_sitemap(f"{site.url}/a.xml", Choice())

    assert list(listed.pages) == [f"{site.url}/page"]
    assert site.asked == ["/a.xml", "/b.xml", "/c.xml"]


def test_an_index_without_end_is_given_up_at_a_depth(site: SmallSite) -> None:
    site.files = {f"/{n}.xml": sitemap_index(f"{site.url}/{n + 1}.xml") for n in range(20)}

    listed = read_sitemap(f"{site.url}/0.xml", Choice())

    assert len(site.asked) == sitemap.MAX_DEPTH
    assert [str(error) for error in listed.problems.values()] == [
        f"'{site.url}/5.xml' is nested more than 5 deep in '{site.url}/0.xml': list it separately"
    ]


def test_patterns_choose_by_path_or_by_whole_address(site: SmallSite) -> None:
    names = ("shop/tea", "shop/print/tea", "blog/1", "shop/search?q=tea")
    site.files["/s.xml"] = urlset(*(f"{site.url}/{name}" for name in names))

    listed = read_sitemap(f"{site.url}/s.xml", Choice(match=("/shop/*",), exclude=("*/print/*", "/*[?]*")))

    assert list(listed.pages) == [f"{site.url}/shop/tea"]
    assert dict(listed.left_out) == {"by --exclude": 2, "that match no --match": 1}


def test_other_sites_are_left_out_and_what_is_no_address_is_a_problem(site: SmallSite) -> None:
    site.files["/s.xml"] = urlset(
        "https://elsewhere.example/", "mailto:a@b.example", f"{site.url}/fine", "http://169.254.169.254/"
    )
    site.files["/i.xml"] = sitemap_index("http://127.0.0.1:9/internal.xml", f"{site.url}/s.xml")

    listed = read_sitemap(f"{site.url}/i.xml", Choice())

    assert list(listed.pages) == [f"{site.url}/fine"]
    assert listed.left_out["of other sites"] == 3
    assert list(listed.problems) == ["mailto:a@b.example"]


def test_addresses_of_one_page_in_several_spellings_are_one_page(site: SmallSite) -> None:
    host = site.host
    site.files["/s.xml"] = urlset(f"http://{host}/straße", f"http://{host}/stra%c3%9fe", f"HTTP://{host}/stra%C3%9Fe")

    listed = read_sitemap(f"{site.url}/s.xml", Choice())

    assert list(listed.pages) == [f"{site.url}/stra%C3%9Fe"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<!DOCTYPE html><html><p>404</p></html>", "is a web page, not a sitemap"),
        (b"  <html></html>", "is a web page, not a sitemap"),
        (b"", "is empty: expected an XML sitemap"),
        (b" \r\n\xef\xbb\xbf", "is empty: expected an XML sitemap"),
        (
            b'{"urls": []}',
            "is not a sitemap: expected an XML sitemap, an RSS or Atom feed, or text with an address per line",
        ),
        (b"Not found", "is not a sitemap"),
        (b" " * 1_200_000 + b"<urlset/>", "begins with more than 1 MB of white space"),
        (b"https://a.example/" + b"a" * 1_200_000, "has a line of more than 1 MB"),
        (b"<svg/>", "is a <svg> document: expected <urlset> or <sitemapindex>, <rss> or <feed>"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><urlset/>', "declares a document type or entities"),
        (b"<urlset><url>", "is incomplete or not XML"),
        (b"\x1f\x8bnot really gzip", "could not be loaded"),
        (b'<?xml version="1.0" encoding="none-such"?><urlset/>', "has an unsupported encoding"),
        (b'<?xml version="1.0" encoding="utf-7"?><urlset/>', "has an unsupported encoding"),
        (b"<urlset>" + b"<a>" * 40, "is nested too deep"),
        (b"<urlset>" + b"".join(b"<a%d/>" % number for number in range(1_001)), "too many kinds of elements"),
        (b"<urlset><!--" + b" " * 1_200_000, "has a tag or comment of more than 1 MB"),
    ],
)
def test_a_page_other_than_a_sitemap_is_reported_with_its_address(site: SmallSite, body: bytes, said: str) -> None:
    site.files["/s.xml"] = body

    [problem] = read_sitemap(f"{site.url}/s.xml", Choice()).problems.values()

    assert said in str(problem)
    assert f"{site.url}/s.xml" in str(problem)


def test_parts_that_break_off_or_are_gone_spoil_no_other(site: SmallSite) -> None:
    whole = urlset(f"{site.url}/1", f"{site.url}/2")
    site.files = {
        "/i.xml": sitemap_index(f"{site.url}/cut.xml", f"{site.url}/gone.xml", f"{site.url}/fine.xml"),
        "/cut.xml": (200, {"Content-Length": str(len(whole))}, whole[: whole.index(b"/2")]),
        "/fine.xml": urlset(f"{site.url}/3"),
    }

    listed = read_sitemap(f"{site.url}/i.xml", Choice())

    assert list(listed.pages) == [f"{site.url}/3"]
    said = [str(error) for error in listed.problems.values()]
    assert "bytes early" in said[0]
    assert said[1] == f"'{site.url}/gone.xml' answers 404 Not Found"


def test_a_bomb_and_a_drip_end_at_their_limits(site: SmallSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", 2_000_000)
    monkeypatch.setattr(download, "DEADLINE_S", 0.3)

    def drip(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(b"<urlset>")
        for _ in range(200):
            request.wfile.write(b" ")
            time.sleep(0.05)  # the other side of the drip, not a wait of the test

    site.files = {"/bomb.xml": gzip.compress(b"<urlset>" + b" " * 50_000_000), "/drip.xml": drip}

    for name, said in (("bomb", "has more than 1 MB"), ("drip", "was not complete within 0.3 s")):
        [problem] = read_sitemap(f"{site.url}/{name}.xml", Choice()).problems.values()
        assert said in str(problem)


def test_a_file_without_valid_entries_takes_no_memory(site: SmallSite) -> None:
    strange, wrong = b"<a/>" * 30_000, b"".join(b"<url><loc>tel:%d</loc></url>" % number for number in range(5_000))
    site.files["/s.xml"] = b"<urlset>" + strange + b"<url>" + strange + b"</url>" + wrong + b"</urlset>"

    tracemalloc.start()
    try:
        listed = read_sitemap(f"{site.url}/s.xml", Choice())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 2_500_000
    assert len(listed.problems) == sitemap.MAX_PROBLEMS
    assert listed.left_out["that are not addresses"] == 5_000 - sitemap.MAX_PROBLEMS


def test_sitemaps_that_are_nested_too_deep_take_no_memory(site: SmallSite) -> None:
    site.files = {f"/{n}.xml": sitemap_index(f"{site.url}/{n + 1}.xml") for n in range(4)}
    site.files["/4.xml"] = sitemap_index(*(f"{site.url}/deep/{n}.xml" for n in range(1_500)))

    listed = read_sitemap(f"{site.url}/0.xml", Choice())

    assert len(listed.problems) == sitemap.MAX_PROBLEMS
    assert listed.left_out["sitemaps that are nested too deep"] == 500


def test_the_body_of_a_redirect_is_not_read(site: SmallSite) -> None:
    def endless(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.1 302 Found\r\nLocation: /new.xml\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(100):
                request.wfile.write(b"x" * 1_000_000)

    site.files = {"/old.xml": endless, "/new.xml": urlset(f"{site.url}/1")}
    tracemalloc.start()
    try:
        listed = read_sitemap(f"{site.url}/old.xml", Choice())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert list(listed.pages) == [f"{site.url}/1"]
    assert peak < 10_000_000


def test_a_host_of_many_addresses_that_do_not_answer_ends_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "HEAD_S", 0.3)
    look_up = socket.getaddrinfo
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as opened:
        for _ in range(4):  # Linux then drops further connections to this port
            filler = opened.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex(full.getsockname())

        def addresses_of(host: str, *about: Any, **options: Any) -> list[Any]:
            return many if host == "shop.example" else look_up(host, *about, **options)

        many: list[Any] = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", full.getsockname())] * 20
        monkeypatch.setattr(socket, "getaddrinfo", addresses_of)
        began_s = time.monotonic()

        [problem] = read_sitemap(f"http://shop.example:{full.getsockname()[1]}/s.xml", Choice()).problems.values()

    assert time.monotonic() - began_s < 3  # six seconds if each address has its own limit
    assert "it was not complete within 0.3 s" in str(problem)


def test_sitemaps_of_one_robots_txt_share_the_limits(site: SmallSite, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "".join(f"Sitemap: {site.url}/{n}.xml\n" for n in range(8))
    site.files = {f"/{n}.xml": urlset(*(f"{site.url}/{n}/{m}" for m in range(3))) for n in range(8)}
    site.files["/robots.txt"] = lines.encode()
    search = Search((f"{site.url}/",))

    monkeypatch.setattr(sitemap, "MAX_PAGES", 10)
    with pytest.raises(InputError, match="more than 10 pages"):
        list(in_sitemaps(search, lambda _: download.Downloads()))

    monkeypatch.undo()
    monkeypatch.setattr(sitemap, "MAX_SITEMAPS", 5)
    with pytest.raises(InputError, match=r"more than 5 sitemaps, up to those in '.*/5\.xml'"):
        list(in_sitemaps(search, lambda _: download.Downloads()))
    assert "/6.xml" not in site.asked


def test_redirects_are_followed_within_the_site_alone(site: SmallSite) -> None:
    site.files = {
        "/old.xml": redirect("/new.xml"),
        "/new.xml": urlset(f"{site.url}/1"),
        "/away.xml": redirect("http://127.0.0.1:9/secret"),
        "/round.xml": redirect("/round.xml"),
        "/ftp.xml": redirect(f"ftp://{site.host}/"),
        "/file.xml": redirect("file:///etc/passwd"),
    }

    assert list(read_sitemap(f"{site.url}/old.xml", Choice()).pages) == [f"{site.url}/1"]
    for name, said in (
        ("away", "redirects to another site"),
        ("file", "301"),
        ("ftp", "redirects to another site"),
        ("round", "301"),
    ):
        [problem] = read_sitemap(f"{site.url}/{name}.xml", Choice()).problems.values()
        assert f"{name}.xml" in str(problem)
        assert said in str(problem)
    assert site.asked.count("/round.xml") < 10


def test_more_pages_than_the_limit_are_refused_whole(site: SmallSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitemap, "MAX_PAGES", 10)
    site.files["/s.xml"] = urlset(*(f"{site.url}/{number}" for number in range(11)))

    with pytest.raises(InputError, match="more than 10 pages: take fewer with --match or --exclude"):
        read_sitemap(f"{site.url}/s.xml", Choice())
    assert len(read_sitemap(f"{site.url}/s.xml", Choice(exclude=("/1*",))).pages) == 9


FEED = (
    '<feed xmlns="http://www.w3.org/2005/Atom"><link rel="self" href="{0}/feed"/><entry><link rel="enclosure" '
    'href="{0}/no"/><link href="{0}/a"/></entry><entry><link rel="alternate" href="/b"/></entry></feed>'
)
RSS = (
    '<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom"><channel><link>{0}/home</link>'
    '<atom:link href="{0}/f"/>'
    "<item><title>A</title><link> {0}/a </link></item><item><link><![CDATA[{0}/b]]></link></item></channel></rss>"
)
RDF = (
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"><channel>'
    "<link>{0}/</link></channel><item><link>{0}/a</link></item><item><link>{0}/b</link></item></rdf:RDF>"
)
XML = '<?xml version="1.0" encoding="UTF-8"?><urlset><url><loc>{0}/a</loc></url><url><loc>{0}/b</loc></url></urlset>'
TEXT = "# our pages\r\n{0}/a\t# the first\r\n\r\n  {0}/b"


ENCODINGS = ("utf-8", "utf-8-sig", "utf-16")
SPACES = ("", "\n", "\r\n \t\r\n", "\n" * 5_000)


def test_every_form_of_the_protocol_is_read_whatever_white_space_comes_first(site: SmallSite) -> None:
    def is_read(row: tuple[str, str, str]) -> None:
        text, before, encoding = row
        if encoding == "utf-16":
            text = text.replace("UTF-8", "UTF-16")
        site.files["/s"] = (before + text.format(site.url)).encode(encoding)

        listed = read_sitemap(f"{site.url}/s", Choice())

        assert (list(listed.pages), listed.problems) == ([f"{site.url}/a", f"{site.url}/b"], {})

    check_each(product((XML, TEXT, FEED, RSS, RDF), SPACES, ENCODINGS), is_read)


def test_a_byte_order_mark_behind_a_blank_line_is_passed(site: SmallSite) -> None:
    site.files["/s.xml"] = b"\n\xef\xbb\xbf\n" + urlset(f"{site.url}/a")

    assert list(read_sitemap(f"{site.url}/s.xml", Choice()).pages) == [f"{site.url}/a"]


def test_comments_before_the_xml_declaration_are_passed(site: SmallSite) -> None:
    site.files["/s.xml"] = b"\n<!-- a -->\n<!-- <?xml? -->" + XML.format(site.url).encode()

    listed = read_sitemap(f"{site.url}/s.xml", Choice())

    assert (list(listed.pages), listed.problems) == ([f"{site.url}/a", f"{site.url}/b"], {})


def test_many_comments_and_spaces_are_read_once(site: SmallSite) -> None:
    site.files["/s.xml"] = b"<!---->" * 9_000 + urlset(f"{site.url}/a").partition(b"\n")[2]
    site.files["/s.txt"] = f"{site.url}/a{' ' * 900_000}b".encode()

    assert list(read_sitemap(f"{site.url}/s.xml", Choice()).pages) == [f"{site.url}/a"]
    assert list(read_sitemap(f"{site.url}/s.txt", Choice()).problems.values())


def test_relative_addresses_are_relative_to_the_file_where_it_was_found(site: SmallSite) -> None:
    site.files = {
        "/s.xml": redirect("/deep/er/s.xml"),
        "/deep/er/s.xml": urlset("/a", "b.html", "../c", f"//{site.host}/d", f"{site.host}/e", "?page=2"),
        "/i.xml": sitemap_index("s.xml"),
    }

    listed = read_sitemap(f"{site.url}/i.xml", Choice())

    paths = ("a", "deep/er/b.html", "deep/c", "d", "e", "deep/er/s.xml?page=2")
    assert list(listed.pages) == [f"{site.url}/{path}" for path in paths]


def test_files_are_left_out_of_the_pages_and_counted(site: SmallSite) -> None:
    files = ("terms.PDF", "a/logo.svg", "all.tar.gz", "film.mp4?t=3", "price-list.xlsx")
    pages = ("v1.2", "File:Cup.jpg", "view?file=terms.pdf", "page.html", "a.pdf/")
    site.files["/s.xml"] = urlset(*(f"{site.url}/{name}" for name in (*files, *pages)))

    listed = read_sitemap(f"{site.url}/s.xml", Choice())

    assert list(listed.pages) == [f"{site.url}/{name}" for name in pages]
    assert listed.left_out == {"that are files, not pages": 5}


def test_the_addresses_of_production_are_replaced_by_those_of_the_preview(site: SmallSite) -> None:
    live = "https://shop.example"
    site.files = {
        "/i.xml": sitemap_index(f"{live}/s.xml"),
        "/s.xml": urlset(f"{live}/", live, f"{live}/a?b#/c", f"{live}.evil.example/", "https://blog.shop.example/x"),
    }

    listed = read_sitemap(f"{site.url}/i.xml", Choice(replaced=((live, site.url),)))

    assert list(listed.pages) == [f"{site.url}/", f"{site.url}/a?b#/c"]
    assert listed.left_out == {"listed twice": 1, "of other sites": 2}


def test_user_info_in_a_sitemap_is_dropped(site: SmallSite) -> None:
    site.files["/s.xml"] = urlset(f"http://editor:s3cret@{site.host}/a")

    assert list(read_sitemap(f"{site.url}/s.xml", Choice()).pages) == [f"{site.url}/a"]
