"""Sitemaps as targets of a scan: which pages robots.txt leaves, how far apart, and what is said of the rest."""

from __future__ import annotations

import pytest

from producer.cli.scan.options import ScanOptions
from producer.cli.scan.submit import ScanPlan
from producer.cli.scan.targets import read_targets
from producer.errors import InputError, PageUnreachable
from tests.support.small_site import SmallSite, urlset


def test_robots_txt_is_honoured_unless_told_otherwise(site: SmallSite) -> None:
    site.files["/robots.txt"] = b"User-agent: *\nDisallow: /private/\nUser-agent: other\nDisallow: /\n"
    site.files["/s.xml"] = urlset(f"{site.url}/public", f"{site.url}/private/x")
    given = ScanOptions(sitemaps=(f"{site.url}/s.xml",))

    targets = read_targets([], None, given)
    everything = read_targets([], None, ScanOptions(sitemaps=given.sitemaps, ignore_robots=True))

    assert targets.urls == (f"{site.url}/public",)
    [remark] = targets.remarks
    assert remark.startswith(
        f"{site.url}/s.xml: 1 page of 1 sitemap; left out: 1 by robots.txt (such as {site.url}/private"
    )
    assert remark.endswith("; --ignore-robots includes those")
    assert len(everything.urls) == 2


@pytest.mark.parametrize(
    ("asked", "gap_ms"),
    [
        ("10", 10_000),
        ("0.5", 500),
        ("86400", 60_000),
        ("-3", 0),
        ("soon", 0),
        ("nan", 0),
        ("1e400", 0),
        ("1e306", 60_000),
    ],
)
def test_the_pages_of_a_sitemap_are_as_far_apart_as_robots_txt_asks(site: SmallSite, asked: str, gap_ms: int) -> None:
    site.files["/robots.txt"] = f"User-agent: *\nCrawl-delay: {asked}\n".encode()
    site.files["/s.xml"] = urlset(f"{site.url}/a", f"{site.url}/b")
    given = ScanOptions(sitemaps=(f"{site.url}/s.xml",))

    targets = read_targets([f"{site.url}/named"], None, given)
    payloads = list(ScanPlan(targets.urls, {}, "b", gaps_ms=targets.gaps_ms).payloads())

    assert [payload.get("host_gap_ms", 0) for payload in payloads] == [0, gap_ms, gap_ms]
    assert any("asks for" in remark for remark in targets.remarks) is (gap_ms > 0)
    assert read_targets([], None, ScanOptions(sitemaps=given.sitemaps, ignore_robots=True)).gaps_ms == {}
    assert list(ScanPlan(targets.urls, {}, "b").job_ids()) == list(
        ScanPlan(targets.urls, {}, "b", gaps_ms=targets.gaps_ms).job_ids()
    )


@pytest.mark.parametrize(("status", "pages"), [(404, 1), (403, 1), (503, 0)])
def test_a_missing_robots_txt_allows_and_a_failing_one_forbids(site: SmallSite, status: int, pages: int) -> None:
    site.files["/robots.txt"] = (status, {}, b"")
    site.files["/s.xml"] = urlset(f"{site.url}/1")

    targets = read_targets(["https://other.example/"], None, ScanOptions(sitemaps=(f"{site.url}/s.xml",)))

    assert len(targets.urls) == 1 + pages
    assert [page.url for page in targets.refused] == ([] if pages else [f"{site.url}/robots.txt"])


def test_a_failing_robots_txt_that_is_ignored_keeps_no_page_from_the_scan(site: SmallSite) -> None:
    site.files["/robots.txt"] = (503, {}, b"")
    site.files["/sitemap.xml"] = urlset(f"{site.url}/1")

    targets = read_targets([], None, ScanOptions(sitemaps=(f"{site.url}/",), ignore_robots=True))

    assert (targets.urls, targets.refused) == ((f"{site.url}/1",), ())
    assert not [remark for remark in targets.remarks if "not scanned" in remark]


def test_the_address_of_a_site_finds_the_sitemaps_its_robots_txt_names(site: SmallSite) -> None:
    site.files["/robots.txt"] = f"Sitemap: {site.url}/one.xml\nSitemap: {site.url}/two.xml\n".encode()
    site.files["/one.xml"] = urlset(f"{site.url}/1")
    site.files["/two.xml"] = urlset(f"{site.url}/2")

    named = read_targets([], None, ScanOptions(sitemaps=(site.url,)))
    site.files = {"/sitemap.xml": urlset(f"{site.url}/3")}
    usual = read_targets([], None, ScanOptions(sitemaps=(site.url,)))

    assert named.urls == (f"{site.url}/1", f"{site.url}/2")
    assert usual.urls == (f"{site.url}/3",)


def test_robots_txt_names_no_sitemap_of_another_site(site: SmallSite) -> None:
    elsewhere = f"http://localhost:{site.host.rpartition(':')[2]}/inside.xml"
    named = ("not an address", "file:///etc/passwd", elsewhere, f"{site.url}/one.xml")
    site.files["/robots.txt"] = "".join(f"Sitemap: {one}\n" for one in named).encode()
    site.files["/one.xml"] = urlset(f"{site.url}/1")
    site.files["/inside.xml"] = urlset(elsewhere)

    targets = read_targets([], None, ScanOptions(sitemaps=(site.url,)))

    assert targets.urls == (f"{site.url}/1",)
    assert "/inside.xml" not in site.asked


def test_a_broken_sitemap_among_good_ones_is_a_page_not_scanned_and_alone_it_is_the_error(site: SmallSite) -> None:
    site.files["/s.xml"] = urlset(f"{site.url}/1")
    html = f"{site.url}/page"
    site.files["/page"] = b"<!doctype html>"

    targets = read_targets([], None, ScanOptions(sitemaps=(html, f"{site.url}/s.xml")))

    assert targets.urls == (f"{site.url}/1",)
    assert [(page.url, page.outcome) for page in targets.refused] == [(html, "refused")]
    with pytest.raises(InputError, match="is a web page, not a sitemap"):
        read_targets([], None, ScanOptions(sitemaps=(html,)))
    with pytest.raises(PageUnreachable, match="answers 404"):
        read_targets([], None, ScanOptions(sitemaps=(f"{site.url}/none.xml",)))


def test_a_sitemap_of_which_nothing_fits_says_how_much_it_had(site: SmallSite) -> None:
    site.files["/s.xml"] = urlset(f"{site.url}/1", f"{site.url}/2")

    with pytest.raises(
        InputError, match=r"lists nothing to scan: 0 pages of 1 sitemap; left out: 2 that match no --match"
    ):
        read_targets([], None, ScanOptions(sitemaps=(f"{site.url}/s.xml",), match=("/shop/*",)))


def test_a_sitemap_without_a_valid_address_is_reported() -> None:
    with pytest.raises(InputError, match=r"--sitemap 'sitemap.xml' has no scheme"):
        read_targets([], None, ScanOptions(sitemaps=("sitemap.xml",)))
