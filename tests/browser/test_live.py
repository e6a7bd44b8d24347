"""The live checks on pairs of wrong and correct pages."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from producer.contract import Finding, ScanRequest, ScanResult
from producer.contract.live_shots import PATH_SHOT, shot_name
from producer.contract.rules import LIVE_RULES
from tests.support.gif import gif
from tests.support.site import Site
from tests.support.wav import wav
from worker.scan.engine import Audit, ScanEngine
from worker.scan.live import walk
from worker.scan.live.report import read_rules
from worker.scan.live.run import BUDGET_S, CHECKS

ROOT = Path(__file__).parents[2]
LONG = "Once upon a midnight dreary, while I pondered, weak and weary, over many a volume. " * 2
ALL_BUT_TRAPS = tuple(sorted(LIVE_RULES - {"live-trap"}))


WRONG_LAYOUT = f"""<div style="height:10vh;overflow:hidden" id=zoom>{LONG * 4}</div>
<div style="width:300px;height:54px;overflow:hidden" id=spacing>{"Words in a box of three lines. " * 3}</div>
<p style="width:700px" id=wide>{LONG}</p><audio autoplay src="{wav(4)}"></audio>
<script>document.addEventListener("keydown", (event) => {{ if (event.key === "j") document.title += "!" }})</script>"""
WRONG_KEYS = """<style>.bare:focus{outline:none} .row{display:flex;flex-direction:row-reverse}</style>
<header style="position:fixed;top:0;left:0;right:0;height:90px;background:#fff;z-index:9">Bar</header>
<a href=#covered style="position:absolute;top:30px;left:20px">Covered</a>
<div style="padding-top:100px"><a href=#bare class=bare>Bare</a>
<div class=row><a href=#first>First</a><a href=#second>Second</a></div>
<div style="width:80px;cursor:pointer" id=mute>Unreached</div>
<a href=#lost onfocus="this.blur()" id=lost>Lost</a><div tabindex=0 id=dead>Dead</div></div>
<script>mute.addEventListener("click", () => {}); dead.addEventListener("click", () => {})</script>"""
RIGHT_KEYS = """<style>.bare:focus{outline:none;background:#fe0} .row{display:flex}</style>
<header style="position:sticky;top:0;height:90px;background:#fff"><a href=#in>In the bar</a></header>
<div><a href=#bare class=bare>Bare</a><input aria-label=Name class=bare>
<div class=row><a href=#first>First</a><a href=#second>Second</a></div>
<div style="cursor:pointer" id=mute><a href=#card>Card</a></div>
<label style="cursor:pointer"><input type=checkbox>Label</label>
<div tabindex=0 role=button id=live>Live</div><x-card></x-card>
<iframe title=Frame srcdoc="<button>Inside</button>"></iframe></div>
<script>mute.addEventListener("click", () => {}); live.addEventListener("click", () => {});
live.addEventListener("keydown", () => {});
customElements.define("x-card", class extends HTMLElement {
  connectedCallback() { this.attachShadow({ mode: "open" }).innerHTML = "<button>Shaded</button>" }
});
document.addEventListener("keydown", (event) => { if (event.ctrlKey && event.key === "j") document.title += "!" })
</script>"""

TRAP = """<a href=#one>One</a><button id=b>Caught</button><a href=#two>Two</a>
<script>b.addEventListener("keydown", (event) => { if (event.key === "Tab") event.preventDefault() })</script>"""


async def audit(engine: ScanEngine, body: str, **more: object) -> Audit:
    html = (
        f"<!doctype html><html lang=en><head><meta charset=utf-8><title>Live</title></head><body>{body}</body></html>"
    )
    asked = {"html": html, "deadline_s": 60, "checks": ["axe", "live"], **more}
    return await engine.audit(ScanRequest.model_validate(asked))


async def scan(engine: ScanEngine, body: str, **more: object) -> ScanResult:
    return (await audit(engine, body, **more)).result


def live(result: ScanResult) -> dict[str, Finding]:
    assert not {one.rule for one in result.findings} & LIVE_RULES
    return {one.rule: one for one in result.incomplete if one.engine == "live"}


def snippets(finding: Finding) -> list[str]:
    return [re.sub(r"<(\w+).*", r"\1", node.snippet, flags=re.DOTALL) for node in finding.nodes]


async def test_lost_text_endless_sound_and_shortcuts_need_review(engine: ScanEngine) -> None:
    found = live(await scan(engine, WRONG_LAYOUT))

    assert set(found) == {"live-zoom", "live-spacing", "live-reflow", "live-autoplay", "live-shortcut"}
    assert 'id="zoom"' in found["live-zoom"].nodes[0].snippet
    assert ['id="spacing"' in node.snippet for node in found["live-spacing"].nodes] == [True]
    assert any('id="wide"' in node.snippet for node in found["live-reflow"].nodes)
    evidence = found["live-autoplay"].nodes[0].evidence
    assert evidence is not None
    assert evidence.measured == {"plays for": "4.0 s"}


async def test_what_the_keyboard_cannot_do_needs_review_with_what_it_looked_like(engine: ScanEngine) -> None:
    found = await audit(engine, WRONG_KEYS, screenshot=True)

    of = live(found.result)
    texts = {rule: [node.snippet for node in finding.nodes] for rule, finding in of.items()}
    assert set(of) == {
        *("live-focus-covered", "live-focus-order", "live-focus-visible", "live-keyboard"),
    }, texts
    assert "Covered" in texts["live-focus-covered"][0]
    assert "Second" in texts["live-focus-order"][0]
    assert any("Bare" in text for text in texts["live-focus-visible"])
    assert any('id="lost"' in text for text in texts["live-focus-visible"])
    assert {re.search(r'id="(\w+)"', text)[1] for text in texts["live-keyboard"]} == {"mute", "dead", "lost"}  # pyright: ignore[reportOptionalSubscript]
    shown = next(node for node in of["live-focus-visible"].nodes if "Bare" in node.snippet)
    assert found.shots[shot_name(shown.fingerprint, "before")] == found.shots[shot_name(shown.fingerprint, "after")]
    assert found.result.live is not None
    path = found.result.live.path
    assert path is not None
    assert [stop.name for stop in path.stops] == ["Covered", "Bare", "First", "Second", "Dead"]
    assert found.shots[PATH_SHOT]
    keys = [node.evidence.keys for node in of["live-focus-order"].nodes if node.evidence]
    assert keys == [("Tab",) * 4], "Second is stop 4"


async def test_keyboard_operable_parts_need_no_review_also_in_frames_and_shadow_trees(engine: ScanEngine) -> None:
    result = await scan(engine, RIGHT_KEYS)

    assert {rule: [node.failure_summary for node in one.nodes] for rule, one in live(result).items()} == {}
    assert result.live is not None
    assert result.live.left_out == {}
    assert result.live.path is not None
    names = [stop.name for stop in result.live.path.stops]
    assert names == ["In the bar", "Bare", "Name", "First", "Second", "Card", "Label", "Live", "Shaded", "Inside"]
    assert len(result.live.path.stops[-1].selector) == 2


async def test_a_trap_needs_review_with_the_keys_that_were_pressed(engine: ScanEngine) -> None:
    trapped = await scan(engine, TRAP, disabled_rules=ALL_BUT_TRAPS)

    (node,) = live(trapped)["live-trap"].nodes
    assert "Caught" in node.snippet
    assert node.evidence is not None
    assert node.evidence.keys[:3] == ("Tab", "Shift+Tab", "Escape")


BAD = {
    "traps every key": "<a href=#a>A</a><script>addEventListener('keydown', (e) => e.preventDefault(), true)</script>",
    "moves the focus": "<button id=a>A</button><button>B</button><script>setInterval(() => a.focus(), 20)</script>",
    "fetches the focus back": "<button id=a>A</button><button>B</button>"
    "<script>onblur = () => setTimeout(() => a.focus(), 150)</script>",
    "fetches the focus back later after Escape": "<button id=a>A</button><button id=b>B</button><script>"
    "let wait = 0; onkeydown = (e) => { if (e.key === 'Escape') wait = 70; };"
    "b.onfocus = () => wait ? setTimeout(() => a.focus(), wait) : a.focus();"
    "onblur = () => setTimeout(() => a.focus(), 20)</script>",
    "takes two keys": "<a href=#a>A</a><a href=#b>B</a><script>let n = 0;"
    "addEventListener('keydown', (e) => n++ < 2 && e.preventDefault(), true)</script>",
    "goes away on focus": "<a href=#a onfocus=\"location = '/gone'\">A</a><button>B</button>",
    "says so on focus": "<button onfocus='alert(1)'>A</button><button>B</button>",
    "lays itself out for ever": "<p>A<script>onresize = () => setInterval(() => document.body.append(1), 1)</script>",
}


async def test_pages_that_interfere_with_live_checks_are_scanned(engine: ScanEngine) -> None:
    results = [await scan(engine, body) for body in BAD.values()]  # one takes the processor from others

    assert [result.status for result in results] == ["scanned"] * len(BAD)
    assert [result.live is not None and result.live.spent_ms < BUDGET_S * 1_500 for result in results] == [True] * len(
        BAD
    )
    trapped = dict(zip(BAD, (list(live(result)) for result in results), strict=True))
    assert "live-trap" in trapped["traps every key"]
    assert "live-trap" in trapped["moves the focus"]
    assert "live-trap" in trapped["fetches the focus back"]
    assert "live-trap" in trapped["fetches the focus back later after Escape"]
    assert "live-trap" not in trapped["goes away on focus"]
    assert "live-trap" not in trapped["takes two keys"]


async def test_unvisited_tab_stops_are_reported(engine: ScanEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MAX_STOPS", 5)
    monkeypatch.setattr("worker.scan.live.keyboard.MAX_STOPS", 5)

    result = await scan(engine, "<main>" + "<button>Go</button>" * 20 + "</main>")

    assert result.status == "scanned"
    assert result.live is not None
    assert "more than 5 Tab stops" in result.live.left_out["keyboard"]
    assert [doubt.kind for doubt in result.doubts if doubt.kind.startswith("live")] == ["live-left-out"]


async def test_nothing_is_written_while_keys_are_pressed(engine: ScanEngine, site: Site) -> None:
    says = "<script>const say = (path, how) => fetch(path, { method: how }); document.onkeydown = () => "
    body = f"<button>A</button>{says}{{ say('/read', 'GET'); say('/written', 'POST'); }}</script>"
    url = site.add("/live-writes", f"<!doctype html><html lang=en><title>W</title><main>{body}</main>")

    result = (await engine.audit(ScanRequest(url=url, checks=("axe", "live"), disabled_rules=ALL_BUT_TRAPS))).result

    assert result.live is not None
    assert site.seen("/read") != []
    assert site.seen("/written") == []


async def test_without_live_a_page_is_scanned_as_before(engine: ScanEngine) -> None:
    plain = await scan(engine, TRAP, checks=["axe"])
    both = await scan(engine, TRAP, disabled_rules=ALL_BUT_TRAPS)

    assert plain.live is None
    assert plain.findings == both.findings
    assert plain.counts == both.counts
    assert plain.incomplete == tuple(one for one in both.incomplete if one.engine != "live")
    assert not {"live", "evidence"} & set(re.findall('"(\\w+)":', plain.model_dump_json()))


async def test_a_live_rule_is_left_out_like_any_other(engine: ScanEngine) -> None:
    disabled = sorted(LIVE_RULES - {"live-keyboard"})  # of the same check

    result = await scan(engine, TRAP, disabled_rules=disabled, standard="wcag2a")

    assert result.live is not None
    assert "keyboard" in result.live.ran
    assert "live-trap" not in live(result)


def test_each_rule_is_known_and_belongs_to_one_check() -> None:
    rules = [rule for check in CHECKS for rule in check.rules]

    assert sorted(rules) == sorted(LIVE_RULES)
    assert set(read_rules()) == LIVE_RULES
    guide = (ROOT / "docs/live.md").read_text(encoding="utf-8")
    assert [
        check.name for check in CHECKS if f"| {check.needs} | {check.most_s:.0f} s | {check.proves} |" not in guide
    ] == []


async def test_a_picture_whose_address_lacks_its_padding_is_read(engine: ScanEngine) -> None:
    letters = base64.b64encode(gif(frames=2, repeats=0)).decode().rstrip("=")
    picture = f'<img alt="A turning wheel" width=90 height=90 src="data:image/gif;base64,{letters}">'

    result = await scan(engine, f"<main><h1>Wheel</h1>{picture}</main>")

    assert set(live(result)) == {"live-motion"}
    assert result.live is not None
    assert result.live.left_out == {}


async def test_advice_in_letters_that_only_look_like_keys_is_no_advice(engine: ScanEngine) -> None:
    result = await scan(engine, f"{TRAP}<p>Press \u017fhift+a or e\u017fc to go on</p>", disabled_rules=ALL_BUT_TRAPS)

    assert "live-trap" in live(result)
