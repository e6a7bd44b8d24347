"""Which pages count as scanned, on plain values."""

from __future__ import annotations

import pytest

from producer.contract import public_url
from worker.scan.guard import Refusal
from worker.scan.proxy import Fault
from worker.scan.verdict import is_sign_in_page, judge_document, judge_place, judge_sign_in, judge_type
from worker.scan.watch import MainDocument

URL = "http://shop.example/home"
WHOLE = MainDocument(url=URL, loader_id="1", status=200, is_whole=True)
REFUSED = {("shop.example", 80): Fault("rule 'private'", Refusal("private", "shop.example", 80, "10.0.0.1"))}
UNREACHED = {("shop.example", 80): Fault("connection refused")}


def judged(
    document: MainDocument | None, error: str = "", *, faults: dict[tuple[str, int], Fault] | None = None
) -> str:
    unread = judge_document(document, error=error, faults=faults or {})
    return "" if unread is None else f"{unread.status}: {unread.reason}"


def document(status: int | None = None, *, error: str = "", is_whole: bool = False) -> MainDocument:
    return MainDocument(URL, "1", status=status, error=error, is_whole=is_whole)


def test_a_whole_document_served_with_success_may_be_audited() -> None:
    assert judged(WHOLE) == ""


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418, 429, 500, 503, 599])
def test_an_error_page_is_not_the_page(status: int) -> None:
    assert judged(document(status, is_whole=True)).startswith(f"unreachable: the server answered {status}")


@pytest.mark.parametrize("status", [204, 205])
def test_no_content_is_no_page(status: int) -> None:
    assert "it has no page to scan" in judged(document(status))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("net::ERR_TOO_MANY_REDIRECTS", "redirects in a loop"),
        ("net::ERR_CERT_AUTHORITY_INVALID", "certificate is not valid"),
        ("net::ERR_CONNECTION_RESET", "dropped the connection"),
        ("net::ERR_SOMETHING_NEW", "ERR_SOMETHING_NEW"),
        ("", "no document arrived"),
    ],
)
def test_a_page_that_did_not_load_says_why(error: str, words: str) -> None:
    assert words in judged(document(), error)
    assert words in judged(None, error)


def test_a_page_cut_off_is_not_read_whole() -> None:
    assert "not loaded completely" in judged(document(200, error="net::ERR_CONTENT_LENGTH_MISMATCH"))


@pytest.mark.parametrize("error", ["net::ERR_TUNNEL_CONNECTION_FAILED", "net::ERR_EMPTY_RESPONSE"])
def test_a_refusal_by_the_guard_is_blocked_and_names_the_rule(error: str) -> None:
    assert judged(document(), error, faults=REFUSED) == "blocked: rule 'private'"


def test_a_server_that_cannot_be_reached_is_unreachable() -> None:
    assert judged(document(), "net::ERR_EMPTY_RESPONSE", faults=UNREACHED) == "unreachable: connection refused"


def test_a_page_that_was_read_is_not_blocked_for_what_its_host_refused_later() -> None:
    assert judged(WHOLE, faults=REFUSED) == ""


@pytest.mark.parametrize(
    "content_type", ["application/pdf", "application/json", "text/plain", "image/png", "text/xml", ""]
)
def test_documents_of_other_types_are_not_audited(content_type: str) -> None:
    unread = judge_type(content_type)

    assert unread is not None
    assert unread.status == "unreachable"
    assert repr(content_type) in unread.reason


@pytest.mark.parametrize("content_type", ["text/html", "application/xhtml+xml"])
def test_html_is_audited(content_type: str) -> None:
    assert judge_type(content_type) is None


@pytest.mark.parametrize("url", ["http://[::1", "http://shop.example:99999999/", "http://shop.example:8x/"])
def test_a_document_whose_address_is_cut_or_none_is_judged_all_the_same(url: str) -> None:
    assert judged(MainDocument(url, "1", status=200, is_whole=True)) == ""


@pytest.mark.parametrize(
    "shown",
    [
        "https://shop.example/login?next=/account",
        "https://shop.example/users/sign_in",
        "https://shop.example/wp-login.php",
        "https://login.microsoftonline.example/common/oauth2/v2.0/authorize",
        "https://shop.example/app#/signin",
        "https://shop.example/sessions/new",
    ],
)
def test_a_page_that_led_to_a_sign_in_page_was_not_read(shown: str) -> None:
    unread = judge_sign_in(asked="https://shop.example/account", shown=shown)

    assert unread is not None
    assert unread.status == "unreachable"
    assert f"the sign-in page {public_url(shown)}:" in unread.reason
    assert "cookies" in unread.reason


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("https://shop.example/login", "https://shop.example/login/step1"),
        ("https://shop.example/", "https://shop.example/home"),
        ("https://shop.example/blog", "https://shop.example/author/ann"),
        ("https://shop.example/", "http://[::1"),
    ],
)
def test_a_sign_in_page_asked_for_and_a_page_that_merely_offers_it_were_read(asked: str, shown: str) -> None:
    assert judge_sign_in(asked=asked, shown=shown) is None


@pytest.mark.parametrize(
    ("asked", "title", "heading", "is_closed"),
    [
        ("https://shop.example/account", "Sign in \u2013 Shop", "", True),
        ("https://shop.example/account", "Shop", "Log in to your account", True),
        ("https://shop.example/login", "Sign in", "Sign in", False),
        ("https://shop.example/de/users/sign_in/?next=/account", "Sign in", "Sign in", False),
        ("https://shop.example/wp-login.php", "Log in", "", False),
        ("https://login.shop.example/start", "Sign in", "Sign in", False),
        ("https://shop.example/app#/login", "Sign in", "Sign in", False),
        ("https://shop.example/login/code", "Sign in", "Enter your code", True),
        ("https://shop.example/login-help", "Shop", "Sign in", True),
        ("https://shop.example/blog", "The author signs the book", "Blog", False),
    ],
)
def test_a_page_that_calls_itself_a_sign_in_is_remarked_unless_asked_for(
    asked: str, title: str, heading: str, *, is_closed: bool
) -> None:
    assert is_sign_in_page(asked=asked, title=title, heading=heading) is is_closed


def test_a_type_and_an_address_of_a_page_are_cut() -> None:
    of_type, of_place = judge_type(f"text/{'x' * 9_000}"), judge_place(f"about:blank?{'x' * 3_000}#token")

    assert of_type is not None
    assert of_place is not None
    assert max(len(of_type.reason), len(of_place.reason)) < 200
    assert "token" not in of_place.reason
