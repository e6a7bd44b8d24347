"""Sitemaps as they are found in the wild: nested, packed, looping, broken, hostile. Over real HTTP on loopback."""

from __future__ import annotations

import gzip
import time
import tracemalloc
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler

import pytest

from producer import download, sitemap
from producer.cli.scan_run import ScanPlan
from producer.cli.targets import Sitemaps, read_targets
from producer.errors import InputError, PageUnreachable
from producer.sitemap import Choice, read_sitemap
from tests.support.small_site import SmallSite, small_site

XMLNS = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


@pytest.fixture
def site() -> Generator[SmallSite]:
    with small_site() as site:
        yield site


def urlset(*addresses: str) -> bytes:
    entries = "".join(f"<url><loc> {one} </loc><priority>1</priority></url>" for one in addresses)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset {XMLNS}>{entries}</urlset>'.encode()


def index(*addresses: str) -> bytes:
    entries = "".join(f"<sitemap><loc>{one}</loc></sitemap>" for one in addresses)
    return f"<sitemapindex {XMLNS}>{entries}</sitemapindex>".encode()


def redirect(to: str) -> tuple[int, dict[str, str], bytes]:
    return (301, {"Location": to}, b"")


def test_nested_and_packed_sitemaps_give_their_pages_in_order(site: SmallSite) -> None:
    site.files = {
        "/sitemap.xml": index(f"{site.url}/a.xml", f"{site.url}/b.xml.gz", f"{site.url}/deeper.xml"),
        "/a.xml": (200, {"Content-Encoding": "gzip"}, gzip.compress(urlset(f"{site.url}/1"))),
        "/b.xml.gz": (200, {"Content-Encoding": "gzip"}, gzip.compress(gzip.compress(urlset(f"{site.url}/2")))),
        "/deeper.xml": index(f"{site.url}/c.xml.gz"),
        "/c.xml.gz": gzip.compress(urlset(f"{site.url}/3", f"{site.url}/1")),
    }

    listed = read_sitemap(f"{site.url}/sitemap.xml", Choice())

    assert list(listed.pages) == [f"{site.url}/{number}" for number in (1, 2, 3)]
    assert listed.sitemaps == 5
    assert dict(listed.left_out) == {"named twice": 1}
    assert not listed.problems


def test_sitemaps_that_loop_are_read_once_each(site: SmallSite) -> None:
    site.files = {
        "/a.xml": index(f"{site.url}/b.xml", f"{site.url}/a.xml"),
        "/b.xml": index(f"{site.url}/a.xml", f"{site.url}/c.xml"),
        "/c.xml": urlset(f"{site.url}/page"),
    }

    listed = read_sitemap(f"{site.url}/a.xml", Choice())

    assert list(listed.pages) == [f"{site.url}/page"]
    assert site.asked == ["/a.xml", "/b.xml", "/c.xml"]


def test_an_index_without_end_is_given_up_at_a_depth(site: SmallSite) -> None:
    site.files = {f"/{n}.xml": index(f"{site.url}/{n + 1}.xml") for n in range(20)}

    listed = read_sitemap(f"{site.url}/0.xml", Choice())

    assert len(site.asked) == sitemap.MAX_DEPTH
    assert [str(error) for error in listed.problems.values()] == [
        f"'{site.url}/5.xml' is nested more than 5 deep in '{site.url}/0.xml': give it by itself"
    ]


def test_patterns_choose_by_path_or_by_whole_address(site: SmallSite) -> None:
    names = ("shop/tea", "shop/print/tea", "blog/1", "shop/search?q=tea")
    site.files["/s.xml"] = urlset(*(f"{site.url}/{name}" for name in names))

    listed = read_sitemap(f"{site.url}/s.xml", Choice(match=("/shop/*",), exclude=("*/print/*", "/*[?]*")))

    assert list(listed.pages) == [f"{site.url}/shop/tea"]
    assert dict(listed.left_out) == {"by --exclude": 2, "that fit no --match": 1}


def test_other_sites_are_left_out_and_relative_addresses_are_problems(site: SmallSite) -> None:
    site.files["/s.xml"] = urlset(
        "https://elsewhere.example/", "/relative", f"{site.url}/fine", "http://169.254.169.254/"
    )
    site.files["/i.xml"] = index("http://127.0.0.1:9/internal.xml", f"{site.url}/s.xml")

    listed = read_sitemap(f"{site.url}/i.xml", Choice())

    assert list(listed.pages) == [f"{site.url}/fine"]
    assert listed.left_out["of other sites"] == 3
    assert list(listed.problems) == ["/relative"]


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
        (b"https://a.example/\n", "is for --file"),
        (b"<rss><channel/></rss>", "is a <rss> document: expected <urlset> or <sitemapindex>"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><urlset/>', "declares a document type or entities"),
        (b"<urlset><url>", "is not whole, or no XML"),
        (b"\x1f\x8bnot really gzip", "could not be loaded"),
        (b'<?xml version="1.0" encoding="none-such"?><urlset/>', "has an encoding that is not read"),
        (b'<?xml version="1.0" encoding="utf-7"?><urlset/>', "has an encoding that is not read"),
        (b"<urlset>" + b"<a>" * 40, "is nested too deep"),
        (b"<urlset>" + b"".join(b"<a%d/>" % number for number in range(1_001)), "too many kinds of elements"),
        (b"<urlset><!--" + b" " * 1_200_000, "has a tag or comment of more than 1 MB"),
    ],
)
def test_what_is_no_sitemap_is_said_with_its_address(site: SmallSite, body: bytes, said: str) -> None:
    site.files["/s.xml"] = body

    [problem] = read_sitemap(f"{site.url}/s.xml", Choice()).problems.values()

    assert said in str(problem)
    assert f"{site.url}/s.xml" in str(problem)


def test_parts_that_break_off_or_are_gone_spoil_no_other(site: SmallSite) -> None:
    whole = urlset(f"{site.url}/1", f"{site.url}/2")
    site.files = {
        "/i.xml": index(f"{site.url}/cut.xml", f"{site.url}/gone.xml", f"{site.url}/fine.xml"),
        "/cut.xml": (200, {"Content-Length": str(len(whole))}, whole[: whole.index(b"/2")]),
        "/fine.xml": urlset(f"{site.url}/3"),
    }

    listed = read_sitemap(f"{site.url}/i.xml", Choice())

    assert list(listed.pages) == [f"{site.url}/3"]
    said = [str(error) for error in listed.problems.values()]
    assert "broke off" in said[0]
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

    for name, said in (("bomb", "has more than 1 MB"), ("drip", "has not come whole within 0.3 s")):
        [problem] = read_sitemap(f"{site.url}/{name}.xml", Choice()).problems.values()
        assert said in str(problem)


def test_a_file_of_what_is_no_entry_takes_no_memory(site: SmallSite) -> None:
    strange, wrong = b"<a/>" * 30_000, b"".join(b"<url><loc>%d</loc></url>" % number for number in range(5_000))
    site.files["/s.xml"] = b"<urlset>" + strange + b"<url>" + strange + b"</url>" + wrong + b"</urlset>"

    tracemalloc.start()
    try:
        listed = read_sitemap(f"{site.url}/s.xml", Choice())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 2_500_000
    assert len(listed.problems) == sitemap.MAX_PROBLEMS
    assert listed.left_out["that are no addresses"] == 5_000 - sitemap.MAX_PROBLEMS


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
        ("away", "leads to another site"),
        ("file", "301"),
        ("ftp", "leads to another site"),
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


# ---------------------------------------------------------------------------------------------- as targets of a scan


def test_robots_txt_is_honoured_unless_told_otherwise(site: SmallSite) -> None:
    site.files["/robots.txt"] = b"User-agent: *\nDisallow: /private/\nUser-agent: other\nDisallow: /\n"
    site.files["/s.xml"] = urlset(f"{site.url}/public", f"{site.url}/private/x")
    given = Sitemaps((f"{site.url}/s.xml",))

    targets = read_targets([], None, given)
    everything = read_targets([], None, Sitemaps(given.urls, ignore_robots=True))

    assert targets.urls == (f"{site.url}/public",)
    [remark] = targets.remarks
    assert remark.startswith(
        f"{site.url}/s.xml: 1 page of 1 sitemap; left out: 1 by robots.txt (such as {site.url}/private"
    )
    assert remark.endswith("; --ignore-robots takes those too")
    assert len(everything.urls) == 2


@pytest.mark.parametrize(
    ("asked", "gap_ms"),
    [("10", 10_000), ("0.5", 500), ("86400", 60_000), ("-3", 0), ("soon", 0), ("nan", 0), ("1e400", 0)],
)
def test_the_pages_of_a_sitemap_are_as_far_apart_as_robots_txt_asks(site: SmallSite, asked: str, gap_ms: int) -> None:
    site.files["/robots.txt"] = f"User-agent: *\nCrawl-delay: {asked}\n".encode()
    site.files["/s.xml"] = urlset(f"{site.url}/a", f"{site.url}/b")
    given = Sitemaps((f"{site.url}/s.xml",))

    targets = read_targets([f"{site.url}/named"], None, given)
    payloads = list(ScanPlan(targets.urls, {}, "b", gaps_ms=targets.gaps_ms).payloads())

    assert [payload.get("host_gap_ms", 0) for payload in payloads] == [0, gap_ms, gap_ms]
    assert any("asks for" in remark for remark in targets.remarks) is (gap_ms > 0)
    assert read_targets([], None, Sitemaps(given.urls, ignore_robots=True)).gaps_ms == {}
    assert list(ScanPlan(targets.urls, {}, "b").job_ids()) == list(
        ScanPlan(targets.urls, {}, "b", gaps_ms=targets.gaps_ms).job_ids()
    )


@pytest.mark.parametrize(("status", "pages"), [(404, 1), (403, 1), (503, 0)])
def test_a_missing_robots_txt_allows_and_a_failing_one_forbids(site: SmallSite, status: int, pages: int) -> None:
    site.files["/robots.txt"] = (status, {}, b"")
    site.files["/s.xml"] = urlset(f"{site.url}/1")

    targets = read_targets(["https://other.example/"], None, Sitemaps((f"{site.url}/s.xml",)))

    assert len(targets.urls) == 1 + pages


def test_the_address_of_a_site_finds_the_sitemaps_its_robots_txt_names(site: SmallSite) -> None:
    site.files["/robots.txt"] = f"Sitemap: {site.url}/one.xml\nSitemap: {site.url}/two.xml\n".encode()
    site.files["/one.xml"] = urlset(f"{site.url}/1")
    site.files["/two.xml"] = urlset(f"{site.url}/2")

    named = read_targets([], None, Sitemaps((site.url,)))
    site.files = {"/sitemap.xml": urlset(f"{site.url}/3")}
    usual = read_targets([], None, Sitemaps((site.url,)))

    assert named.urls == (f"{site.url}/1", f"{site.url}/2")
    assert usual.urls == (f"{site.url}/3",)


def test_robots_txt_names_no_sitemap_of_another_site(site: SmallSite) -> None:
    elsewhere = f"http://localhost:{site.host.rpartition(':')[2]}/inside.xml"
    named = ("not an address", "file:///etc/passwd", elsewhere, f"{site.url}/one.xml")
    site.files["/robots.txt"] = "".join(f"Sitemap: {one}\n" for one in named).encode()
    site.files["/one.xml"] = urlset(f"{site.url}/1")
    site.files["/inside.xml"] = urlset(elsewhere)

    targets = read_targets([], None, Sitemaps((site.url,)))

    assert targets.urls == (f"{site.url}/1",)
    assert "/inside.xml" not in site.asked


def test_a_broken_sitemap_among_good_ones_is_a_page_not_scanned_and_alone_it_is_the_error(site: SmallSite) -> None:
    site.files["/s.xml"] = urlset(f"{site.url}/1")
    html = f"{site.url}/page"
    site.files["/page"] = b"<!doctype html>"

    targets = read_targets([], None, Sitemaps((html, f"{site.url}/s.xml")))

    assert targets.urls == (f"{site.url}/1",)
    assert [(page.url, page.outcome) for page in targets.refused] == [(html, "refused")]
    with pytest.raises(InputError, match="is a web page, not a sitemap"):
        read_targets([], None, Sitemaps((html,)))
    with pytest.raises(PageUnreachable, match="answers 404"):
        read_targets([], None, Sitemaps((f"{site.url}/none.xml",)))


def test_a_sitemap_of_which_nothing_fits_says_how_much_it_had(site: SmallSite) -> None:
    site.files["/s.xml"] = urlset(f"{site.url}/1", f"{site.url}/2")

    with pytest.raises(
        InputError, match=r"lists nothing to scan: 0 pages of 1 sitemap; left out: 2 that fit no --match"
    ):
        read_targets([], None, Sitemaps((f"{site.url}/s.xml",), match=("/shop/*",)))


def test_a_sitemap_that_is_no_address_is_said(site: SmallSite) -> None:
    del site
    with pytest.raises(InputError, match=r"--sitemap 'sitemap.xml' has no scheme"):
        read_targets([], None, Sitemaps(("sitemap.xml",)))
