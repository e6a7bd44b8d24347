"""Steps of a journey: one action each, bounded, refused with the expected form."""

from __future__ import annotations

from typing import Any

import pytest

from producer.contract import ScanRequest, page_id, request_fields
from producer.contract.addresses import leads_elsewhere, normal_url, path_of, public_url, state_of, state_url, stateless
from producer.contract.step_selectors import StepSelector, read_step_selector
from producer.contract.steps import Step, check_keys, check_steps, states_of
from producer.errors import InvalidJob
from worker.memory.history.scan_record import page_of

URL = "https://shop.example/cart"


@pytest.mark.parametrize(
    ("step", "action", "selector"),
    [
        ({"goto": "/login"}, "goto", ""),
        ({"click": "text=Sign in", "name": "in", "timeout_s": 2}, "click", "text=Sign in"),
        ({"fill": "#user", "value": "${SHOP_USER}"}, "fill", "#user"),
        ({"select": "#size", "value": "L"}, "select", "#size"),
        ({"check": "label=Gift"}, "check", "label=Gift"),
        ({"press": "Control+A", "on": "#user"}, "press", "#user"),
        ({"wait_for": {"idle": True}}, "wait_for", ""),
        ({"wait_for": "main"}, "wait_for", "main"),
        ({"scroll": "bottom"}, "scroll", ""),
        ({"consent": True}, "consent", ""),
        ({"consent": "#ok"}, "consent", "#ok"),
        ({"scan": "dialog open"}, "scan", ""),
    ],
)
def test_a_step_is_sent_as_it_is_written(step: dict[str, Any], action: str, selector: str) -> None:
    read = Step.model_validate(step)

    assert (read.action, read.selector) == (action, selector)
    assert Step.model_validate_json(read.model_dump_json()) == read
    sent = request_fields("scan", {"url": URL, "steps": [step]})["steps"][0]
    assert sent == (step if step != {"wait_for": "main"} else {"wait_for": {"selector": "main"}})


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ({"clik": "#a"}, "unknown step 'clik': did you mean 'click'?"),
        ({"evaluate": "alert(1)"}, "unknown step 'evaluate': expected one of goto, click"),
        ({"click": ""}, "the selector is empty"),
        ({"click": "#a", "hover": "#b"}, "the step has 'click' and 'hover'"),
        ({"name": "x"}, "the step has no action"),
        ("click #a", "a step is a str"),
        ({"fill": "#a"}, "fill needs a value"),
        ({"click": "#a", "value": "x"}, "click has no value"),
        ({"fill": "#a", "value": "${SHOP-USER}"}, "expected variables as ${NAME}"),
        ({"goto": "/?q=${X}"}, "variables are allowed only in the value of fill"),
        ({"goto": "ftp://a.example/"}, "has the scheme 'ftp'"),
        ({"goto": "//["}, "goto: Invalid IPv6 URL"),
        ({"press": "Entr"}, "'Entr' is not a key: did you mean Enter?"),
        ({"click": "xpath=//a"}, "is not a selector for a step"),
        ({"click": "role=button[nam=x]"}, "is not a role"),
        ({"wait_for": {"text": "a", "idle": True}}, "expected one of selector, text, address and idle"),
        ({"scan": " "}, "expected the name of the state"),
        ({"click": "#a", "timeout_s": 0}, "greater than 0"),
    ],
)
def test_an_invalid_step_is_refused_with_what_was_expected(step: Any, says: str) -> None:
    with pytest.raises(InvalidJob) as caught:
        request_fields("scan", {"url": URL, "steps": [step]})

    assert says in str(caught.value)


def test_selectors_are_read_as_playwright_has_them() -> None:
    assert read_step_selector('role=button[name="Save it"]') == StepSelector("role", "button", "Save it", is_exact=True)
    assert read_step_selector("role=link[name='save' i]") == StepSelector("role", "link", "save")
    assert read_step_selector("text=Sign  in") == StepSelector("text", "Sign in")
    assert read_step_selector('label="E-mail"') == StepSelector("label", "E-mail", is_exact=True)
    assert read_step_selector("css=main > a") == StepSelector("css", "main > a")
    assert read_step_selector("a[href='x']") == StepSelector("css", "a[href='x']")
    assert check_keys("Control+Shift++") == (("Control", "Shift"), "+")


def _steps(*given: dict[str, Any]) -> tuple[Step, ...]:
    return tuple(map(Step.model_validate, given))


def test_each_state_is_reached_from_the_start_and_steps_keep_their_numbers() -> None:
    steps = _steps({"click": "#a"}, {"scan": "open"}, {"click": "#b"}, {"scan": "closed"})

    assert [len(part) for part in states_of(check_steps(steps))] == [2, 4]
    assert states_of(steps[:1]) == [steps[:1]]


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        (({"scan": "a"}, {"click": "#b"}, {"scan": "a"}), "steps 1 and 3 scan two states called 'a'"),
        (({"scan": "a"}, {"click": "#b"}), "step 2 comes after the last scan, 'a'"),
        (({"fill": "#a", "value": "x" * 2_000},) * 60, "bytes: expected at most 100,000"),
    ],
)
def test_steps_that_lead_to_no_single_state_are_refused(steps: tuple[dict[str, Any], ...], says: str) -> None:
    with pytest.raises(InvalidJob, match=says):
        request_fields("scan", {"url": URL, "steps": steps})


def test_a_state_is_a_page_by_itself_whose_address_browsers_open() -> None:
    state = state_url(URL, "Größe & Farbe")

    assert state == f"{URL}#:~:state=Gr%C3%B6%C3%9Fe+%26+Farbe"
    assert (state_of(state), stateless(state)) == ("Größe & Farbe", URL)
    assert normal_url(state) == public_url(state) == state
    assert page_id(state) != page_id(URL)
    assert path_of(state).endswith("#:~:state=Gr%C3%B6%C3%9Fe+%26+Farbe")
    assert not leads_elsewhere(state, "https://shop.example/paid")
    route = state_url("https://shop.example/#/pay", "open")
    assert (route, stateless(route)) == ("https://shop.example/#/pay:~:state=open", "https://shop.example/#/pay")
    assert public_url(f"{URL}#:~:text=tea") == URL


def test_a_state_is_known_by_page_and_name() -> None:
    plain, named = ({"url": URL, "steps": [{"click": "#a"}, *more]} for more in ([], [{"scan": "open"}]))
    requests = [ScanRequest.model_validate(fields) for fields in ({"url": URL}, plain, named)]

    assert [request.page_url for request in requests] == [URL, URL, f"{URL}#:~:state=open"]
    assert page_of(requests[0]) == page_of(requests[1]) == page_id(URL)
    assert page_of(requests[2]) == page_id(f"{URL}#:~:state=open")
    with pytest.raises(InvalidJob, match="is a state of a page"):
        request_fields("scan", {"url": f"{URL}#:~:state=open"})
