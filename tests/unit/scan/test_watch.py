"""The record of a page's events."""

from __future__ import annotations

from typing import Any

import pytest

from worker.scan.watch import Redirect, Watch


def sent(request: str, url: str, *, kind: str = "Document", frame: str = "main", **more: Any) -> dict[str, Any]:
    return {"requestId": request, "loaderId": request, "request": {"url": url}, "type": kind, "frameId": frame, **more}


def watch_of(*events: tuple[str, dict[str, Any]]) -> Watch:
    watch = Watch(frame_id="main")
    for number, (method, params) in enumerate(events):
        watch.see(method, params, now_s=float(number))
    return watch


def received(request: str, status: int, *, mime_type: str = "text/html") -> tuple[str, dict[str, Any]]:
    response = {"status": status, "mimeType": mime_type}
    return "Network.responseReceived", {"requestId": request, "response": response}


def committed(loader: str) -> tuple[str, dict[str, Any]]:
    return "Page.frameNavigated", {"frame": {"id": "main", "loaderId": loader}}


REQUEST = "Network.requestWillBeSent"
FINISHED = "Network.loadingFinished"
FAILED = "Network.loadingFailed"


def test_the_main_document_is_followed_from_request_to_end() -> None:
    watch = watch_of(
        (REQUEST, sent("1", "http://a/")), received("1", 200), committed("1"), (FINISHED, {"requestId": "1"})
    )

    document = watch.document

    assert document is not None
    assert (document.status, document.is_whole) == (200, True)
    assert watch.inflight == {}


def test_redirects_by_server_and_by_page_are_kept_in_order() -> None:
    hop = sent("1", "http://a/new", redirectResponse={"status": 301})
    watch = watch_of(
        (REQUEST, sent("1", "http://a/")), (REQUEST, hop), committed("1"), (REQUEST, sent("2", "http://b/"))
    )

    assert watch.redirects == [Redirect(301, "http://a/new"), Redirect(0, "http://b/")]


def test_a_navigation_that_comes_to_nothing_leaves_the_page_as_it_was() -> None:
    watch = watch_of(
        *((REQUEST, sent("1", "http://a/")), received("1", 200), committed("1")),
        *((REQUEST, sent("2", "http://a/file")), (FAILED, {"requestId": "2", "errorText": "net::ERR_ABORTED"})),
    )

    assert watch.document is not None
    assert watch.document.url == "http://a/"
    assert (watch.navigations, watch.departures) == (0, 1)


def test_a_navigation_by_the_page_restarts_the_load() -> None:
    watch = watch_of(
        *((REQUEST, sent("1", "http://a/")), committed("1"), ("Page.loadEventFired", {})),
        *((REQUEST, sent("2", "http://b/")), committed("2")),
    )

    assert watch.navigations == 1
    assert not watch.is_loaded


def test_a_page_that_is_loaded_after_another_has_none_of_its_losses() -> None:
    style = sent("2", "http://a/login.css", kind="Stylesheet")
    watch = watch_of(
        *((REQUEST, sent("1", "http://a/login")), committed("1"), ("Page.loadEventFired", {})),
        *((REQUEST, style), received("2", 404, mime_type="text/css")),
        *((REQUEST, sent("3", "http://a/in")), committed("3"), ("Page.loadEventFired", {})),
    )
    assert watch.moved_from == "http://a/login"
    watch.see(REQUEST, style | {"requestId": "4"}, now_s=9.0)
    watch.see(*received("4", 404, mime_type="text/css"), now_s=9.0)
    assert [loss.url for loss in watch.losses.failed] == ["http://a/login.css"]

    watch.restart()
    for event in ((REQUEST, sent("5", "http://b/")), committed("5")):
        watch.see(*event, now_s=10.0)

    assert (watch.losses.failed, watch.moved_from) == ([], "")


def test_only_requests_somebody_waits_for_are_open() -> None:
    watch = watch_of(
        (REQUEST, sent("1", "http://a/app.js", kind="Script")),
        (REQUEST, sent("2", "http://a/events", kind="EventSource")),
        (REQUEST, sent("3", "data:text/plain,x", kind="Image")),
        (REQUEST, sent("4", "blob:http://a/1", kind="Other")),
    )

    assert list(watch.inflight) == ["1"]


def test_a_frames_document_is_asked_for_in_one_session_and_ends_in_another() -> None:
    watch = Watch(frame_id="main")
    watch.see(REQUEST, sent("1", "http://b/", frame="f"), now_s=0.0)

    watch.see(FINISHED, {"requestId": "1"}, now_s=1.0, session="s")

    assert watch.inflight == {}


def test_a_frames_requests_go_with_the_frame() -> None:
    watch = Watch(frame_id="main")
    watch.see(REQUEST, sent("1", "http://b/x", kind="Image", frame="other"), now_s=0.0, session="s")

    watch.forget_session("s")

    assert watch.inflight == {}


def test_a_frame_that_failed_is_unread_unless_the_site_forbids_to_embed_it() -> None:
    watch = watch_of(
        *((REQUEST, sent("1", "http://b/", frame="f")), (FAILED, {"requestId": "1", "errorText": "net::ERR_FAILED"})),
        (REQUEST, sent("2", "http://c/", frame="g")),
        (FAILED, {"requestId": "2", "errorText": "net::ERR_BLOCKED_BY_RESPONSE"}),
    )

    assert watch.unread_frames == {"http://b/": "net::ERR_FAILED"}


def test_of_two_frames_with_one_address_each_is_unread_by_itself() -> None:
    failed = {"errorText": "net::ERR_CONNECTION_REFUSED"}
    watch = watch_of(
        *((REQUEST, sent("1", "http://b/", frame="f")), (FAILED, {"requestId": "1", **failed})),
        *((REQUEST, sent("2", "http://b/", frame="g")), (FAILED, {"requestId": "2", **failed})),
    )

    assert set(watch.unread) == {"f", "g"}


@pytest.mark.parametrize("first", [(FAILED, {"requestId": "1", "errorText": "net::ERR_FAILED"}), None])
def test_a_frame_that_is_loaded_after_all_is_not_unread(first: tuple[str, dict[str, Any]] | None) -> None:
    watch = parsed_with(sent("1", "http://b/", frame="f"))
    if first is None:
        assert watch.give_up(60.0, **LIMITS)
        again = received("1", 200)
    else:
        watch.see(*first, now_s=1.0)
        watch.see(REQUEST, sent("2", "http://b/", frame="f"), now_s=2.0)
        again = received("2", 200)
    assert watch.unread_frames

    watch.see(*again, now_s=61.0)

    assert watch.unread_frames == {}


def test_a_frame_whose_process_died_has_its_address() -> None:
    watch = watch_of((REQUEST, sent("1", "http://b/", frame="f")), received("1", 200))

    watch.frame_died("f")
    watch.frame_died("unknown")

    assert watch.unread_frames == {"http://b/": "its process died", "a frame without an address": "its process died"}


def test_a_frames_load_event_is_not_the_pages() -> None:
    watch = Watch(frame_id="main")

    watch.see("Page.loadEventFired", {}, now_s=0.0, session="s")

    assert not watch.is_loaded


STOPPED = "Page.frameStoppedLoading"
LIMITS = {"looks_s": 5.0, "frame_s": 10.0}


def test_a_page_that_stopped_loading_without_a_load_event_is_loaded() -> None:
    app = sent("2", "myapp://open")
    watch = watch_of((STOPPED, {"frameId": "main"}), (REQUEST, sent("1", "http://a/")), committed("1"), (REQUEST, app))
    assert not watch.is_loaded

    watch.see(FAILED, {"requestId": "2", "errorText": "net::ERR_ABORTED"}, now_s=1.0)
    watch.see(STOPPED, {"frameId": "main"}, now_s=2.0)

    assert watch.is_loaded
    assert watch.redirects == []


def test_the_document_of_a_media_file_ends_with_its_frame() -> None:
    watch = watch_of((REQUEST, sent("1", "http://a/film.mp4", frame="f")), (STOPPED, {"frameId": "g"}))
    assert list(watch.inflight) == ["1"]

    watch.see(STOPPED, {"frameId": "f"}, now_s=1.0)

    assert watch.inflight == {}


def test_a_stream_of_events_is_neither_open_nor_traffic() -> None:
    watch = watch_of((REQUEST, sent("1", "http://a/events", kind="Fetch")))

    response = {"status": 200, "mimeType": "text/event-stream"}
    watch.see("Network.responseReceived", {"requestId": "1", "response": response}, now_s=1.0)
    watch.see("Network.dataReceived", {"requestId": "1", "dataLength": 8}, now_s=2.0)

    assert (watch.inflight, watch.last_network_s, watch.received_bytes) == ({}, 0.0, 8)


def parsed_with(*requests: dict[str, Any]) -> Watch:
    return watch_of(("Page.domContentEventFired", {}), *((REQUEST, request) for request in requests))


def test_silent_images_are_given_up_and_stay_noted() -> None:
    watch = parsed_with(sent("1", "http://a/x.png", kind="Image"))

    assert not watch.give_up(5.9, **LIMITS)
    assert watch.give_up(6.0, **LIMITS)

    assert watch.inflight == {}
    assert [request.url for request in watch.open_since(1.0)] == ["http://a/x.png"]


def test_an_image_that_drips_is_given_up_later() -> None:
    watch = parsed_with(sent("1", "http://a/x.png", kind="Image"))
    for second in range(2, 20):
        watch.see("Network.dataReceived", {"requestId": "1", "dataLength": 1}, now_s=float(second))

    assert not watch.give_up(15.9, **LIMITS)
    assert watch.give_up(16.0, **LIMITS)


def test_a_stream_of_images_without_a_first_one_is_abandoned_and_one_of_events_delays_nothing() -> None:
    camera = parsed_with(sent("1", "http://a/camera", kind="Image"))
    camera.see(*received("1", 200, mime_type="multipart/x-mixed-replace"), now_s=2.0)
    events = parsed_with(sent("1", "http://a/events", kind="Fetch"))
    events.see(*received("1", 200, mime_type="text/event-stream"), now_s=2.0)

    assert not camera.give_up(5.9, **LIMITS)
    assert camera.give_up(6.0, **LIMITS)
    assert not events.give_up(60.0, **LIMITS)


def test_nothing_is_given_up_while_a_script_is_open_or_the_page_is_not_parsed() -> None:
    image = sent("1", "http://a/x.png", kind="Image")
    blocked = parsed_with(image, sent("2", "http://a/x.js", kind="Script"))
    parsing = watch_of((REQUEST, image))

    assert not blocked.give_up(60.0, **LIMITS)
    assert not parsing.give_up(60.0, **LIMITS)
    assert len(blocked.inflight) == 2


@pytest.mark.parametrize("kind", ["Script", "Stylesheet"])
def test_a_complete_page_is_held_up_by_requests_without_a_response(kind: str) -> None:
    document = ((REQUEST, sent("1", "http://a/")), received("1", 200), committed("1"), (FINISHED, {"requestId": "1"}))
    parts = (sent("2", "http://a/x", kind=kind), sent("3", "http://a/y", kind="Image"))
    watch = watch_of(*document, *((REQUEST, part) for part in parts))

    assert not watch.is_held_up(18.9, **LIMITS, silent_s=15)
    assert watch.is_held_up(19.0, **LIMITS, silent_s=15)

    watch.see(*received("2", 200), now_s=20.0)
    assert not watch.is_held_up(60.0, **LIMITS, silent_s=15)


def test_a_frame_that_nobody_answers_is_given_up_as_unread_and_one_that_is_slow_is_not() -> None:
    silent, slow = parsed_with(sent("1", "http://b/", frame="f")), parsed_with(sent("1", "http://b/", frame="f"))
    slow.see(*received("1", 200), now_s=2.0)

    assert silent.give_up(12.0, **LIMITS)
    assert not slow.give_up(12.0, **LIMITS)
    assert silent.unread_frames == {"http://b/": "no answer within 10.0 s"}
