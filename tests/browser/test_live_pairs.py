"""Each live rule on pages that differ in one thing: the wrong one needs review, the right one does not."""

from __future__ import annotations

import asyncio
import base64
from typing import Final

import pytest

from producer.contract import ScanRequest
from producer.contract.rules import AXE_RULES, LIVE_RULES
from tests.support.gif import gif
from tests.support.site import Site
from tests.support.wav import wav
from worker.scan.engine import ScanEngine, Secrets
from worker.scan.live import motion

LONG: Final = "Once upon a midnight dreary, while I pondered, weak and weary, over many a volume. " * 2
GIF: Final = base64.b64encode(gif(frames=2, delay=50, repeats=0)).decode()
STILL: Final = base64.b64encode(gif(frames=1)).decode()
IMAGE: Final = "<img alt=Dots width=40 height=40 src='data:image/gif;base64,{}'>"
MOVES: Final = """<style>@keyframes move { to { transform: translateX(90px) } }
div { width: 80px; animation: move 2s %s }</style><div>Moves</div>"""
FLASHES: Final = """<style>@keyframes flash { 50%% { background: #fff } }
div { width: 400px; height: 300px; background: #000; animation: flash %s infinite }</style>
<div></div><button>Pause</button>"""
SLIDES: Final = """<section class=carousel><p id=slide>Slide 0</p></section>%s<script>let n = 0;
setInterval(() => { slide.textContent = `Slide ${++n}` }, 100)</script>"""
TRAP: Final = """<button>A</button><button id=b>B</button><a href=#x>C</a>
<script>b.onkeydown = (event) => { if (event.key === "Tab"%s) event.preventDefault() }</script>"""
DIALOG: Final = """<main><a href=#one>One</a></main><div role=dialog aria-modal=true aria-label=D id=d>
<button id=x>X</button><button id=y>Y</button></div><a href=#two>Two</a><script>
d.addEventListener("keydown", (event) => {
  %s
  if (event.key === "Tab") { event.preventDefault(); (document.activeElement === x ? y : x).focus() }
})</script>"""
COVERS: Final = """<div style="position:relative"><button id=b aria-describedby=t>Over</button><span id=t hidden style=
"position:absolute;top:15px;left:0;width:200px;height:60px;background:#fff">Stays</span><p>Text beneath it.</p></div>
<script>b.onmouseenter = () => { t.hidden = false }; b.parentNode.onmouseleave = () => { t.hidden = true };
onkeydown = (event) => { %s }</script>"""
SCROLLS: Final = f"""<div style="max-height:10vh;overflow:auto" tabindex=0>{LONG * 4}</div>
<p style="white-space:nowrap;overflow:hidden;text-overflow:ellipsis">{LONG * 4}</p>
<span style="position:absolute;width:1px;height:1px;overflow:hidden;clip:rect(0,0,0,0);white-space:nowrap">
{LONG}</span>"""
NARROW: Final = f"""<p style="max-width:700px">{LONG}<table style="width:700px"><tr><td>{LONG[:20]}<td>b</table>
<pre>{"code " * 80}</pre>"""
NAME: Final = "Annabel Lee"
ADDS: Final = """<input id=f aria-label=Name><button id=b>Add</button><p id=p %s></p>
<script>b.onclick = () => { p.textContent = `Added for ${f.value}` }</script>"""
SHOWS: Final = """<input id=f aria-label=Name><button id=b>Add</button><p id=p tabindex=-1 hidden>Only 3 left</p>
<script>b.onclick = () => { p.hidden = false; %s }</script>"""
CREATES: Final = """<div style="position:relative"><button id=b aria-describedby=t>Over</button>
<p>Text beneath it.</p></div><script>
const tip = `<span id=t style="position:absolute;top:15px;left:0;width:200px;height:60px;background:#fff">Stays</span>`;
b.onmouseenter = () => document.getElementById("t") ?? b.insertAdjacentHTML("afterend", tip);
b.parentNode.onmouseleave = () => document.getElementById("t")?.remove();
onkeydown = (event) => { %s }</script>"""
GONE: Final = """<style>i { display: none; position: absolute; top: 200px; pointer-events: none }
b:hover i { display: block }</style><b tabindex=0>Help<i>About it</i></b>"""
NESTS: Final = "<style>section { &:hover em { display: block } }</style>" + "<p>A paragraph.</p>" * 25
BOATS: Final = "Boats along the harbour"
NOT_READ: Final = f"<code lang=fr>{BOATS}</code><span hidden lang=fr>{BOATS}</span>"
PAIRS: Final[dict[str, tuple[str, str, str]]] = {
    "clipped at 200 %": (
        "live-zoom",
        f"<div style='height:10vh;overflow:hidden'>{LONG * 4}</div>",
        SCROLLS,
    ),
    "no room for spacing": (
        "live-spacing",
        f"<div style='width:300px;height:54px;overflow:hidden'>{'Words in a box of three lines. ' * 3}</div>",
        f"<div style='width:300px;min-height:54px;overflow:hidden'>{'Words in a box of three lines. ' * 3}</div>",
    ),
    "wider than a phone": ("live-reflow", f"<p style='width:700px'>{LONG}", NARROW),
    "endless sound": (
        "live-autoplay",
        f"<audio autoplay src='{wav(4)}'></audio>",
        f"<audio autoplay src='{wav(4)}'></audio><button>Mute</button>",
    ),
    "long sound": (
        "live-autoplay",
        f"<audio autoplay src='{wav(4)}'></audio>",
        f"<audio autoplay src='{wav(2)}'></audio><audio autoplay controls src='{wav(4)}'></audio>",
    ),
    "endless animation": ("live-motion", MOVES % "infinite", MOVES % "2"),
    "moving picture": ("live-motion", IMAGE.format(GIF), IMAGE.format(STILL)),
    "moving picture to be stopped": ("live-motion", IMAGE.format(GIF), f"{IMAGE.format(GIF)}<button>Pausa</button>"),
    "slides": ("live-motion", SLIDES % "", SLIDES % "<button>Stop the slides</button>"),
    "slides of a script that is gone": (
        "live-motion",
        SLIDES % "" + "<script>document.querySelectorAll('script').forEach((one) => one.remove())</script>",
        SLIDES % "<button>Pause</button>",
    ),
    "flashes in another notation": (
        "live-flash",
        (FLASHES % "0.2s").replace("#fff", "oklch(1 0 0)").replace("#000", "oklch(0 0 0)"),
        (FLASHES % "1s").replace("#fff", "oklch(1 0 0)").replace("#000", "oklch(0 0 0)"),
    ),
    "flashes": ("live-flash", FLASHES % "0.2s", FLASHES % "1s"),
    "page in English": (
        "live-page-language",
        f"<p>{LONG}",
        f"<p lang=en>{LONG}<p>Deze bladzijde is in het Nederlands.",
    ),
    "part in English": ("live-part-language", f"<p lang=fr>{BOATS}", f"<p lang=en>{BOATS}<p>{NOT_READ}"),
    "trapped": ("live-trap", TRAP % "", TRAP % " && !event.shiftKey"),
    "taken back by an event attribute": (
        "live-trap",
        "<form name=evaluate></form><a href=#a>A</a><button onblur='setTimeout(() => this.focus(), 10)'>B</button>",
        "<a href=#a>A</a><button onblur='setTimeout(() => this.title = 1, 10)'>B</button><a href=#c>C</a>",
    ),
    "open dialog": ("live-trap", DIALOG % "", DIALOG % "if (event.key === 'Escape') d.remove();"),
    "only for pointers": (
        "live-keyboard",
        "<span onclick='this.remove()'>Close</span>",
        "<span onclick='this.remove()' onkeydown='this.remove()' tabindex=0 role=button>Close</span>",
    ),
    "against the order": (
        "live-focus-order",
        "<div style='display:flex;flex-direction:row-reverse'><a href=#a>A</a><a href=#b>B</a></div>",
        "<div style='display:flex'><a href=#a>A</a><a href=#b>B</a></div>",
    ),
    "no ring": (
        "live-focus-visible",
        "<style>:focus { outline: none }</style><a href=#a>A</a>",
        "<style>:focus { outline: none; background: #fe0 }</style><a href=#a>A</a>",
    ),
    "under a bar": (
        "live-focus-covered",
        "<div style='position:fixed;inset:0 0 auto;height:90px;background:#fff'>Bar</div><a href=#a>A</a>",
        "<div style='position:sticky;top:0;height:90px;background:#fff'>Bar</div><a href=#a>A</a>",
    ),
    "gone when reached": (
        "live-hover",
        GONE,
        "<style>i { display: none } b:hover i { display: block }</style><b tabindex=0>Help<i>About it</i></b>",
    ),
    "gone when reached, below nested styles": ("live-hover", NESTS + GONE, NESTS + "<b tabindex=0>Help</b>"),
    "over other text, created per hover": (
        "live-hover",
        CREATES % "",
        CREATES % "if (event.key === 'Escape') t.remove()",
    ),
    "over other text": ("live-hover", COVERS % "", COVERS % "if (event.key === 'Escape') t.hidden = true"),
    "single key": (
        "live-shortcut",
        "<p id=p>Keys<script>onkeydown = (event) => { if (event.key === 'j') p.textContent += '!' }</script>",
        (
            "<p id=p>Keys<script>onkeydown = (event) => { if (event.key === 'j' && event.ctrlKey)"
            "p.textContent += '!' }</script>"
        ),
    ),
    "added": ("live-status-message", ADDS % "", ADDS % "role=status"),
    "few left": ("live-status-message", SHOWS % "", SHOWS % "p.focus()"),
    "one name": (
        "live-same-name",
        "<p><a href=/a>Read more</a> <a href=/b>Read more</a>",
        "<p><a href=/a>Read more</a> on ships, <a href=/b>Read more</a> on the sea",
    ),
}


async def found(engine: ScanEngine, site: Site, rule: str, body: str) -> list[str]:
    """Return the rules to be reviewed; those of the other checks, and axe-core's, are left out to save time."""
    html = f"<!doctype html><html lang=nl><head><title>Zee</title></head><body><main>{body}</main></body></html>"
    others = sorted((LIVE_RULES - {rule}) | (AXE_RULES - {"document-title", rule}))
    source: dict[str, object] = {"html": html}
    if rule == "live-status-message":
        steps = [{"fill": "#f", "value": "${NAME}"}, {"click": "#b"}, {"scan": "added"}]
        source = {"url": site.add(f"/pairs/{hash(body)}", html), "steps": steps}
    asked = {**source, "checks": ["axe", "live"], "disabled_rules": others}
    result = (await engine.audit(ScanRequest.model_validate(asked), secrets=Secrets(variables={"NAME": NAME}))).result
    assert NAME not in result.model_dump_json()
    assert result.live is not None
    assert result.live.left_out == {}, rule
    return [one.rule for one in result.incomplete if one.engine == "live"]


async def test_every_page_with_a_barrier_needs_review_and_no_correct_one(
    engine: ScanEngine, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(motion, "_SHORT_S", 0.2)
    monkeypatch.setattr(motion, "_LONG_S", 0.8)

    scans = [found(engine, site, rule, body) for rule, *bodies in PAIRS.values() for body in bodies]
    rules = iter(await asyncio.gather(*scans))

    assert {name: (next(rules), next(rules)) for name in PAIRS} == {
        name: ([rule], []) for name, (rule, *_) in PAIRS.items()
    }
    assert {rule for rule, *_ in PAIRS.values()} == LIVE_RULES
