"""Crawls of a small site over real HTTP: found pages, and addresses that are never requested."""

from __future__ import annotations

import base64
import time

import pytest

from producer.cli.scan.options import ScanOptions
from producer.cli.scan.targets import read_targets
from producer.errors import InputError, PageUnreachable
from producer.sitemaps import crawl as crawling
from producer.sitemaps.crawl import Bounds, crawl
from producer.sitemaps.download import Downloads
from producer.sitemaps.links import links_of
from producer.sitemaps.patterns import Patterns
from producer.sitemaps.sitemap import Choice
from tests.support.small_site import SmallSite


def linking(*hrefs: str) -> bytes:
    return ("<!doctype html><title>x</title>" + "".join(f'<a href="{href}">x</a>' for href in hrefs)).encode()


def found_from(site: SmallSite, **bounds: int) -> crawling.Crawled:
    return crawl(f"{site.url}/", Choice(), Downloads(), Bounds(**bounds))


def test_ten_thousand_products_are_twenty(site: SmallSite) -> None:
    products = [f"/product/{number}" for number in range(10_000)]
    site.files["/"] = linking("/about", "/cart", *products)
    site.files |= {path: linking("/") for path in ("/about", "/cart", *products)}

    found = found_from(site)

    paths = [url.removeprefix(site.url) for url in found.pages]
    assert (paths[0], len(paths), found.patterns["/product/*"]) == ("/", 23, 20)
    assert {"/about", "/cart"} <= set(paths[:6])  # rarer patterns first
    assert len(site.asked) == 23
    assert found.left_out["beyond --per-pattern for one pattern"] == 9_980


def test_only_pages_of_the_origin_are_taken_each_once(site: SmallSite) -> None:
    site.files["/"] = linking(
        "#top", "/a?b=1#x", "a?b=1", "/file.pdf", "/logo.PNG", "mailto:x@y.example", "javascript:void(0)",
        "http://169.254.169.254/latest", "//elsewhere.example/", "/gone", "/old", "/data", "http://[", "/away",
    )  # fmt: skip
    site.files |= {"/a?b=1": linking("/"), "/data": (200, {"Content-Type": "application/json"}, b"{}")}
    site.files["/old"] = (301, {"Location": "/a?b=1"}, b"")
    site.files["/away"] = (302, {"Location": "http://127.0.0.1:1/"}, b"")

    found = found_from(site)

    assert list(found.pages) == [f"{site.url}/", f"{site.url}/a?b=1"]
    assert dict(found.left_out) == {
        "that are files, not pages": 3,
        "of other sites": 2,
        "that could not be loaded (HTTP 404)": 1,
        "that redirect to a page already found": 1,
        "that could not be loaded": 1,
    }
    assert not {"/file.pdf", "/logo.PNG"} & set(site.asked)


def test_a_crawl_ends_at_its_bounds(site: SmallSite, monkeypatch: pytest.MonkeyPatch) -> None:
    site.files |= {f"/{n}": linking(f"/{n + 1}") for n in range(200)} | {
        "/": linking("/0", "/about"),
        "/about": linking(),
    }

    few = found_from(site, pages=5)
    monkeypatch.setattr(crawling, "MAX_BYTES", 100)
    by_bytes = found_from(site)

    assert (len(few.pages), few.ended, sum(few.left_out.values())) == (5, "pages", 1)
    assert by_bytes.ended == "0 MB"
    assert len(by_bytes.pages) < 5


def test_robots_txt_logins_and_patterns_hold_as_for_sitemaps(site: SmallSite) -> None:
    site.files["/robots.txt"] = b"User-agent: *\nDisallow: /private\n"
    site.files |= {"/": linking("/private/1", "/shop/tea", "/help"), "/shop/tea": linking("/shop/print/tea")}
    site.files |= {"/help": linking("/shop/cup"), "/shop/cup": linking()}
    address = site.url.replace("//", "//anna:pw@")

    targets = read_targets([], None, ScanOptions(crawl=(f"{address}/",), match=("/shop/*",), exclude=("*/print/*",)))

    assert set(targets.urls) == {f"{site.url}/shop/tea", f"{site.url}/shop/cup"}
    assert not {"/private/1", "/shop/print/tea"} & set(site.asked)
    expected = f"Basic {base64.b64encode(b'anna:pw').decode()}"
    assert {headers.get("Authorization") for headers in site.headers} == {expected}
    [remark] = targets.remarks
    assert remark.startswith(f"{site.url}/: 2 pages by 4 requests")
    assert "1 by robots.txt" in remark
    assert "pw" not in remark


def test_a_rule_of_robots_txt_that_cannot_be_read_is_left_out_alone(site: SmallSite) -> None:
    site.files["/robots.txt"] = b"User-agent: *\nDisallow: /a\nDisallow: x://[\nDisallow: /b\n"
    site.files |= {"/": linking("/a", "/b", "/c"), "/a": linking(), "/b": linking(), "/c": linking()}

    targets = read_targets([], None, ScanOptions(crawl=(f"{site.url}/",)))

    assert targets.urls == (f"{site.url}/", f"{site.url}/c")


def test_a_rule_of_robots_txt_with_many_wildcards_takes_little_time(site: SmallSite) -> None:
    site.files["/robots.txt"] = b"User-agent: *\nDisallow: /" + b"*a" * 10 + b"*b\n"
    site.files |= {"/": linking(f"/{'a' * 2_000}"), f"/{'a' * 2_000}": linking()}
    began_s = time.process_time()

    targets = read_targets([], None, ScanOptions(crawl=(f"{site.url}/",)))

    assert len(targets.urls) == 2
    assert time.process_time() - began_s < 5  # days with protego 0.6.0, which blocks all threads


def test_a_crawl_that_ignores_a_login_reports_it(site: SmallSite) -> None:
    site.files["/"] = linking()
    asked = ScanOptions(crawl=(f"{site.url}/",), login="login.json")

    stranger, member = (read_targets([], None, asked, secrets) for secrets in ({}, {"headers": {"X-Member": "1"}}))

    assert [one for one in stranger.remarks if "without --login" in one]
    assert not [one for one in member.remarks if "without --login" in one]


def test_a_crawl_that_cannot_begin_beside_pages_that_can_is_a_page_not_scanned(site: SmallSite) -> None:
    site.files["/"] = linking()
    crawls = (f"{site.url}/", f"{site.url}/gone", "http://127.0.0.1:1/")

    targets = read_targets([], None, ScanOptions(crawl=crawls))

    assert targets.urls == (f"{site.url}/",)
    refused = [(page.url, page.outcome) for page in targets.refused]
    assert refused == [(f"{site.url}/gone", "refused"), ("http://127.0.0.1:1/robots.txt", "refused")]


def test_a_crawl_whose_start_has_no_links_says_why(site: SmallSite) -> None:
    site.files["/robots.txt"] = b"User-agent: *\nDisallow: /\n"

    with pytest.raises(InputError, match="found nothing to scan"):
        read_targets([], None, ScanOptions(crawl=(site.url,)))
    with pytest.raises(PageUnreachable, match="404"):
        read_targets([], None, ScanOptions(crawl=(f"{site.url}/gone",), ignore_robots=True))
    with pytest.raises(PageUnreachable, match=r"/robots\.txt' could not be loaded: Connection refused, so its pages"):
        read_targets([], None, ScanOptions(crawl=("http://127.0.0.1:1/",)))


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("<script>var state = '", "'</script>"),
        ("<style>@font-face{", "}</style>"),
        ("<img src='data:", "'>"),
        ("<!--", "-->"),
        ("<![x[", ">"),
    ],
)
def test_links_after_a_long_script_or_picture_in_a_page_are_found(begin: str, end: str) -> None:
    page = f"<a href='/x'>{begin}{'x' * 1_000_000}{end}<a href='/y'>".encode()
    pieces = [page[at : at + 65_536] for at in range(0, len(page), 65_536)]

    assert list(links_of(pieces, "https://a.example/")) == ["https://a.example/x", "https://a.example/y"]


def test_a_tag_that_never_ends_takes_little_time() -> None:
    unclosed = [b"<a href='/x'>", b"<a ", *[b"a " * 32_768] * 64]
    began_s = time.process_time()

    assert list(links_of(unclosed, "https://a.example/")) == ["https://a.example/x"]
    assert time.process_time() - began_s < 15  # half a minute if it is read again from its start with each piece


@pytest.mark.parametrize(
    ("url", "pattern"),
    [
        ("/", "/"),
        ("/about-us", "/about-us"),
        ("/product/4711.html", "/product/*.html"),
        ("/blog/2026/11/red-shoes-for-men", "/blog/*/*/*"),
        ("/list?page=3&sort=up", "/list?page&sort"),
        ("/#/order/17", "/#/order/*"),
        ("/u/0b5e7c1a-9d/posts", "/u/*/posts"),
    ],
)
def test_the_form_of_an_address_is_its_pattern(url: str, pattern: str) -> None:
    assert Patterns().pattern_of(f"https://a.example{url}") == pattern


def test_a_long_path_segment_takes_no_time() -> None:
    began_s = time.process_time()

    assert Patterns().pattern_of(f"https://a.example/{'a_' * 20_000}!") == "/*"
    assert time.process_time() - began_s < 0.5  # minutes if words are looked for in it


def test_a_path_segment_with_many_words_counts_as_a_name() -> None:
    patterns = Patterns()
    words = [f"{a}{b}" for a in "abcdef" for b in "uvwxyz"]

    assert {patterns.pattern_of(f"https://a.example/tea/{word}") for word in words[:30]} != {"/tea/*"}
    assert patterns.pattern_of(f"https://a.example/tea/{words[31]}") == "/tea/*"
    assert patterns.pattern_of(f"https://a.example/tea/{words[0]}") == "/tea/*"
