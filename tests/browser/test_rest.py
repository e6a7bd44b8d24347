"""A page is audited completely and at rest: content that appears on scrolling, and animations at their end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from producer.contract import ScanRequest, ScanResult, Viewport
from producer.contract.rules import AXE_RULES
from tests.support.scans import passes
from tests.support.site import Request, Site, reply
from worker.scan.chromium import Chromium
from worker.scan.engine import ScanEngine
from worker.scan.guard import Guard
from worker.scan.page import Page
from worker.scan.proxy import ScanProxy
from worker.scan.rest import Rest
from worker.scan.settings import ScanSettings

FADE = "@keyframes fade{from{opacity:.05}to{opacity:1}}"
IMAGE = '"<img src=/pixel.png>"'
WATCH = f"""<script>new IntersectionObserver(seen => {{
  if (seen[0].isIntersecting) document.querySelector("#late").innerHTML = {IMAGE};
}}, {{threshold: .5}}).observe(document.querySelector("#late"))</script>"""


def page(body: str, head: str = "") -> str:
    return f"<!doctype html><html lang=en><head><title>Page</title>{head}</head><body><main><h1>Page</h1>{body}</main>"


async def scan(engine: ScanEngine, url: str, **options: Any) -> ScanResult:
    return (await engine.audit(ScanRequest(url=url, deadline_s=30, **options))).result


def rules_of(result: ScanResult) -> set[str]:
    return {finding.rule for finding in result.findings}


def spacer(height: int) -> str:
    return f'<div style="height:{height}px"></div>'


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_lazy_frame_far_below_is_loaded_and_audited(engine: ScanEngine, site: Site, host: str) -> None:
    frame = f'<iframe loading=lazy title=map src="{site.url("/pages/guilty.html", host=host)}"></iframe>'
    url = site.add("/lazy-frame", page(spacer(9_000) + frame))

    result = await scan(engine, url)

    assert result.status == "scanned"
    assert [node.selector for node in result.findings[0].nodes] == [("iframe", "img")]


async def test_a_lazy_frame_far_below_in_a_box_of_a_page_without_scripts_is_loaded_and_audited(
    engine: ScanEngine, site: Site
) -> None:
    frame = f'<iframe loading=lazy title=map src="{site.url("/pages/guilty.html")}"></iframe>'
    box = f'<div tabindex=0 style="height:600px;overflow:auto">{spacer(8_000)}{frame}</div>'
    url = site.add("/lazy-frame-in-box", page(box))

    result = await scan(engine, url)

    assert (result.status, result.doubts) == ("scanned", ())
    assert [node.selector for node in result.findings[0].nodes] == [("iframe", "img")]


@pytest.mark.parametrize(("kind", "scroll"), [("lazy", True), ("added", False)])
async def test_a_frame_that_does_not_delay_the_load_is_waited_for_as_any_other(
    settings: ScanSettings, site: Site, kind: str, *, scroll: bool
) -> None:
    patient = replace(settings, load_limit_s=20.0, frame_limit_s=10.0)  # for a busy machine

    async def late(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2.0)  # longer than a page is waited for to become still
        await reply("<!doctype html><html lang=en><title>Map</title><img src=/pixel.png>")(request, writer)

    site.add("/late-map", late)
    frame = "<iframe loading=lazy title=map src=/late-map></iframe>"
    later = f"<script>onload = () => setTimeout(() => {{ document.body.innerHTML += `{frame}` }})</script>"
    url = site.add(f"/late-frame-{kind}", page(frame if kind == "lazy" else later))

    async with ScanEngine(patient) as engine:
        result = await scan(engine, url, scroll=scroll)

    assert (result.status, result.doubts) == ("scanned", ())
    assert rules_of(result) == {"image-alt"}


async def test_what_is_revealed_on_scrolling_is_audited_unless_scrolling_is_off(engine: ScanEngine, site: Site) -> None:
    url = site.add("/reveal", page(f'{spacer(3_000)}<div id=late style="min-height:90px"></div>{WATCH}'))

    scrolled, unscrolled = await scan(engine, url), await scan(engine, url, scroll=False)

    assert rules_of(scrolled) == {"image-alt"}
    assert passes(unscrolled)


@pytest.mark.parametrize(("height", "sees"), [(60_000, True), (400_000, False)])
async def test_a_long_page_is_scrolled_to_its_end_or_says_that_it_was_not(
    engine: ScanEngine, site: Site, height: int, *, sees: bool
) -> None:
    url = site.add(f"/long-{height}", page(f'{spacer(height)}<div id=late style="min-height:90px"></div>{WATCH}'))

    result = await scan(engine, url)

    assert (result.status, rules_of(result)) == ("scanned", {"image-alt"} if sees else set())
    assert [doubt.kind for doubt in result.doubts] == ([] if sees else ["endless-feed"])


@pytest.mark.parametrize(("height", "sees"), [(20_000, True), (400_000, False)])
async def test_a_page_that_scrolls_in_a_box_is_scrolled_as_far_as_in_the_window(
    engine: ScanEngine, site: Site, height: int, *, sees: bool
) -> None:
    late = f'{spacer(height)}<div id=late style="min-height:90px"></div>'
    body = f'<div tabindex=0 style="height:90vh;overflow:auto">{late}</div>{WATCH}'
    url = site.add(f"/long-box-{height}", page(body))

    result = await scan(engine, url)

    assert (result.status, rules_of(result)) == ("scanned", {"image-alt"} if sees else set())
    assert [doubt.kind for doubt in result.doubts] == ([] if sees else ["endless-feed"])


BUSY = """<script>addEventListener("scroll", () => {
  for (const began = performance.now(); performance.now() - began < %s;);
}, true)</script>"""


@pytest.mark.parametrize(
    ("boxes", "height", "also", "sees"),
    [(24, 300, "", True), (99, 900, "", False), (40, 300, BUSY % 300, False), (40, 300, BUSY % 1400, False)],
)
async def test_each_of_many_boxes_is_scrolled_or_the_result_says_that_some_were_not(
    engine: ScanEngine, site: Site, boxes: int, height: int, also: str, *, sees: bool
) -> None:
    box = f'<div tabindex=0 style="height:200px;overflow:auto"><div style="height:{height}px"></div>{{}}</div>'
    late = '<div id=late style="min-height:90px"></div>'
    url = site.add(f"/boxes-{boxes}", page(also + box.format("") * boxes + box.format(late) + WATCH))

    result = await scan(engine, url)

    assert (result.status, rules_of(result)) == ("scanned", {"image-alt"} if sees else set())
    assert [doubt.kind for doubt in result.doubts] == ([] if sees else ["endless-feed"])


async def test_a_page_too_busy_to_say_whether_it_scrolls_is_said_not_to_have_been_scrolled(
    engine: ScanEngine, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    scroll = Rest.scroll

    async def scroll_while_busy(rest: Rest, *, left_s: float) -> str:
        busy = "for (const began = performance.now(); performance.now() - began < 3000;);"
        rest._page.session.post("Runtime.evaluate", {"expression": busy})
        return await scroll(rest, left_s=left_s)

    monkeypatch.setattr(Rest, "scroll", scroll_while_busy)

    result = await scan(engine, site.add("/busy", page("<p>Busy")))

    assert result.status == "scanned"
    assert [doubt.kind for doubt in result.doubts] == ["endless-feed"]


@pytest.mark.parametrize(("style", "sees"), [("", True), ("overflow-x:hidden", False), ("direction:rtl", True)])
async def test_a_window_is_scrolled_sideways_where_a_visitor_can(
    engine: ScanEngine, site: Site, style: str, *, sees: bool
) -> None:
    wide = f'<style>body {{ {style} }}</style><div style="display:flex"><div style="flex:0 0 6000px">Rooms</div>'
    url = site.add("/sideways", page(f'{wide}<div id=late style="flex:0 0 90px;min-height:90px"></div></div>{WATCH}'))

    result = await scan(engine, url)

    assert (result.status, rules_of(result)) == ("scanned", {"image-alt"} if sees else set())
    assert result.doubts == ()


@pytest.mark.parametrize(("rows", "is_live"), [(5_000, True), (100, True), (5_000, False)])
async def test_a_list_that_draws_its_rows_on_scrolling_says_that_most_were_not_seen(
    engine: ScanEngine, site: Site, rows: int, *, is_live: bool
) -> None:
    draw = "rows.innerHTML = '<li>Row ' + Math.floor(list.scrollTop / 20) + '</li>'" if is_live else "1"
    script = f"<script>list.addEventListener('scroll', () => {{ {draw} }})</script>"
    box = f'<div id=list tabindex=0 style="height:300px;overflow:auto"><ul id=rows></ul>{spacer(rows * 20)}</div>'
    url = site.add(f"/list-{rows}-{is_live}", page(f"<p>Rows</p>{box}{script}"))

    result = await scan(engine, url)

    assert [doubt.kind for doubt in result.doubts] == (["endless-feed"] if is_live and rows == 5_000 else [])


@pytest.mark.parametrize(
    "box", ["height:300px;overflow:auto", "height:300px;overflow-y:scroll;margin-top:4000px;scroll-behavior:smooth"]
)
async def test_what_is_revealed_in_a_box_that_scrolls_is_audited(engine: ScanEngine, site: Site, box: str) -> None:
    late = f'{spacer(2_000)}<div id=late style="min-height:90px"></div>'
    url = site.add("/reveal-in-box", page(f'<div tabindex=0 style="{box}">{late}</div>{WATCH}'))

    result = await scan(engine, url)

    assert rules_of(result) == {"image-alt"}


BODY_SCROLLS = """<style>html{overflow:hidden}html,body{height:100%}body{overflow:auto}</style>
<div style="height:9000px"></div><div id=late style="height:90px"></div>"""
BEGINS_AT_ITS_BOTTOM = """<style>section{height:300px;overflow:auto;display:flex;flex-direction:column-reverse}
div{flex:none}</style>
<section tabindex=0><div style="height:3000px"></div><div id=late style="height:90px"></div></section>"""
BEGINS_AT_ITS_RIGHT = """<style>section{width:300px;overflow:auto;display:flex}div{flex:none;height:90px}</style>
<section tabindex=0 dir=rtl><div style="width:2000px"></div><div id=late style="width:90px"></div></section>"""


@pytest.mark.parametrize("body", [BODY_SCROLLS, BEGINS_AT_ITS_BOTTOM, BEGINS_AT_ITS_RIGHT])
async def test_what_is_revealed_by_scrolling_another_part_or_another_way_is_audited(
    engine: ScanEngine, site: Site, body: str
) -> None:
    result = await scan(engine, site.add("/reveal-another-way", page(body + WATCH)))

    assert "image-alt" in rules_of(result)


async def test_what_is_revealed_in_a_box_at_the_end_of_a_large_page_is_audited(engine: ScanEngine, site: Site) -> None:
    late = f'{spacer(2_000)}<div id=late style="min-height:90px"></div>'
    box = f'<div tabindex=0 style="height:300px;overflow:auto">{late}</div>{WATCH}'
    url = site.add("/reveal-on-large-page", page("<i></i>" * 21_000 + box))

    result = await scan(engine, url, disabled_rules=sorted(AXE_RULES - {"image-alt"}))

    assert rules_of(result) == {"image-alt"}


async def test_what_is_revealed_by_scrolling_within_a_frame_is_audited(engine: ScanEngine, site: Site) -> None:
    inner = f'{spacer(2_000)}<div id=late style="min-height:90px"></div>{WATCH}'
    site.add("/inner-reveal", page(inner).replace("<h1>Page</h1>", ""))
    frame = f'<iframe title=list src="{site.url("/inner-reveal", host="localhost")}"></iframe>'
    url = site.add("/reveal-in-frame", page(spacer(3_000) + frame))

    result = await scan(engine, url)

    assert rules_of(result) == {"image-alt"}


async def test_what_scrolling_has_begun_to_load_is_waited_for(engine: ScanEngine, site: Site) -> None:
    async def slow(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.7)  # the server's time, not the test's
        await reply("<img src=/pixel.png>")(request, writer)

    site.add("/slow-part", slow)
    load = 'fetch("/slow-part").then(r => r.text()).then(t => late.innerHTML = t)'
    script = WATCH.replace(f'document.querySelector("#late").innerHTML = {IMAGE}', load)
    url = site.add("/reveal-slowly", page(f'{spacer(3_000)}<div id=late style="min-height:90px"></div>{script}'))

    result = await scan(engine, url)

    assert rules_of(result) == {"image-alt"}


async def test_a_page_that_grows_whenever_it_is_scrolled_is_scanned_in_time(engine: ScanEngine, site: Site) -> None:
    grow = "addEventListener('scroll', () => document.querySelector('main').insertAdjacentHTML('beforeend', more))"
    url = site.add("/feed", page(f"{spacer(2_000)}<script>const more = {spacer(900)!r}; {grow}</script>"))

    result = await scan(engine, url)

    assert result.status == "scanned"
    assert result.timings_ms["total"] < 20_000


async def test_the_page_is_audited_where_its_visitor_arrives(engine: ScanEngine, site: Site) -> None:
    watch = f"addEventListener('scroll', () => late.innerHTML = scrollY > 0 ? {IMAGE} : '')"
    url = site.add("/sticky", page(f"<div id=late></div>{spacer(3_000)}<script>{watch}</script>"))

    result = await scan(engine, url)

    assert passes(result)


BY_TIMER = "let n = 0; const t = setInterval(() => { p.style.opacity = n += .04; if (n >= 1) clearInterval(t) }, 30)"
FADED = f"<style>{FADE} p{{animation:fade 9s linear both}}</style><p>Black on white once it is here.</p>"


@pytest.mark.parametrize(
    "body",
    [
        FADED,
        f"<x-app><template shadowrootmode=open>{FADED}</template></x-app>",
        f'<iframe title=f srcdoc="<html lang=en><title>t</title>{FADED}"></iframe>',
        "<p id=p style='opacity:.05;transition:opacity 9s'>X</p><script>onload = () => p.style.opacity = 1</script>",
        "<p id=p>X</p><script>p.animate({opacity: [.05, 1]}, {duration: 8000, delay: 1000, fill: 'both'})</script>",
        f"<style>{FADE} p{{animation:fade 9s linear infinite alternate}}</style><p>Pulses without end.</p>",
        f"<p id=p>Black.</p><script>{BY_TIMER}</script>",
    ],
    ids=["animation", "in a shadow root", "in a frame", "transition", "by a script", "endless", "by a timer"],
)
async def test_contrast_is_measured_when_the_animation_has_ended(engine: ScanEngine, site: Site, body: str) -> None:
    url = site.add("/fade", page(body))

    result = await scan(engine, url)

    assert passes(result)


async def test_text_that_ends_too_pale_is_still_found(engine: ScanEngine, site: Site) -> None:
    style = "@keyframes fade{from{opacity:1}to{opacity:.2}} p{animation:fade 9s linear both}"
    url = site.add("/fade-out", page(f"<style>{style}</style><p>Pale in the end.</p>"))

    result = await scan(engine, url)

    assert rules_of(result) == {"color-contrast"}


async def test_each_of_many_frames_is_brought_to_rest(engine: ScanEngine, site: Site) -> None:
    still = '<iframe title=f srcdoc="<p>Text</p>" style="width:50px;height:20px"></iframe>' * 55
    url = site.add("/many-frames", page(f'{still}<iframe title=f srcdoc="{FADED.replace("9s", "50s")}"></iframe>'))

    result = await scan(engine, url, disabled_rules=sorted(AXE_RULES - {"color-contrast"}))

    assert rules_of(result) == set()  # a busy machine may leave out a frame, and says so


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_page_and_its_frames_are_asked_to_reduce_motion(engine: ScanEngine, site: Site, host: str) -> None:
    style = "<style>img{display:none}@media (prefers-reduced-motion:reduce){img{display:inline}}</style>"
    site.add("/reduced", page(f"{style}<img src=/pixel.png>"))
    url = site.add("/reduced-frame", page(f'<iframe title=f src="{site.url("/reduced", host=host)}"></iframe>'))

    framed, alone = await scan(engine, url), await scan(engine, site.url("/reduced"))

    assert rules_of(framed) == rules_of(alone) == {"image-alt"}


MOVING = f"""<style>{FADE} .fade{{animation:fade 3s ease both}} .pulse{{animation:fade 1s infinite}}
#s p{{transition:opacity .6s}}</style>
<p class=fade>Fades in.</p><p class=pulse>Pulses.</p><p id=n>0</p><div id=s><p>First</p><p>Second</p><p>Third</p></div>
<script>
let shown = 0, count = 0;
setInterval(() => {{ shown = (shown + 1) % 3;
  [...s.children].forEach((one, i) => one.style.opacity = i === shown ? 1 : .3) }}, 2500);
const t = setInterval(() => {{ n.textContent = count += 7; if (count > 280) clearInterval(t) }}, 20);
</script><p style="color:#999">Too pale, always.</p>"""


async def test_a_page_with_fades_sliders_and_counters_has_the_same_findings_every_time(
    engine: ScanEngine, site: Site
) -> None:
    url = site.add("/moving", page(MOVING))

    results = [await scan(engine, url) for _ in range(3)]

    seen = [{(node.snippet, node.failure_summary) for one in found.findings for node in one.nodes} for found in results]
    assert any("Too pale" in snippet for snippet, _ in seen[0])
    assert seen[0] == seen[1] == seen[2]


async def test_a_page_without_scripts_is_at_rest_once_it_is_loaded(
    engine: ScanEngine, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    ask_all = Rest._ask_all

    async def noted(self: Rest, call: str, frames: Any) -> list[Any]:
        asked.append(call)
        return await ask_all(self, call, frames)

    monkeypatch.setattr(Rest, "_ask_all", noted)

    result = await scan(engine, site.add("/plain", page("<p>Black on white.</p>")))

    assert result.status == "scanned"
    assert [call for call in asked if "finish" in call] == ["sightlineRest.finish()"]


@pytest.mark.parametrize(
    "style",
    [
        "<style>@media (scripting:none){p{color:#ccc}}</style>",
        "<style>@layer utilities{p{@media (scripting:none){color:#ccc}}}</style>",
        "<style media='(scripting:none)'>p{color:#ccc}</style>",
    ],
    ids=["media query", "nested", "of the sheet"],
)
async def test_styles_for_pages_without_scripts_are_not_what_is_audited(
    engine: ScanEngine, site: Site, style: str
) -> None:
    url = site.add("/asks-for-scripts", page(f"{style}<p>Black on white.</p><script>0</script>"))

    result = await scan(engine, url)

    assert passes(result)


async def test_a_document_that_comes_while_the_page_is_stopped_runs_its_scripts(browser_path: str, site: Site) -> None:
    goal = site.add("/goal", page(f"<div id=late></div><script>late.innerHTML = {IMAGE}</script>"))
    start = site.add("/ticks", page("<p id=n>0</p><script>setInterval(() => n.textContent++, 5)</script>"))
    look = "document.querySelector('#n, #late').innerHTML"
    browser = await Chromium.launch(Path(browser_path), ScanSettings())
    try:
        async with ScanProxy(Guard(ScanSettings(allow_private=True)), max_bytes=10**8) as proxy:
            opened = await Page.open(
                browser, proxy_port=proxy.port, viewport=Viewport(), user_agent="test", start_script=""
            )

            async def shown() -> str:
                world = await opened.world(opened.session, opened.watch.frame_id, timeout_s=10)
                return str(await opened.evaluate(opened.session, world, look, timeout_s=10))

            await opened.session.call("Page.navigate", {"url": start})
            assert await opened.until(lambda: opened.watch.is_loaded, timeout_s=20)
            await opened.freeze(timeout_s=10)
            first = await shown()
            frames = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
            world = await opened.world(opened.session, opened.watch.frame_id, timeout_s=10)
            await opened.evaluate(opened.session, world, frames, timeout_s=10)
            second = await shown()
            await opened.session.call("Page.navigate", {"url": goal})
            assert await opened.until(lambda: opened.watch.navigations == 1 and opened.watch.is_loaded, timeout_s=20)

            assert first == second
            assert "<img" in await shown()
    finally:
        await browser.close()
