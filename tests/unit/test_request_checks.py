"""Validation of a scan's request: invalid selectors, rules and hosts are refused."""

from __future__ import annotations

import pytest

from producer.contract import ScanRequest, request_fields
from producer.contract.hosts import check_host_pattern, fits_host
from producer.contract.selectors import check_selector
from producer.errors import InvalidJob

URL = "https://shop.example/"


@pytest.mark.parametrize(
    "selector",
    [
        *("main", "#chat .input", "a > b + c ~ d", "div:not(.a, .b)", "::before", "*", "a,b", "  main  ", "x, y , z"),
        *("[data-x='a b' i]", '[a="]"]', "[href^=http]", "svg|a", "*|*", "[a", "x:not(.a", "td || col", "& a"),
        *(r"#\31 23", r".\:hover\:x", "a:nth-child(2n + 1 of .x)", "details[open]>summary", "--x-y", "ü", "a/**/b"),
        *('x:is("a)", b)', "iframe", "[a=b s]", "main\n>\tp"),
    ],
)
def test_a_selector_that_a_browser_accepts_is_accepted(selector: str) -> None:
    assert check_selector(selector) == selector


@pytest.mark.parametrize(
    "selector",
    [
        *("", " ", "##x", "div[", "a >", "a,,b", ".", "#1abc", "a b{", "!x", "<iframe>", "a >> b", "[=x]", "a:", "1a"),
        *(">", "a,", ",a", "$('x')", "//div[@id]", "#", "main)", "[a==b]", "[a=1]", "a" * 1_001),
        *(f"[a={'ü' * 900}!]", "[a=" + r"\aaaaaa" * 140 + "!]"),
    ],
)
def test_a_selector_that_no_browser_accepts_is_refused_with_what_was_expected(selector: str) -> None:
    with pytest.raises(ValueError, match="selector"):
        check_selector(selector)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("ads.example", "ads.example"),
        (" *.Ads.Example ", "*.ads.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("localhost", "localhost"),
        ("10.1.2.3", "10.1.2.3"),
    ],
)
def test_a_host_is_kept_as_browsers_spell_it(given: str, kept: str) -> None:
    assert check_host_pattern(given) == kept


@pytest.mark.parametrize("given", ["", "*", "*.", "http://a", "a/b", "a b", "a:80", "*.*.a", "a*", "user@host"])
def test_an_address_without_a_host_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="is not a host"):
        check_host_pattern(given)


def test_a_pattern_fits_its_host_or_those_below_it() -> None:
    assert fits_host("ads.example", ["ads.example"])
    assert fits_host("ads.example.", ["ads.example"])
    assert fits_host("a.b.ads.example", ["*.ads.example"])
    assert not fits_host("ads.example", ["*.ads.example"])
    assert not fits_host("badads.example", ["ads.example", "*.ads.example"])
    assert not fits_host("", ["*.ads.example"])


LOGIN = {"url": "https://id.test/", "steps": [{"click": "text=Go"}]}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"include": ["##x"]}, "include: '##x' is not a CSS selector"),
        ({"exclude": ["a", ""]}, "exclude: '' is not a CSS selector"),
        ({"wait_for": "div["}, "wait_for: 'div\\[' is not a CSS selector"),
        ({"disabled_rules": ["image-alts"]}, "did you mean image-alt"),
        ({"enabled_rules": ["nothing-like-it-x"]}, "axe-core has no rule"),
        ({"blocked_hosts": ["*.example"]}, "is the host of the page itself"),
        ({"blocked_hosts": ["id.test"], "login": LOGIN}, "'id.test' is the host of the login"),
        ({"blocked_hosts": ["ads.example"] * 101}, "at most 100"),
        ({"allow_partial": ["all"]}, "unknown kind of doubt 'all'"),
        ({"deadline_s": 601}, "less than or equal to 600"),
    ],
)
def test_a_request_that_cannot_be_kept_is_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidJob, match=said):
        request_fields("scan", {"url": URL, **fields})


def test_options_that_were_not_given_are_not_sent() -> None:
    assert request_fields("scan", ScanRequest(url=URL)) == {"url": URL}
