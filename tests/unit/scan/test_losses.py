"""A page's failed requests, event by event."""

from __future__ import annotations

from typing import Any

import pytest

from worker.scan.losses import FrameDocument, Loss, Losses, challenge_of

URL = "https://shop.example/app.js"


def losses_of(*events: tuple[str, dict[str, Any]]) -> Losses:
    losses = Losses()
    for method, params in events:
        losses.see(method, params, frame_id="main")
    return losses


def asked(kind: str = "Script", frame: str = "main", url: str = URL) -> tuple[str, dict[str, Any]]:
    return "Network.requestWillBeSent", {"requestId": "1", "request": {"url": url}, "type": kind, "frameId": frame}


def answered(status: int, kind: str = "Script", mime: str = "", frame: str = "main") -> tuple[str, dict[str, Any]]:
    response = {"status": status, "mimeType": mime, "url": URL}
    return "Network.responseReceived", {"requestId": "1", "type": kind, "frameId": frame, "response": response}


def failed(**more: Any) -> tuple[str, dict[str, Any]]:
    return "Network.loadingFailed", {"requestId": "1", "errorText": "net::ERR_CONNECTION_REFUSED", **more}


@pytest.mark.parametrize(
    ("events", "lost"),
    [
        ((asked(), answered(404)), Loss("script", URL, "answered 404")),
        ((asked(), answered(200, mime="text/html")), Loss("script", URL, "was served as text/html")),
        ((asked("Fetch"), answered(500, "Fetch")), Loss("data", URL, "answered 500")),
        ((asked("Font"), failed()), Loss("font", URL, "did not load (ERR_CONNECTION_REFUSED)")),
        (
            (asked("XHR"), failed(corsErrorStatus={"corsError": "MissingAllowOriginHeader"})),
            Loss("data", URL, "was refused by the other site (CORS)"),
        ),
    ],
)
def test_what_failed_is_kept_with_the_reason(events: tuple[tuple[str, dict[str, Any]], ...], lost: Loss) -> None:
    assert losses_of(*events).failed == [lost]


@pytest.mark.parametrize(
    "events",
    [
        (asked(), answered(200, mime="text/javascript")),
        (asked("Fetch"), answered(401, "Fetch")),
        (asked("Fetch"), answered(200, "Fetch", "text/html")),
        (asked("Image"), answered(404, "Image")),
        (asked(frame="other"), answered(404, frame="other")),
        (asked(), failed(canceled=True)),
        (asked(), failed(blockedReason="csp")),
    ],
)
def test_ordinary_answers_and_what_the_page_gave_up_are_no_loss(
    events: tuple[tuple[str, dict[str, Any]], ...],
) -> None:
    assert losses_of(*events).failed == []


def test_a_thousand_losses_are_bounded() -> None:
    losses = Losses()
    for number in range(1_000):
        losses.see(*asked(url=f"{URL}?{number}"), frame_id="main")
        losses.see(*answered(404), frame_id="main")

    assert len(losses.failed) == 50


def test_a_frames_document_is_known_by_the_address_asked_for() -> None:
    losses = losses_of(asked("Document", "f", "https://map.example/"), answered(404, "Document", "text/html", "f"))

    assert losses.frames == {"f": FrameDocument("https://map.example/", 404, "text/html")}


def test_another_sessions_losses_are_not_the_pages() -> None:
    losses = Losses()
    for event in (asked(), answered(404)):
        losses.see(*event, frame_id="main", session="s")

    assert losses.failed == []


def test_a_services_header_says_that_it_answered_in_the_sites_place() -> None:
    assert challenge_of({"CF-Mitigated": "challenge"}) == "cf-mitigated: challenge"
    assert challenge_of({"cf-ray": "1"}) == ""
