"""Any file given as a sitemap yields addresses or a message about its fault."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from producer.sitemaps.robots import _parsed
from producer.sitemaps.sitemap_file import Malformed, locations
from tests.fuzz.strange import BYTES, TEXT

TAGS = st.sampled_from(["urlset", "sitemapindex", "url", "sitemap", "loc", "lastmod", "html"])
PARTS = st.one_of(
    TEXT,
    TAGS.map(lambda tag: f"<{tag}>"),
    TAGS.map(lambda tag: f"</{tag}>"),
    st.sampled_from(
        ['<?xml version="1.0"?>', "<!DOCTYPE x [<!ENTITY a 'b'>]>", "&a;", "<![CDATA[", "]]>", "<!--", "-->"]
    ),
)
FILES = st.one_of(
    BYTES,
    st.lists(PARTS, max_size=12).map(lambda parts: "".join(parts).encode("utf-8", "surrogatepass")),
    st.lists(TEXT, max_size=4).map(
        lambda texts: ("<urlset>" + "".join(f"<url><loc>{t}</loc></url>" for t in texts) + "</urlset>").encode(
            "utf-8", "surrogatepass"
        )
    ),
)


@given(FILES)
def test_a_file_gives_addresses_or_a_reason(content: bytes):
    try:
        found = list(locations(io.BytesIO(content), "http://shop.example/sitemap.xml"))  # type: ignore[arg-type]  # a reader of bytes
    except Malformed as error:
        assert "sitemap.xml" in str(error)
    else:
        assert all(kind in {"url", "sitemap"} and text == text.strip() != "" for kind, text in found)


RULES = st.sampled_from(["User-agent: *", "Disallow: /", "Disallow: x://[", "Crawl-delay: x", "Allow: *$"])


@given(st.lists(TEXT | RULES))
def test_any_robots_txt_can_be_read(lines: list[str]):
    for begin in ([], ["User-agent: *"]):
        rules = _parsed("\n".join([*begin, *lines]))

        assert rules.can_fetch("http://shop.example/", "Sightline") in {True, False}
