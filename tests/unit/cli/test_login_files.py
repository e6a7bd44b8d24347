"""Login files: read in all common formats, and refused without quoting their contents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from producer.cli.scan.login_files import check_one_site, read_cookies, read_headers, read_secrets
from producer.errors import InputError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "login"


@pytest.mark.parametrize(
    "text", ['{"Authorization": "Bearer a:b", "X": "1"}', "# mine\n\nAuthorization: Bearer a:b\nX:1\n"]
)
def test_headers_are_lines_or_json(file: Path, text: str) -> None:
    file.write_text(text)

    assert read_headers(str(file)) == {"Authorization": "Bearer a:b", "X": "1"}


@pytest.mark.parametrize("text", ['{"X": "a\\nb: c"}', "X: a\x01b\n", "Y: 1\nX: a\x7f\n"])
def test_a_header_that_none_can_be_is_refused(file: Path, text: str) -> None:
    file.write_text(text)

    with pytest.raises(InputError, match="a header's value contains a line break or another control character"):
        read_headers(str(file))


@pytest.mark.parametrize("text", ['[{"name": "a", "value": "b"}]', '{"cookies": [{"name": "a", "value": "b"}]}'])
def test_cookies_are_a_list_or_in_an_object(file: Path, text: str) -> None:
    file.write_text(text)

    assert read_cookies(str(file)) == [{"name": "a", "value": "b"}]


def test_netscape_cookies_keep_what_they_are_for(file: Path) -> None:
    file.write_text(
        "# Netscape HTTP Cookie File\n"
        "#HttpOnly_.shop.example\tTRUE\t/\tTRUE\t1800000000\tid\tabc\n"
        "shop.example\tFALSE\t/tea\tFALSE\t0\tlast\t\n"
    )

    assert read_cookies(str(file)) == [
        {
            "name": "id",
            "value": "abc",
            "domain": ".shop.example",
            "path": "/",
            "secure": True,
            "httpOnly": True,
            "expires": 1_800_000_000,
        },
        {"name": "last", "value": "", "domain": "shop.example", "path": "/tea", "secure": False, "httpOnly": False},
    ]


def test_a_header_of_the_file_replaces_the_variables(file: Path) -> None:
    file.write_text("authorization: mine")

    secrets = read_secrets(
        header_file=str(file), cookie_file=None, storage_state=None, headers_variable='{"Authorization": "x", "Y": "z"}'
    )

    assert secrets == {"headers": {"Y": "z", "authorization": "mine"}}


def test_nothing_given_is_no_secret() -> None:
    assert read_secrets(header_file=None, cookie_file=None, storage_state=None, headers_variable=" ") == {}


def test_a_storage_state_is_taken_as_it_is(file: Path) -> None:
    state = {"cookies": [], "origins": [{"origin": "https://shop.example", "localStorage": []}]}
    file.write_text(json.dumps(state))

    secrets = read_secrets(header_file=None, cookie_file=None, storage_state=str(file), headers_variable="")

    assert secrets == {"storage_state": state}


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        ("header_file", "s3cret", "line 1: expected 'Name: value'"),
        ("header_file", "s3 cret: x", "is not a header name"),
        ("header_file", '{"X": {"a": "s3cret"}}', "expected a JSON object of headers"),
        ("header_file", '{"X": "s3cret\\r\\nY: z"}', "a line break"),
        ("header_file", '{"X": s3cret}', "is not JSON"),
        ("header_file", "# nothing", "has no headers"),
        ("cookie_file", "s3cret=1", "line 1: expected the seven fields"),
        ("cookie_file", '[{"name": "s3cret"}]', "cookie 1: expected an object with name and value"),
        ("cookie_file", '{"s3cret": 1}', "expected a JSON list of cookies"),
        ("cookie_file", "", "has no cookies"),
        ("storage_state", '{"s3cret": 1}', "is not a storage state"),
        ("storage_state", '{"cookies": "s3cret"}', "is not a storage state"),
        ("headers_variable", "s3cret", "SIGHTLINE_HEADERS is not JSON"),
        ("headers_variable", '["s3cret"]', "SIGHTLINE_HEADERS: expected a JSON object"),
    ],
)
def test_a_bad_login_is_refused_and_never_quoted(file: Path, option: str, text: str, said: str) -> None:
    file.write_text(text)
    given = {"header_file": None, "cookie_file": None, "storage_state": None, "headers_variable": ""}

    with pytest.raises(InputError) as caught:
        read_secrets(**{**given, option: text if option == "headers_variable" else str(file)})  # pyright: ignore[reportArgumentType]  # one of four texts

    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_headers_go_to_one_site_alone() -> None:
    urls = ["https://shop.example/", "https://other.example/"]

    check_one_site(urls[:1] * 2, {"headers": {"X": "y"}})
    check_one_site(urls, {"cookies": [{"name": "a", "value": "b", "domain": "shop.example"}]})
    check_one_site(urls, {})
    for secrets in ({"headers": {"X": "y"}}, {"cookies": [{"name": "a", "value": "b"}]}):
        with pytest.raises(InputError, match="the pages are on 2"):
            check_one_site(urls, secrets)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_part_of_a_login(file: Path, encoding: str) -> None:
    cookies = '[{"name": "a", "value": "b"}]'
    for text in ("X: 1\n", '{"X": "1"}'):
        file.write_text(text, encoding)
        assert read_headers(str(file)) == {"X": "1"}
    for text in (cookies, "a.example\tTRUE\t/\tFALSE\t0\ta\tb\n"):
        file.write_text(text, encoding)
        assert [cookie["name"] for cookie in read_cookies(str(file))] == ["a"]
    file.write_text('{"cookies": [], "origins": []}', encoding)

    secrets = read_secrets(
        header_file=None, cookie_file=None, storage_state=str(file), headers_variable='\ufeff {"Y": "z"}'
    )

    assert secrets == {"headers": {"Y": "z"}, "storage_state": {"cookies": [], "origins": []}}
