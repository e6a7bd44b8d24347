"""What is seen of a page, event by event."""

from __future__ import annotations

from typing import Any

from worker.scan.watch import Redirect, Watch


def sent(request: str, url: str, *, kind: str = "Document", frame: str = "main", **more: Any) -> dict[str, Any]:
    return {"requestId": request, "loaderId": request, "request": {"url": url}, "type": kind, "frameId": frame, **more}


def watch_of(*events: tuple[str, dict[str, Any]]) -> Watch:
    watch = Watch(frame_id="main")
    for number, (method, params) in enumerate(events):
        watch.see(method, params, now_s=float(number))
    return watch


def received(request: str, status: int) -> tuple[str, dict[str, Any]]:
    response = {"status": status, "mimeType": "text/html"}
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


def test_a_navigation_by_the_page_starts_the_load_anew() -> None:
    watch = watch_of(
        *((REQUEST, sent("1", "http://a/")), committed("1"), ("Page.loadEventFired", {})),
        *((REQUEST, sent("2", "http://b/")), committed("2")),
    )

    assert watch.navigations == 1
    assert not watch.is_loaded


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


def test_a_frames_load_event_is_not_the_pages() -> None:
    watch = Watch(frame_id="main")

    watch.see("Page.loadEventFired", {}, now_s=0.0, session="s")

    assert not watch.is_loaded
