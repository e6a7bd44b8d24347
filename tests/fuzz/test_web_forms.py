"""Any form, cookie or address sent to the board is used or refused as input."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from producer.contract.states import split_state, with_state
from producer.errors import InputError
from producer.web.edge import origin_form
from producer.web.sessions import Sessions
from producer.web.submit import fields_of, gate_of, sitemaps_of, targets_of
from tests.fuzz.strange import TEXT

NAMES = ("urls", "sitemaps", "standard", "group", "fail_on", "strict", "max_pages", "screenshot", "live", "batch")
VALUES = st.one_of(
    TEXT,
    st.lists(st.one_of(TEXT, TEXT.map(lambda text: f"http://{text}")), max_size=3).map("\n".join),
    st.sampled_from(["http://u:p@shop.example/\nhttp://v:q@shop.example/", "wcag22aa", "serious", "on"]),
)
FORMS = st.dictionaries(st.sampled_from(NAMES), VALUES)


@given(FORMS)
def test_a_form_is_used_or_refused_as_input(form: dict[str, str]):
    for read in (targets_of, sitemaps_of, gate_of, fields_of):
        try:
            read(form)
        except InputError as error:
            assert str(error)
            assert str(error).isprintable()


@given(TEXT, st.integers(0, 2**40))
def test_an_invented_cookie_is_no_session(cookie: str, now_s: int):
    sessions = Sessions(b"key")

    assert sessions.read(cookie, now_s=now_s) is None
    assert sessions.read(f"{cookie}.{'0' * 64}", now_s=now_s) is None
    assert not sessions.is_token(sessions.begin("Anna", "operator", now_s=now_s), cookie)


@given(TEXT)
def test_a_request_target_has_a_path(text: str):
    assert origin_form(f"/{text}") == f"/{text}"
    assert origin_form(f"http://shop.example/{text}") == f"/{text}"
    assert origin_form(f"https://{text}").startswith("/")


@given(TEXT, TEXT)
def test_a_state_is_split_from_the_address_it_was_added_to(page: str, state: str):
    if "[" not in state and "]" not in state and not page.endswith("]"):
        assert split_state(with_state(page, state)) == (page, state)
    assert isinstance(split_state(page), tuple)
