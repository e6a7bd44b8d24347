"""The pure parts of journeys: secrets taken out of results, keys, and documents of other sites refused."""

from __future__ import annotations

from typing import Any

import pytest

from producer.contract import Doubt, Finding, Impact, Node, ScanResult
from worker.scan.departure import Departure
from worker.scan.held import Held
from worker.scan.journey.conceal import conceal, conceal_text, forms_of
from worker.scan.journey.fence import Fence
from worker.scan.journey.keys import key_events

FRAME = "frame-1"
NODE = Node(selector=("img",), snippet="<img>", fingerprint="0" * 24)


def test_values_of_variables_are_in_no_part_of_a_result() -> None:
    value = 'an"na & co'
    result = ScanResult(
        url="https://shop.example/anna",
        final_url="https://shop.example/?user=an%22na+%26+co&again=an%22na%20%26%20co",
        title=f"Account of {value}",
        status="partial",
        reason=f"step 1 failed: {value}",
        notes=("an&quot;na &amp; co",),
        standard="wcag22aa",
    )

    concealed = conceal(result, {"SHOP_USER": value, "PIN": "12", "OTHER": "anna"})

    assert concealed.final_url == "https://shop.example/?user=${SHOP_USER}&again=${SHOP_USER}"
    assert (concealed.title, concealed.reason) == ("Account of ${SHOP_USER}", "step 1 failed: ${SHOP_USER}")
    assert concealed.notes == ("${SHOP_USER}",)
    assert concealed.url == "https://shop.example/anna"
    assert (concealed.status, concealed.standard) == ("partial", "wcag22aa")
    assert conceal(result, {}) is result


@pytest.mark.parametrize(
    "value", ["scan", "scanned", "serious", "violation", "certain", "succeeded", "wcag22aa", "live", "none"]
)
def test_a_value_that_is_also_a_word_of_the_contract_changes_no_status(value: str) -> None:
    finding = Finding(rule="image-alt", impact=Impact.SERIOUS, tags=("wcag22aa",), nodes=(NODE,), fingerprint="1" * 24)
    finding = finding.revised(engine="live")
    doubt = Doubt(kind="unread-frame", what=f"a frame of {value}")
    result = ScanResult(status="scanned", title=f"Hello {value}", findings=(finding,), doubts=(doubt,))

    concealed = conceal(result, {"SHOP_USER": value})

    assert concealed.title == "Hello ${SHOP_USER}"
    assert concealed.doubts[0].what == "a frame of ${SHOP_USER}"
    assert (concealed.status, concealed.findings, concealed.state) == ("scanned", (finding,), result.state)
    assert concealed.assessment_source == result.assessment_source


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a b/c", "a%20b%2Fc"),
        ("a b/c", "a+b%2fc"),
        ("ab*c~d", "ab*c%7Ed"),
        ("O'Brien & Co", "O'Brien &amp; Co"),
        ("anna@shop.example", r"anna\@shop\.example"),
        ("4711-b", r"\34 711-b"),
        ("C:\\new", r"C\:\\new"),
        ("Müller", "M%C3%BCller"),
    ],
)
def test_a_value_is_concealed_however_an_address_a_selector_or_markup_writes_it(value: str, shown: str) -> None:
    node = NODE.model_copy(update={"selector": (f'[title="{shown}"]',)})
    finding = Finding(rule="image-alt", nodes=(node,), fingerprint="1" * 24)
    hop = {"status": 302, "url": f"https://shop.example/?q={shown}"}
    result = ScanResult(status="unreachable", findings=(finding,), redirects=(hop,))

    concealed = conceal(result, {"VALUE": value})

    assert concealed.findings[0].nodes[0].selector == ('[title="${VALUE}"]',)
    assert concealed.redirects == ({"status": 302, "url": "https://shop.example/?q=${VALUE}"},)


def test_values_of_many_signs_take_no_time_to_look_for() -> None:
    for value in ("\\" * 60, "\\:" * 60, "-:&%" * 60, "%25" * 60, "&amp;" * 60):
        text = f"{value[1:]} {value[:-1]} {value}" * 3

        assert conceal_text(text, forms_of({"VALUE": value})).count("${VALUE}") == 3


def test_a_long_value_is_concealed_whole() -> None:
    value = "Some words, and more. " * 400

    assert conceal_text(f"before {value} after", forms_of({"VALUE": value})) == "before ${VALUE} after"


def test_the_address_of_an_unread_frame_shows_no_value() -> None:
    result = ScanResult(status="partial", unread_frames={"https://shop.example/of/hunter22": "no answer"})

    assert conceal(result, {"PASSWORD": "hunter22"}).unread_frames == {
        "https://shop.example/of/${PASSWORD}": "no answer"
    }


def paused(url: str, *, kind: str = "Document", frame: str = FRAME) -> dict[str, Any]:
    return {"requestId": "1", "request": {"url": url, "method": "GET"}, "resourceType": kind, "frameId": frame}


@pytest.mark.parametrize(
    ("request_", "call"),
    [
        (paused("https://shop.example/b"), "Fetch.continueRequest"),
        (paused("https://evil.example/"), "Fetch.failRequest"),
        (paused("http://shop.example/"), "Fetch.failRequest"),
        (paused("https://cdn.example/a.js", kind="Script"), "Fetch.continueRequest"),
        (paused("https://ads.example/", frame="frame-2"), "Fetch.continueRequest"),
    ],
)
def test_only_documents_of_the_page_itself_are_kept_to_its_site(request_: dict[str, Any], call: str) -> None:
    held = Held(fence=Fence(frozenset({"https://shop.example"})))

    assert held.answer(request_, frame_id=FRAME)[0] == call


def test_only_requests_that_must_be_held_are_held() -> None:
    assert Held().patterns == []
    assert Held(only_reads=True).patterns is None
    assert Held(headers=lambda _: []).patterns is None
    fence = Fence(frozenset())
    assert Held(fence=fence, blocked_hosts=("*.ads.example",)).patterns == [
        {"resourceType": "Document"},
        {"urlPattern": "*ads.example*"},
    ]


def test_a_page_is_loading_from_its_request_to_its_response() -> None:
    departure = Departure()

    def see(method: str, **params: Any) -> tuple[bool, bool]:
        departure.see(method, params, frame_id=FRAME, session="")
        return departure.is_meant, departure.is_under_way

    assert see("Page.frameRequestedNavigation", frameId=FRAME, url="https://a.example/") == (True, False)
    request = {"type": "Document", "frameId": FRAME, "loaderId": "L1"}
    assert see("Network.requestWillBeSent", **request) == (False, True)
    assert see("Network.loadingFailed", requestId="other") == (False, True)
    assert see("Page.frameNavigated", frame={"id": FRAME}) == (False, False)
    assert see("Page.frameRequestedNavigation", frameId=FRAME, url="mailto:a@b.example") == (False, False)
    assert see("Page.frameRequestedNavigation", frameId="other", url="https://a.example/") == (False, False)


def test_keys_go_down_and_up_with_their_modifiers() -> None:
    assert [(event["type"], event["key"], event.get("text")) for event in key_events("Enter")] == [
        ("keyDown", "Enter", "\r"),
        ("keyUp", "Enter", None),
    ]
    events = key_events("Control+a")
    assert [(event["type"], event["key"]) for event in events] == [
        ("rawKeyDown", "Control"),
        ("rawKeyDown", "a"),
        ("keyUp", "a"),
        ("keyUp", "Control"),
    ]
    assert events[1]["modifiers"] == 2
    assert key_events("x")[0]["text"] == "x"
