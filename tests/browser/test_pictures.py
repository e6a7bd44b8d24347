"""Screenshots of a page and of its failing elements, on request."""

from __future__ import annotations

import base64
import struct

import pytest

from producer.contract import PAGE_SHOT, ScanRequest, Viewport
from tests.support.hostile import GUILTY
from tests.support.site import Site
from worker.scan import pictures
from worker.scan.engine import ScanEngine
from worker.scan.pictures import CROPS_PER_FINDING, MARGIN, MAX_HEIGHT
from worker.scan.settings import Audit

NOISE = """<canvas id=noise width=640 height=9000></canvas><script>
const paper = document.getElementById("noise").getContext("2d"), image = paper.createImageData(640, 300);
for (let i = 0, n = 1; i < image.data.length; i++) { n = n * 1664525 + 1013904223 >>> 0; image.data[i] = n >>> 24; }
for (let top = 0; top < 9000; top += 300) paper.putImageData(image, 0, top);</script>"""


def jpeg_size(picture: bytes) -> tuple[int, int]:
    """Return width and height from the frame header (ITU T.81, B.2.2)."""
    assert picture.startswith(b"\xff\xd8")
    at = 2
    while picture[at + 1] not in {0xC0, 0xC1, 0xC2}:
        at += 2 + int.from_bytes(picture[at + 2 : at + 4])
    height, width = struct.unpack(">HH", picture[at + 5 : at + 9])
    return width, height


async def photographed(engine: ScanEngine, url: str) -> Audit:
    viewport = Viewport(width=640, height=480)
    return await engine.audit(ScanRequest(url=url, screenshot=True, viewport=viewport, deadline_s=30))


async def test_a_screenshot_shows_the_page_and_each_barrier(engine: ScanEngine, site: Site) -> None:
    spacer = '<div style="height:2000px"></div><img width=40 height=30 style="display:block;margin:50px" '
    url = site.add("/tall", GUILTY.replace("<img ", spacer))

    audit = await photographed(engine, url)

    node = audit.result.findings[0].nodes[0]
    assert node.box is not None
    left, top, *size = node.box
    width, height = jpeg_size(audit.shots[PAGE_SHOT])
    assert set(audit.shots) == {PAGE_SHOT, node.fingerprint}
    assert width == 640
    assert left == 58
    assert 2000 < top < height
    assert size == [40, 30]
    assert jpeg_size(audit.shots[node.fingerprint]) == (40 + 2 * MARGIN, 30 + 2 * MARGIN)


@pytest.mark.parametrize("above_px", [0, 5000], ids=["cut from the page", "cut from a part of a tall page"])
async def test_each_of_many_screenshots_shows_its_own_element(engine: ScanEngine, site: Site, above_px: int) -> None:
    colours = {"label": "rgb(200, 40, 40)", "button-name": "rgb(40, 160, 40)", "image-alt": "rgb(40, 40, 200)"}
    style = "display:block;border:0;padding:0;width:60px;height:30px;margin:"
    tags = {"label": "<input", "button-name": "<button", "image-alt": "<img"}
    shown = [
        f'{tags[rule]} style="{style}{90 * i + 20}px 0 90px {200 * i + 40}px;background:{colour}">'
        + "</button>" * (rule == "button-name")
        for i, (rule, colour) in enumerate(colours.items())
    ]
    above = f'<h1 style="height:{above_px}px">Colours</h1>'
    url = site.add("/colours", f"<!doctype html><html lang=en><title>Colours</title>{above}{''.join(shown)}")

    audit = await photographed(engine, url)

    found = {one.rule: audit.shots[one.nodes[0].fingerprint] for one in audit.result.findings if one.rule in colours}
    assert {jpeg_size(shot) for shot in found.values()} == {(60 + 2 * MARGIN, 30 + 2 * MARGIN)}
    seen = {rule: await colour_of(engine, site, shot) for rule, shot in found.items()}
    assert seen == {rule: pytest.approx(read_colour(colour), abs=12) for rule, colour in colours.items()}


async def test_a_page_whose_screenshots_cannot_be_cut_is_scanned_and_the_result_says_so(
    engine: ScanEngine, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(name: str) -> str:
        return f"async () => {{ throw new Error('{name}: out of memory') }}"

    monkeypatch.setattr(pictures, "script", failing)

    audit = await photographed(engine, site.url("/pages/guilty.html"))

    assert (audit.result.status, audit.shots) == ("scanned", {})
    (note,) = audit.result.notes
    assert note.startswith("not all screenshots could be taken: ")
    assert "out of memory" in note


def read_colour(text: str) -> list[int]:
    return [int(part) for part in text.removeprefix("rgb(").removesuffix(")").split(",")]


async def colour_of(engine: ScanEngine, site: Site, shot: bytes) -> list[int]:
    """Return the colour in the picture's middle, as a page reads it."""
    source = f"data:image/jpeg;base64,{base64.b64encode(shot).decode()}"
    script = """<script>addEventListener("load", () => {
        const image = document.images[0], paper = document.createElement("canvas").getContext("2d");
        paper.drawImage(image, image.width / -2, image.height / -2);
        document.title = paper.getImageData(0, 0, 1, 1).data.slice(0, 3).join();
    });</script>"""
    shown = f"<h1>Read</h1><img alt=shot src={source}>{script}"
    url = site.add("/read", f"<!doctype html><html lang=en><title>?</title>{shown}")
    audit = await engine.audit(ScanRequest(url=url))
    return [int(part) for part in audit.result.title.split(",")]


async def test_only_a_findings_first_nodes_that_can_be_seen_are_cropped(engine: ScanEngine, site: Site) -> None:
    images = '<img src=x width=9 height=9 style="position:absolute;left:-99px"><img src=x hidden>' + "<img src=x>" * 9
    url = site.add("/many-images", GUILTY.replace("<img ", f"{images}<img "))

    audit = await photographed(engine, url)

    assert len(audit.result.findings[0].nodes) > 9
    assert len(audit.shots) == 1 + CROPS_PER_FINDING


async def test_no_picture_is_taken_unless_asked_for(engine: ScanEngine, site: Site) -> None:
    audit = await engine.audit(ScanRequest(url=site.url("/pages/guilty.html")))

    assert audit.shots == {}
    assert "picture" not in audit.result.timings_ms


async def test_pictures_stay_small_and_a_page_of_any_height_is_drawn(engine: ScanEngine, site: Site) -> None:
    noisy = await photographed(engine, site.add("/noise", GUILTY.replace("<img ", f"{NOISE}<img ")))
    tower = GUILTY.replace("<img ", '<div style="height:200000px"></div><img ')
    endless = await photographed(engine, site.add("/tower", tower))

    assert len(noisy.shots[PAGE_SHOT]) <= pictures.MAX_PAGE_BYTES
    assert jpeg_size(noisy.shots[PAGE_SHOT])[0] < 640, "it was too large at first"
    assert jpeg_size(endless.shots[PAGE_SHOT]) == (640, MAX_HEIGHT)
    assert endless.result.status == "scanned"


async def test_the_picture_of_a_failed_step_is_of_the_device_s_window(engine: ScanEngine, site: Site) -> None:
    viewport = "<meta name=viewport content='width=device-width'>"
    url = site.add("/on-a-phone", f"<!doctype html><html lang=en>{viewport}<title>Phone</title><h1>Phone</h1>")
    steps = [{"click": "#none", "timeout_s": 0.3}]
    request = ScanRequest.model_validate({"url": url, "device": "iPhone 14", "screenshot": True, "steps": steps})

    audit = await engine.audit(request)

    assert audit.result.status == "unreachable"
    assert jpeg_size(audit.shots[PAGE_SHOT]) == (request.window.width, request.window.height)


async def test_of_screenshots_that_are_too_large_together_the_first_are_kept_and_the_result_says_so(
    engine: ScanEngine, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "MAX_ALL_BYTES", 100)

    audit = await photographed(engine, site.url("/pages/guilty.html"))

    assert set(audit.shots) == {PAGE_SHOT}
    assert audit.result.notes == ("only 100 bytes of screenshots are kept per scan",)
