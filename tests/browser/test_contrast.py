"""Contrast that axe-core leaves undecided is measured in the browser's rendering, on pairs of pages."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from producer.contract import MeasuredContrast, ScanRequest, ScanResult, Viewport
from tests.support.site import Site
from worker.scan import contrast
from worker.scan.axe import AxeRun
from worker.scan.cdp import JsonObject, Session
from worker.scan.chromium import Chromium
from worker.scan.contrast import MAX_TEXTS, measure_contrast
from worker.scan.deadline import Deadline
from worker.scan.engine import ScanEngine
from worker.scan.guard import Guard
from worker.scan.page import Page
from worker.scan.proxy import ScanProxy
from worker.scan.settings import ScanSettings

Selector = tuple[str | tuple[str, ...], ...]
QUOTE = '"'


def photo(*colours: str) -> str:
    """Return a picture of patches in these colours, as a value for ``background-image``."""
    patches = "".join(
        f"<rect x='{x * 7}' y='{y * 5}' width='7' height='5' fill='{colours[(x + y) % len(colours)]}'/>"
        for x in range(4)
        for y in range(4)
    )
    svg = f"<svg xmlns='http://www.w3.org/2000/svg' width='28' height='20'>{patches}</svg>"
    return f"url(&quot;data:image/svg+xml,{quote(svg)}&quot;)"


DARK, LIGHT = photo("#111", "#222a33", "#1a2a10"), photo("#ddd", "#cde", "#ffe")
WHITE = "linear-gradient(#fff,#fff)"
HALVES = "linear-gradient(to right, #000 50%, #fff 50%)"


def page(body: str, head: str = "") -> str:
    style = "<style>p{margin:20px;padding:8px;width:300px;font:16px sans-serif}</style>"
    begin = f"<!doctype html><html lang=en><head><title>Page</title>{style}{head}</head>"
    return f"{begin}<body><main><h1>Page</h1>{body}</main>"


def line(name: str, colour: str, image: str, more: str = "") -> str:
    style = f"color:{colour};background-image:{image};{more}"
    return f'<p id={name} style="{style}">A line of text that people read</p>'


async def scan(engine: ScanEngine, url: str, **options: Any) -> ScanResult:
    return (await engine.audit(ScanRequest(url=url, deadline_s=120, **options))).result


def measured(result: ScanResult) -> dict[str, MeasuredContrast | None]:
    """Return the measurements by the last part of the element's selector."""
    nodes = [node for finding in result.incomplete if finding.rule == "color-contrast" for node in finding.nodes]
    return {str(node.selector[-1]): node.contrast for node in nodes}


def everywhere(result: ScanResult) -> list[tuple[Selector, MeasuredContrast]]:
    nodes = (node for finding in result.incomplete if finding.rule == "color-contrast" for node in finding.nodes)
    return [(node.selector, node.contrast) for node in nodes if node.contrast]


def verdicts(result: ScanResult) -> dict[str, str]:
    return {name: one.verdict if one else "not measured" for name, one in measured(result).items()}


GLOW = "text-shadow:0 0 3px #000,0 0 3px #000,0 0 3px #000"
SHEER = "background-color:#fff;opacity"
TWINS = {
    "photo-right": ("#fff", DARK, "", "passes"),
    "photo-wrong": ("#555", DARK, "", "fails"),
    "light-right": ("#000", LIGHT, "", "passes"),
    "light-wrong": ("#aaa", LIGHT, "", "fails"),
    "gradient-right": ("#fff", "linear-gradient(#000,#333)", "", "passes"),
    "gradient-wrong": ("#888", "linear-gradient(#999,#888)", "", "fails"),
    "halves": ("#fff", HALVES, "", "undecided"),
    "large-right": ("#777", WHITE, "font-size:24px", "passes"),
    "large-wrong": ("#aaa", WHITE, "font-size:24px", "fails"),
    "bold-right": ("#777", WHITE, "font-size:19px;font-weight:700", "passes"),
    "bold-small": ("#808080", WHITE, "font-size:18px;font-weight:700", "fails"),
    "shadow-wide": ("#fff", LIGHT, GLOW, "undecided"),
    "shadow-wrong": ("#fff", LIGHT, "text-shadow:0 0 1px #fff", "fails"),
    "shadow-under": ("#fff", LIGHT, "text-shadow:0 0 0 #000", "undecided"),
    "opacity-right": ("#fff", DARK, "opacity:.9", "passes"),
    "opacity-wrong": ("#fff", DARK, "opacity:.2", "fails"),
    "group-right": ("#000", WHITE, f"{SHEER}:.9", "passes"),
    "group-wrong": ("#000", WHITE, f"{SHEER}:.3", "fails"),
    "sheer-right": ("rgba(255,255,255,.9)", DARK, "", "passes"),
    "sheer-wrong": ("rgba(255,255,255,.3)", DARK, "", "fails"),
    "fixed-right": ("#fff", DARK, "background-attachment:fixed", "passes"),
    "fixed-wrong": ("#444", DARK, "background-attachment:fixed", "fails"),
    "important-right": ("#fff", DARK, "-webkit-text-fill-color:#fff!important;transition:all 9s", "passes"),
    "rest-right": ("#fff", DARK, "animation:fade 3s", "passes"),
    "rest-wrong": ("#444", DARK, "animation:fade 3s", "fails"),
    "clip": ("transparent", LIGHT, "-webkit-background-clip:text;background-clip:text", "not measured"),
}
"""Colour, picture, other styles, and the verdict."""


async def test_text_is_measured_against_what_is_drawn_behind_it(engine: ScanEngine, site: Site) -> None:
    lines = "".join(line(name, *styles) for name, (*styles, _) in TWINS.items())
    fade = "<style>@keyframes fade{from{opacity:.05}to{opacity:1}}</style>"
    url = site.add("/contrast-twins", page(lines, fade))

    result = await scan(engine, url)

    assert verdicts(result) == {f"#{name}": verdict for name, (*_, verdict) in TWINS.items()}


async def test_text_in_frames_shadow_roots_and_far_below_is_measured(
    engine: ScanEngine, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contrast, "LIMIT_S", 60.0)  # for a busy machine
    inner = line("right", "#fff", DARK) + line("wrong", "#555", DARK)
    site.add("/contrast-frame", page(f'<div style="height:900px"></div>{inner}'))
    banner = '<div style="position:fixed;top:0;height:90px;width:100%;background:#fff">A banner</div>'
    root = f"<div><template shadowrootmode=open><style>p{{padding:9px}}</style>{inner}</template></div>"
    frames = "".join(
        f'<div style="height:1500px"></div><iframe title={host} src="{site.url("/contrast-frame", host=host)}" '
        'style="padding:20px;border:7px solid" width=500 height=400></iframe>'
        for host in ("localhost", "127.0.0.1")
    )
    far = inner.replace("id=", "id=in-")
    scroller = f'<div tabindex=0 style="overflow:auto;height:99px"><div style="height:700px"></div>{far}</div>'
    url = site.add("/contrast-places", page(banner + root + frames + scroller))

    result = await scan(engine, url)

    found = {str(selector): one.verdict for selector, one in everywhere(result)}
    assert sorted(found.values()) == ["fails"] * 4 + ["passes"] * 4
    assert all(("right" in selector) == (verdict == "passes") for selector, verdict in found.items())


async def test_a_page_at_rest_gives_the_same_ratios_each_time(engine: ScanEngine, site: Site) -> None:
    fade = "<style>@keyframes fade{from{opacity:.05}to{opacity:.7}}</style><script></script>"
    moves, still = "animation:fade 1s infinite alternate", "opacity:.7"
    lines = [line(f"{kind}{i}", "#fff", DARK, style) for i in range(3) for kind, style in (("a", moves), ("b", still))]
    url = site.add("/contrast-again", page("".join(lines), fade))

    first, second = await asyncio.gather(scan(engine, url), scan(engine, url))

    ratios = measured(first)
    assert None not in ratios.values()
    assert {ratios[f"#a{i}"] == ratios[f"#b{i}"] for i in range(3)} == {True}
    assert measured(second) == ratios
    assert [finding.fingerprint for finding in second.incomplete] == [f.fingerprint for f in first.incomplete]


async def test_of_very_many_texts_the_first_ones_are_measured(engine: ScanEngine, site: Site) -> None:
    url = site.add("/contrast-many", page("".join(line(f"n{i}", "#fff", DARK, "margin:0") for i in range(90))))

    result = await scan(engine, url)

    assert result.status == "scanned"
    assert result.incomplete[0].node_count == 90
    assert [one.verdict for _, one in everywhere(result)] == ["passes"] * MAX_TEXTS


async def test_a_page_that_is_not_scrolled_is_measured_where_it_stands(engine: ScanEngine, site: Site) -> None:
    below = '<div style="height:3000px"></div>' + line("below", "#fff", DARK)
    url = site.add("/contrast-still", page(line("above", "#fff", DARK) + below))

    result = await scan(engine, url, scroll=False)

    assert verdicts(result) == {"#above": "passes", "#below": "not measured"}


async def test_a_page_is_left_as_it_was(browser_path: str, site: Site) -> None:
    styled = line("one", "#fff", DARK, "-webkit-text-fill-color:#eee!important;transition:all 9s")
    rule = f"#two{{color:#fff;background:{DARK.replace('&quot;', QUOTE)};transition:all 9s}}"
    bare = f"<style>{rule}</style><p id=two>Some more text"
    url = site.add("/contrast-back", page(f'{styled}<div style="height:3000px"></div>{bare}<input name=style>'))
    styles = "Array.from(document.querySelectorAll('[style]'), (one) => one.style.cssText)"
    state = f"[{styles}, scrollY, document.getAnimations().length]"
    browser = await Chromium.launch(Path(browser_path), ScanSettings())
    try:
        async with ScanProxy(Guard(ScanSettings(allow_private=True)), max_bytes=10**8) as proxy:
            viewport = Viewport()
            opened = await Page.open(
                browser, proxy_port=proxy.port, viewport=viewport, user_agent="test", start_script=""
            )
            await opened.session.call("Page.navigate", {"url": url})
            assert await opened.until(lambda: opened.watch.is_loaded, timeout_s=20)
            world = await opened.world(opened.session, opened.watch.frame_id, timeout_s=10)
            before = await opened.evaluate(opened.session, world, state, timeout_s=10)
            axe = AxeRun(opened, ScanRequest(url=url), deadline=Deadline(30), frame_limit_s=5, max_frames=5)
            report = await axe.run(max_nodes=9, with_boxes=False)

            await measure_contrast(opened, report, viewport=viewport, may_scroll=True, left_s=30)

            [undecided] = [rule for rule in report.incomplete if rule["id"] == "color-contrast"]
            assert [node["contrast"].verdict for node in undecided["nodes"]] == ["passes"] * 2
            assert await opened.evaluate(opened.session, world, state, timeout_s=10) == before
    finally:
        await browser.close()


async def test_only_the_part_of_the_window_with_undecided_text_is_drawn_wherever_it_stands(
    engine: ScanEngine, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips: list[dict[str, float]] = []
    call = Session.call

    async def noted(self: Session, method: str, params: JsonObject | None = None, **options: Any) -> JsonObject:
        if method == "Page.captureScreenshot":
            clips.append((params or {})["clip"])
        return await call(self, method, params, **options)

    monkeypatch.setattr(Session, "call", noted)
    far = "<div style='height:3000px'></div>"
    url = site.add("/small", page(f"{far}{line('one', '#fff', DARK)}{far}"))

    result = await scan(engine, url)

    assert verdicts(result) == {"#one": "passes"}
    assert len(clips) == 4
    assert all(clip["height"] < 100 and clip["y"] > 3000 for clip in clips)
