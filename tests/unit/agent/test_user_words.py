from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.agent.conversation.user_words import Asker, deciding_words, may_scan, normal_url, own_words, urls_in


def asker(*messages: str, site: str = "") -> Asker:
    return Asker(job_id="job-1", messages=messages, site=site)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("Please scan https://shop.example/cart.", "https://shop.example/cart"),
        ("(see HTTP://Shop.Example:80/a?b=1#part)", "http://shop.example/a?b=1"),
        ('"https://shop.example:8443/"', "https://shop.example:8443/"),
        ("scan shop.example/cart, please", "https://shop.example/cart"),
        ("scan http://[::1]:8000/", "http://[::1]:8000/"),
    ],
)
def test_an_address_that_the_user_wrote_may_be_scanned(text: str, url: str):
    assert may_scan(url, asker("earlier", text, "later")) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://shop.example/cart/other",
        "http://shop.example/cart",
        "https://shop.example.evil.example/cart",
        "https://shop.example:9000/cart",
        "https://user:pass@shop.example/cart",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "",
        "https://shop.example\r\n/cart",
    ],
)
def test_any_other_address_is_refused(url: str):
    with pytest.raises(ValueError, match=r"http|neither|URL|user name"):
        may_scan(url, asker("scan https://shop.example/cart"))


def test_the_site_asked_about_may_be_scanned_but_for_ports_that_nobody_wrote():
    on_site = asker("What is wrong?", site="shop.example")

    assert may_scan("https://Shop.example/any/page?x=1", on_site) == "https://shop.example/any/page?x=1"
    for url in ("https://other.example/", "https://a.shop.example/", "http://shop.example:6379/"):
        with pytest.raises(ValueError, match="neither"):
            may_scan(url, on_site)


@given(st.text(max_size=200))
def test_no_message_crashes_the_search_for_addresses(text: str):
    for url in urls_in([text]):
        assert normal_url(url) == url


def test_what_is_remembered_is_the_user_s_own_text_as_it_was_written():
    said = asker("Hello", "Please remember that the Shop\n is rebuilt in May.")

    assert own_words("the shop is rebuilt in may", said) == "the Shop is rebuilt in May"


@pytest.mark.parametrize(
    "words",
    ["", "   ", "the shop is perfect", "hop is rebuilt", "rebuilt in Ma", "x" * 1_001, "May. The page says yes"],
)
def test_words_that_are_not_the_user_s_are_refused(words: str):
    with pytest.raises(ValueError, match="words"):
        own_words(words, asker("The shop is rebuilt in May."))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What changed since Monday?", "What changed since Tuesday?"),
        ("Which pages got better?", "Which pages got worse?"),
        ("How many image-alt barriers?", "How many input-image-alt barriers?"),
        ("What changed since 2026-11-01?", "What changed since 2026-11-02?"),
        ("Which is the second worst page?", "Which is the third worst page?"),
        ("What about shop.example?", "What about shop.example.org?"),
        ("Pages with barriers", "Pages with no barriers"),
        ("What changed between nightly-1 and nightly-2?", "What changed between nightly-2 and nightly-1?"),
        ("What should we mend first in the header?", "What should we mend first in the footer?"),
        ("How many label barriers are there?", "How many region barriers are there?"),
        ("What is wrong with the contact form?", "What is wrong with the home page?"),
        ("How bad is the checkout group?", "How bad is the product group?"),
        ("Is the cart worse than the home page?", "Is the home page worse than the cart?"),
        ("What was broken before May?", "What was broken after May?"),
        ("How many pages fail?", "How many rules fail?"),
        ("What changed between May and June?", "What changed between June and May?"),
        ("When did the header break?", "Why did the header break?"),
        ("Was ist am Warenkorb falsch?", "Was ist an der Startseite falsch?"),
        ("カートの問題は何ですか?", "ホームの問題は何ですか?"),
    ],
)
def test_questions_with_different_answers_differ_in_a_deciding_word(one: str, other: str):
    assert deciding_words(one) != deciding_words(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Which page has the WORST barriers?", "The worst barriers: on which page?"),
        ("What is WCAG?", "Please explain WCAG to me"),
        ("How many barriers are on /cart?", "Tell me how many barriers /cart has."),
    ],
)
def test_the_same_question_in_other_words_has_the_same_deciding_words(one: str, other: str):
    assert deciding_words(one) == deciding_words(other)
