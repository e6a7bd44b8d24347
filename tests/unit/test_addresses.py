"""Addresses: one spelling each, as browsers have it, and nothing that is no address."""

from __future__ import annotations

import pytest

from producer.sitemaps.addresses import ascii_host, normal_url


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://a.example/x", "https://a.example/x"),
        ("  https://a.example  ", "https://a.example/"),
        ("HTTPS://A.Example:443/Path", "https://a.example/Path"),
        ("http://a.example:80/", "http://a.example/"),
        ("http://a.example:8080", "http://a.example:8080/"),
        ("https://bücher.example/ü?q=ä b#ß", "https://xn--bcher-kva.example/%C3%BC?q=%C3%A4%20b#%C3%9F"),
        ("https://a.example/%c3%bc%7Eme", "https://a.example/%C3%BC~me"),
        ("https://a.example/100%", "https://a.example/100%25"),
        ("https://a.example/a%2Fb", "https://a.example/a%2Fb"),
        ("https://a.example/?q=[1]|2", "https://a.example/?q=[1]|2"),
        ("https://user:pw@a.example/", "https://user:pw@a.example/"),
        ("http://[::1]:3000/x", "http://[::1]:3000/x"),
        ("http://under_score.example/", "http://under_score.example/"),
    ],
)
def test_an_address_has_one_spelling(given: str, expected: str) -> None:
    assert normal_url(given) == expected
    assert normal_url(expected) == expected


def test_a_sharp_s_stays_another_site_than_a_double_s() -> None:
    assert ascii_host("straße.example") == "xn--strae-oqa.example"
    assert ascii_host("ドメイン。テスト") == "xn--eckwd4c7c.xn--zckzah"


@pytest.mark.parametrize(
    "given", ["/relative", "nonsense", "ftp://a.example/", "http://exa mple.org/", "http://", "http://a\x00b/"]
)
def test_what_is_no_web_address_is_said(given: str) -> None:
    with pytest.raises(ValueError, match=r"scheme|host|control"):
        normal_url(given)
