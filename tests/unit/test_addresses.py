"""Addresses: one spelling each, as in browsers, and invalid ones are refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.cli.scan.targets import read_targets
from producer.contract import ScanRequest, addresses, page_id
from producer.contract.addresses import (
    host_of,
    leads_elsewhere,
    normal_url,
    origin_of,
    page_ids,
    path_of,
    public_url,
)
from producer.contract.requests import checked_fields
from tests.support.addresses import SPELLINGS
from tests.support.rows import check_each
from worker.agent.conversation.user_words import Asker, may_scan
from worker.agent.handlers import parse_request
from worker.cli.history import Wanted
from worker.memory.history.scan_record import page_of

FLAT = [(expected, spelling) for expected, spellings in SPELLINGS.items() for spelling in spellings]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://a.example/x", "https://a.example/x"),
        ("  https://a.example  ", "https://a.example/"),
        ("HTTPS://A.Example:443/Path", "https://a.example/Path"),
        ("http://a.example:8080", "http://a.example:8080/"),
        ("https://bücher.example/ü?q=ä b#ß", "https://xn--bcher-kva.example/%C3%BC?q=%C3%A4%20b"),
        ("https://a.example/%c3%bc%7Eme", "https://a.example/%C3%BC~me"),
        ("https://a.example/100%", "https://a.example/100%25"),
        ("https://a.example/a%2Fb", "https://a.example/a%2Fb"),
        ("https://a.example/?q=[1]|2", "https://a.example/?q=[1]|2"),
        ("https://a.example/?b=1&a=2", "https://a.example/?b=1&a=2"),
        ("https://user:pw@a.example/", "https://user:pw@a.example/"),
        ("http://[::1]:3000/x", "http://[::1]:3000/x"),
        ("http://under_score.example/", "http://under_score.example/"),
        ("https://straße.example/", "https://xn--strae-oqa.example/"),
        ("https://ドメイン。テスト/", "https://xn--eckwd4c7c.xn--zckzah/"),
    ],
)
def test_an_address_has_one_spelling(given: str, expected: str):
    assert normal_url(given) == expected
    assert normal_url(expected) == expected


def test_there_are_200_spellings_of_40_addresses():
    assert len(SPELLINGS) == 40
    assert len(set(FLAT)) >= 200


def test_every_spelling_of_an_address_is_one_page_wherever_it_enters():
    check_each(FLAT, is_one_page)


def is_one_page(row: tuple[str, str]) -> None:
    expected, spelling = row
    by_command = read_targets([spelling], None).urls  # what scan and schedule submit
    by_submit = checked_fields("scan", {"url": spelling})["url"]
    by_xadd = parse_request(json.loads(json.dumps({"url": spelling})))  # what a worker reads of an entry

    assert by_command == (expected,)
    assert by_submit == by_xadd.url == ScanRequest(url=spelling).url == expected
    assert page_of(by_xadd) == page_id(spelling) == page_id(expected)
    assert page_id(expected) in (Wanted(url=spelling).filter(0).page or ())  # history, and the tools by page_ids
    assert page_ids(spelling)[0] == page_id(expected)
    if "@" not in spelling:
        assert may_scan(spelling, Asker("job-1", (f"scan {expected}",))) == expected  # request_scan


ESCAPED = st.text(st.sampled_from("az09-._~"), min_size=1, max_size=8).filter(lambda text: text not in {".", ".."})


@given(
    segment=ESCAPED, places=st.sets(st.integers(0, 7)), is_lower=st.booleans(), fragment=st.sampled_from(["", "#top"])
)
def test_letters_may_be_escaped(segment: str, places: set[int], *, is_lower: bool, fragment: str):
    code = "%{:02x}" if is_lower else "%{:02X}"
    spelt = "".join(code.format(ord(char)) if n in places else char for n, char in enumerate(segment))

    assert page_id(f"HTTP://shop.example.:80/{spelt}{fragment}") == page_id(f"http://shop.example/{segment}")


CORNERS = st.from_regex(
    r"https?://([a01-]{1,2}\.){0,3}(a[a01-]?|[01]{1,2})(:80|:8080)?(/[a.]{0,2}){1,3}(\?a)?(#!?/[a.]{0,2})?",
    fullmatch=True,
).filter(lambda url: re.fullmatch(addresses._PLAIN, url))
"""Plain addresses beside those that are not: numbers as hosts, the usual port, segments of dots."""


@given(st.one_of(CORNERS, st.from_regex(addresses._PLAIN, fullmatch=True)))
def test_the_short_cut_for_plain_addresses_spells_as_the_parser_does(url: str):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(addresses, "_PLAIN", re.compile(r"(?!)"))
        parsed = normal_url(url)

    assert parsed == url


@pytest.mark.parametrize(
    "given",
    [
        *(
            "/relative",
            "nonsense",
            "ftp://a.example/",
            "http://exa mple.org/",
            "http://",
            "http://a\x00b/",
            "http://a/b\nc",
        ),
        *("http://a..example/", "http://.example/", f"http://{'a' * 64}.example/"),
    ],
)
def test_an_invalid_address_is_refused_with_the_reason(given: str):
    with pytest.raises(ValueError, match=r"scheme|host|control"):
        normal_url(given)


def test_a_fragment_that_is_a_route_is_part_of_the_page_and_any_other_is_not():
    assert len({page_id(f"http://a.example/{route}") for route in ("", "#/pay", "#/cart", "#!/pay")}) == 4
    assert {page_id(f"http://a.example/{mark}") for mark in ("#", "#top", "#:~:text=x")} == {
        page_id("http://a.example/")
    }
    assert read_targets(["http://a.example/#top", "http://a.example/", "http://a.example/#/pay"], None).urls == (
        "http://a.example/",
        "http://a.example/#/pay",
    )


def test_user_info_is_for_the_request_and_neither_shown_nor_part_of_the_page():
    request = ScanRequest(url="http://user:pw@a.example/x#/pay")

    assert request.url == "http://user:pw@a.example/x#/pay"
    assert public_url(request.url) == "http://a.example/x#/pay"
    assert public_url("http://user:pw@[::1") == "http://…@[::1"  # no address, such as one cut in its middle
    assert page_of(request) == page_id("http://a.example/x#/pay")


@pytest.mark.parametrize(
    ("given", "shown"),
    [("http://[x/y", "http://[x/y"), ("http://me:pw@[x/", "http://…@[x/"), ("data://[,x", "data://[,x")],
)
def test_an_invalid_address_of_a_page_can_be_shown_without_its_password(given: str, shown: str):
    assert public_url(given) == shown


@pytest.mark.parametrize(
    ("shown", "is_elsewhere"),
    [
        ("http://www.a.example:80/~u/", False),
        ("https://a.example/%7Eu#top", False),
        ("https://a.example/~u#/", False),
        ("https://a.example/~u#!/pay", True),
        ("https://a.example/~u?q=1", True),
        ("https://a.example:8443/~u", True),
        ("https://b.example/~u", True),
        ("https://[", False),
        ("", False),
    ],
)
def test_a_page_leads_elsewhere_unless_scheme_www_slash_and_spelling_are_all_that_differs(
    shown: str, is_elsewhere: bool
):
    assert leads_elsewhere("https://a.example/~u", shown) is is_elsewhere
    assert not leads_elsewhere("job d1", shown)


def test_parts_of_an_address():
    assert host_of("https://Bücher.example.:8443/") == "xn--bcher-kva.example"
    assert (host_of("about:blank"), host_of("http://[")) == ("", "")
    assert origin_of("https://u:p@A.example:443/x") == "https://a.example"
    assert (origin_of("http://[::1]:81/"), origin_of("data:x"), origin_of("http://a:x/")) == ("http://[::1]:81", "", "")
    assert path_of("https://a.example?q=1#/pay") == "/?q=1#/pay"
    assert path_of("https://a.example/x#top") == "/x"
    assert path_of("https://a.example//x/") == "//x/"


@pytest.mark.parametrize(
    ("url", "old_id"),
    [
        # Literal ids of release 5e536ef: SHA-256 of the address as it was submitted, without user info and fragment.
        ("http://h.example/%7Eu/", "378773eed44d05d906092a60"),
        ("http://u:p@h.example/a/../b#top", "db3b7790f4aaf93143dd2c4b"),
        ("http://H.example", "db89a5f74be9619bc822e218"),
        ("http://h.example/plain?b=1&a=2", "1106f863181880f1464bcb93"),
    ],
)
def test_records_of_the_release_before_are_looked_for_by_the_id_they_have(url: str, old_id: str):
    assert old_id in page_ids(url)
    assert page_ids(url)[0] == page_id(url)


def test_plain_addresses_need_no_parser():
    code = (
        "import sys; from producer.contract import normal_url, page_id; "
        "page_id('https://shop.example/a/b.html?x=1#/pay'); page_id('http://127.0.0.1:8080/'); "
        "sys.exit('ada_url' in sys.modules)"
    )
    root = Path(__file__).parents[2]

    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


@pytest.mark.parametrize(
    "text",
    ["user:hunter2@shop.example/", "http:user:hunter2@shop.example", "//user:hunter2@x", "http://user:hun/ter2@[x"],
)
def test_an_invalid_redis_address_is_refused_without_its_password(text: str):
    with pytest.raises(ValueError, match="…@") as refused:
        addresses.check_url(text)

    assert "ter2" not in str(refused.value)
