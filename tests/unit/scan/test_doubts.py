"""Doubts derived from plain values, and that ``docs/doubts.md`` has every kind."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from producer.contract import DOUBTS, Doubt, ScanRequest
from producer.contract.doubts import REMARKS
from worker.scan.content import Content, Embedded, FrameElement
from worker.scan.doubts import Evidence, doubts_about
from worker.scan.guard import Refusal
from worker.scan.losses import FrameDocument, Loss
from worker.scan.waiting import Facts
from worker.scan.watch import MainDocument, Watch

URL = "https://www.shop.example/"
FACTS = Facts(
    is_still=True,
    still_ms=0,
    elements=20,
    is_bare=False,
    content_type="text/html",
    title="Shop",
    asks_who=False,
    href=URL,
    height=800,
)
SHOP = Content(href=URL, title="Shop", headings=("Shop",), elements=20, text="Shop\nAxes for all\n")
REFUSED = Refusal("loopback", "127.0.0.1", 8097, "127.0.0.1")
DOCS = Path(__file__).parents[3] / "docs" / "doubts.md"


def watch_of(*failed: Loss, moved_from: str = "", status: int = 200) -> Watch:
    watch = Watch(frame_id="main", committed_loader="1", moved_from=moved_from)
    watch._documents["1"] = MainDocument(URL, "1", status=status, is_whole=True)  # pyright: ignore[reportPrivateUsage]
    watch.losses.failed.extend(failed)
    return watch


def kinds(evidence: Evidence) -> list[str]:
    return [doubt.kind for doubt in doubts_about(ScanRequest(url=URL), evidence)]


@pytest.mark.parametrize(("is_local", "kind"), [(True, "refused-request"), (False, "refused-local")])
def test_a_refused_request_makes_a_local_page_partial_and_a_public_one_not(kind: str, *, is_local: bool) -> None:
    evidence = Evidence(FACTS, SHOP, watch_of(), (REFUSED,), is_page_local=is_local)

    assert kinds(evidence) == [kind]


def test_a_request_that_failed_because_it_was_refused_is_reported_once() -> None:
    lost = Loss("data", "http://127.0.0.1:8097/products", "did not load (ERR_EMPTY_RESPONSE)")

    assert kinds(Evidence(FACTS, SHOP, watch_of(lost), (REFUSED,), is_page_local=True)) == ["refused-request"]


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://www.shop.example/a.css", "failed-stylesheet"),
        ("https://static.shop.example/a.css", "failed-stylesheet"),
        ("https://cdn.example/a.css", "failed-request"),
        ("https://shop.other.example/a.css", "failed-request"),
    ],
)
def test_a_failed_stylesheet_of_the_site_makes_the_page_partial_and_another_site_s_is_a_remark(
    url: str, kind: str
) -> None:
    assert kinds(Evidence(FACTS, SHOP, watch_of(Loss("stylesheet", url, "answered 404")))) == [kind]


@pytest.mark.parametrize(("silent", "found"), [(0, []), (1, ["audit-failed"]), (2, ["audit-failed"])])
def test_frames_that_do_not_say_what_they_show_are_in_doubt(silent: int, found: list[str]) -> None:
    assert kinds(Evidence(FACTS, replace(SHOP, silent_frames=silent), watch_of())) == found


@pytest.mark.parametrize(
    ("left", "found"), [("https://shop.example/", []), ("https://other.example/", ["moved-host"]), ("", [])]
)
def test_a_page_that_moved_within_its_site_is_in_no_doubt(left: str, found: list[str]) -> None:
    assert kinds(Evidence(FACTS, SHOP, watch_of(moved_from=left))) == found


@pytest.mark.parametrize(
    ("embedded", "is_doubtful"),
    [
        (Embedded("https://a.example/t.html", "text/html", has_window=True, where="object"), True),
        (Embedded("https://a.example/t", "", has_window=True, where="object"), True),
        (Embedded("https://a.example/t.pdf", "application/pdf", has_window=False, where="embed"), True),
        (Embedded("https://a.example/t.svg", "", has_window=True, where="object"), False),
        (Embedded("https://a.example/t", "image/svg+xml", has_window=True, where="object"), False),
        (Embedded("https://a.example/t.mp4?x=1", "", has_window=False, where="embed"), False),
        # cut at 2,000 characters, within the host
        (Embedded(f"http://{'u' * 1_989}@[::", "text/html", has_window=True, where="object"), True),
    ],
)
def test_embedded_documents_are_in_doubt_and_pictures_are_not(embedded: Embedded, *, is_doubtful: bool) -> None:
    content = Content(href=URL, title="Shop", elements=20, text="Shop", embedded=(embedded,))

    assert kinds(Evidence(FACTS, content, watch_of())) == (["embedded-document"] if is_doubtful else [])


@pytest.mark.parametrize(
    ("hidden", "text", "modal", "steps", "is_doubtful"),
    [
        (200, "Are you over 18?", "", (), True),
        (199, "Are you over 18?", "", (), False),
        (999, "x" * 500, "", (), False),
        (1000, "x" * 500, "", (), True),
        (200, "Menu", "", ({"click": "#menu"}, {"scan": "menu open"}), False),
        (200, "Are you over 18?", "dialog#age", (), False),  # which is another doubt if rules ignore the rest
    ],
)
def test_a_hidden_main_part_is_in_doubt_if_it_has_more_than_is_shown(
    hidden: int, text: str, modal: str, steps: tuple[dict[str, str], ...], *, is_doubtful: bool
) -> None:
    content = Content(href=URL, title="Wines", elements=20, text=text, hidden_in_main=hidden, modal=modal)
    request = ScanRequest.model_validate({"url": URL, "steps": steps})

    found = doubts_about(request, Evidence(FACTS, content, watch_of()))

    assert [doubt.kind for doubt in found] == (["hidden-content"] if is_doubtful else [])


def test_a_sign_in_page_with_the_application_hidden_behind_it_is_in_no_other_doubt() -> None:
    content = Content(href=URL, title="Shop", elements=20, text="Password", passwords=1, hidden_in_main=900)

    assert kinds(Evidence(FACTS, content, watch_of())) == []


def test_only_a_visible_frame_is_reported_as_unread() -> None:
    watch = watch_of()
    watch.losses.frames["f"] = FrameDocument("https://ads.example/", 404, "text/html")
    shown = Content(text="Shop", frames=(FrameElement("https://ads.example/", is_empty=False, where="iframe"),))

    assert kinds(Evidence(FACTS, SHOP, watch)) == []
    assert kinds(Evidence(FACTS, shown, watch)) == ["unread-frame"]


def test_what_a_page_says_is_one_short_line_of_valid_text() -> None:
    watch = watch_of(
        *(Loss("script", f"https://a.example/{'x' * 1_900}{n}\n\ud800", "answered 404") for n in range(50))
    )

    [doubt] = doubts_about(ScanRequest(url=URL), Evidence(FACTS, SHOP, watch))

    assert len(doubt.what) <= 300
    assert doubt.what.isprintable()
    assert doubt.what.endswith("; and 47 more")
    assert doubt.model_dump_json()


def test_the_docs_have_a_row_for_every_kind_with_its_status() -> None:
    rows = dict(re.findall(r"^\| `([a-z0-9-]+)` \| .*? \| (partial|remark) \|", DOCS.read_text("utf-8"), re.MULTILINE))

    assert rows == {kind: "remark" if kind in REMARKS else "partial" for kind in DOUBTS}
    assert all(Doubt(kind=kind, what="").is_unseen == (status == "partial") for kind, status in rows.items())
