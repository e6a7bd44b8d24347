"""The live checks in the HTML report: evidence, screenshots, the path of the Tab key."""

from __future__ import annotations

from dataclasses import replace

from producer.contract.live import Evidence, LivePath, LiveReport, Stop
from producer.contract.live_shots import PATH_SHOT, shot_name
from producer.reports.html_live import drawn_stops, keys_text, live_shots
from producer.reports.page import Page, page_of
from tests.support.site import PIXEL
from tests.unit.reports import sample_pages as sample


def used(name: str = "Tea") -> Page:
    """A page with one finding of a live check, and its path."""
    review = sample.finding("live-trap").revised(outcome="incomplete", engine="live")
    evidence = Evidence(keys=("Tab", "Tab", "Escape"), measured={"room": "40 px"}, before="At 100 %", after=name)
    review = review.revised(nodes=tuple(node.revised(evidence=evidence) for node in review.nodes))
    stops = (Stop(name=name, selector=("#a",), box=(40, 30, 90, 20)), Stop(name="Off", box=(-900, 0, 5, 5)))
    live = LiveReport(ran=("keyboard",), path=LivePath(stops=stops, ended="the focus left", size=(800, 600)))
    page = page_of(sample.scan_result("/tea.html").model_copy(update={"incomplete": (review,), "live": live}))
    return replace(page, pictures=dict.fromkeys(live_shots(page), PIXEL))


def test_evidence_and_path_are_shown_as_text_and_never_as_markup() -> None:
    text = sample.render("html", [used(sample.HOSTILE)])

    assert "<kbd>Tab, 2 times</kbd> <kbd>Escape</kbd>" in text
    assert "40 px" in text
    assert text.count('<figure><img src="data:image/png;base64') == 2
    assert '<svg class="path-picture" viewBox="0 0 800 600" width="800"' in text
    assert "onerror=steal()>" not in text


def test_stops_are_numbered_and_those_off_the_page_are_not_drawn() -> None:
    page = used()

    assert page.result is not None
    assert page.result.live is not None
    assert page.result.live.path is not None
    assert [stop.number for stop in drawn_stops(page.result.live.path)] == [1]


def test_the_pictures_of_a_page_are_those_that_its_result_names() -> None:
    names = {shot_name("live-trap-n0", when) for when in ("before", "after")}

    assert set(live_shots(used())) == {PATH_SHOT, *names}
    assert list(live_shots(page_of(sample.scan_result("/tea.html")))) == []


def test_a_key_pressed_again_is_listed_once() -> None:
    assert keys_text(("Tab", "Tab", "Tab", "Escape", "Tab")) == ["Tab, 3 times", "Escape", "Tab"]
