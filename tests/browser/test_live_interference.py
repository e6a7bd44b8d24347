"""Live checks on pages that change under them or answer late: findings are kept, and what was not checked is named."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from typing import Any

import pytest

from producer.contract import Finding, ScanRequest, ScanResult
from producer.contract.rules import LIVE_RULES
from tests.support.gif import gif
from tests.support.site import Site
from tests.support.wav import wav
from worker.scan.engine import Audit, ScanEngine, Secrets
from worker.scan.journey.journey import Journey
from worker.scan.live import motion, run
from worker.scan.live.check import Hand, Outcome

BAR = '<div style="position:fixed;inset:0 0 auto;height:90px;background:#fff">Bar</div>'
NO_RING = "<style>:focus { outline: none }</style>"


def page(body: str) -> str:
    head = "<head><meta charset=utf-8><title>Live</title></head>"
    return f"<!doctype html><html lang=en>{head}<body>{body}</body></html>"


async def audit(engine: ScanEngine, source: str, *rules: str, **more: Any) -> Audit:
    """Return the audit of HTML or of an address with only these live rules; all without any."""
    kind = "url" if source.startswith("http") else "html"
    others = sorted(LIVE_RULES - set(rules)) if rules else []
    asked = {kind: source, "deadline_s": 60, "checks": ["axe", "live"], "disabled_rules": others, **more}
    return await engine.audit(ScanRequest.model_validate(asked))


async def scan(engine: ScanEngine, body: str, *rules: str, **more: Any) -> ScanResult:
    return (await audit(engine, page(body), *rules, **more)).result


def live(result: ScanResult) -> dict[str, Finding]:
    return {one.rule: one for one in result.incomplete if one.engine == "live"}


def left_out(result: ScanResult) -> dict[str, str]:
    assert result.live is not None
    return result.live.left_out


def stops(result: ScanResult) -> list[str]:
    assert result.live is not None
    assert result.live.path is not None
    return [stop.name for stop in result.live.path.stops]


async def test_nothing_is_written_by_a_frame_of_another_site(engine: ScanEngine, site: Site) -> None:
    say = "const call = new XMLHttpRequest(); call.open(how, path, false); call.send();"  # answered before the next key
    says = f"<script>const say = (path, how) => {{ {say} }}; document.onkeydown = () => "
    script = f"{says}{{ say('/read-by-frame', 'GET'); say('/written-by-frame', 'POST'); }}</script>"
    site.add("/live-frame", page(f"<button>Inside</button>{script}"))
    frame = f"<iframe title=F src='{site.url('/live-frame', host='localhost')}'></iframe>"
    url = site.add("/live-framed", page(f"<main><h1>Framed</h1><a href=#a>A</a>{frame}</main>"))

    result = (await audit(engine, url, "live-trap")).result

    assert stops(result) == ["A", "Inside"]
    assert site.seen("/read-by-frame") != []
    assert site.seen("/written-by-frame") == []


async def test_every_check_that_a_page_has_escaped_is_named(engine: ScanEngine) -> None:
    result = await scan(engine, "<a href=#a>A</a><script>onkeydown = () => history.back()</script>")

    assert left_out(result) == dict.fromkeys(("keyboard", "hover", "shortcuts"), "the page navigated away")


async def test_a_finding_in_a_frame_that_is_replaced_costs_no_other(engine: ScanEngine) -> None:
    inside = "<a href=#a>One</a><a href=#b tabindex=1>Two</a>"
    body = (
        f"{BAR}<a href=#a>Covered</a><div style='padding-top:100px'><iframe id=f title=F srcdoc='{inside}'></iframe>"
        "<a href=#c onfocus='f.srcdoc = String()'>Last</a></div>"
    )

    result = await scan(engine, body, "live-focus-covered", "live-focus-order")

    assert list(live(result)) == ["live-focus-covered"]
    assert left_out(result)["report"].startswith("1 of 2 elements could not be named")


async def test_a_frame_that_is_replaced_during_the_walk_is_one_stop(engine: ScanEngine) -> None:
    frame = "<iframe id=f title=Frame srcdoc='<button>Old</button>'></iframe>"
    body = f"<a href=#a onfocus='f.srcdoc = `<button>New</button>`'>A</a>{frame}<a href=#b>B</a>"

    result = await scan(engine, body, "live-trap")

    assert stops(result) == ["A", "Frame", "B"]
    assert left_out(result) == {}


async def test_a_frame_in_the_requested_part_is_checked(engine: ScanEngine) -> None:
    frame = f'<iframe title=F srcdoc="{NO_RING}<a href=#a>Bare</a>"></iframe>'

    result = await scan(engine, f"<main>{frame}</main>", "live-focus-visible", include=["main"])

    assert "Bare" in live(result)["live-focus-visible"].nodes[0].snippet


async def test_a_walk_that_hangs_keeps_what_it_found(engine: ScanEngine) -> None:
    hang = "const begun = Date.now(); while (Date.now() - begun < 4000);"

    result = await scan(engine, f"{BAR}<a href=#a>A</a><a href=#b onfocus='{hang}'>B</a>", "live-focus-covered")

    assert list(live(result)) == ["live-focus-covered"]
    assert list(left_out(result)) == ["keyboard"]


async def test_what_changes_by_itself_is_not_cleared_by_a_short_look(
    engine: ScanEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "CHECKS", (replace(motion.CHECK, most_s=2.0),))
    clock = "<p id=p>0</p><script>setInterval(() => { p.textContent++ }, 100)</script>"

    still, restless = [await scan(engine, body, "live-motion") for body in ("<p>0</p><script></script>", clock)]

    assert left_out(still) == {}
    assert list(left_out(restless)) == ["motion"]


async def test_a_picture_that_is_too_large_to_be_read_is_named(
    engine: ScanEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(motion, "_MAX_PICTURE_BYTES", 50)
    letters = base64.b64encode(gif(frames=2, repeats=0)).decode()

    result = await scan(
        engine, f"<img alt=Wheel width=90 height=90 src='data:image/gif;base64,{letters}'>", "live-motion"
    )

    assert left_out(result) == {"motion": "not all animated pictures could be read"}


async def test_of_many_sounds_twelve_are_listed_and_all_counted(engine: ScanEngine) -> None:
    result = await scan(engine, f"<audio autoplay src='{wav(4)}'></audio>" * 15, "live-autoplay")

    finding = live(result)["live-autoplay"]
    assert (len(finding.nodes), finding.node_count) == (12, 15)


async def test_an_element_is_counted_once_however_it_is_damaged(engine: ScanEngine) -> None:
    words = "Once upon a midnight dreary, while I pondered. " * 4
    style = "<style>p { width: 700px; margin: 9px 0 } @media (max-width: 400px) { p + p { margin-top: -25px } }</style>"

    finding = live(await scan(engine, f"{style}<p>{words}</p><p>{words}</p>", "live-reflow"))["live-reflow"]

    assert (len(finding.nodes), finding.node_count) == (2, 2)


async def test_a_clock_is_no_effect_of_a_key(engine: ScanEngine) -> None:
    clock = "<p id=p>0</p><script>setInterval(() => { p.textContent++ }, 700); onkeydown = () => {}</script>"

    result = await scan(engine, clock, "live-shortcut")

    assert live(result) == {}
    assert left_out(result) == {}


async def test_a_language_of_half_a_character_is_reported(engine: ScanEngine) -> None:
    text = "The shop is closed on Sundays, but you can always leave us a message."
    script = "<script>document.documentElement.lang = 'nl-\\ud800' + '-x'.repeat(99999)</script>"

    result = await scan(engine, f"<p>{text}</p>{script}", "live-page-language")

    assert list(live(result)) == ["live-page-language"]
    assert len(result.model_dump_json()) < 20_000


async def test_without_hidden_secrets_no_screenshot_is_taken(
    engine: ScanEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: Journey) -> bool:
        return False

    monkeypatch.setattr(Journey, "mask", fail)
    found = await audit(
        engine, page(f"{NO_RING}<a href=#a>A</a><p style='width:900px'>{'Word ' * 90}</p>"), screenshot=True
    )

    assert "live-reflow" in live(found.result)
    assert found.shots == {}


async def test_a_secret_that_is_drawn_again_is_hidden_again(
    engine: ScanEngine, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    mask = Journey.mask

    async def count(self: Journey) -> bool:
        asked.append(1)
        return await mask(self)

    monkeypatch.setattr(Journey, "mask", count)
    url = site.add("/live-secret", page(f"<input id=f aria-label=Name><p style='width:900px'>{'Word ' * 90}</p>"))
    steps = [{"fill": "#f", "value": "${NAME}"}]
    rules = sorted(LIVE_RULES - {"live-reflow"})
    wanted = {"url": url, "steps": steps, "checks": ["axe", "live"], "disabled_rules": rules, "screenshot": True}
    found = await engine.audit(ScanRequest.model_validate(wanted), secrets=Secrets(variables={"NAME": "Annabel"}))

    assert len(asked) == 1 + sum(name.endswith((":before", ":after")) for name in found.shots)
    assert len(asked) > 1


async def test_a_check_that_always_gets_an_answer_ends_in_time(
    engine: ScanEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def endless(hand: Hand, _: Outcome) -> None:
        while True:
            await hand.ask("0")

    monkeypatch.setattr(run, "CHECKS", (replace(motion.CHECK, most_s=1.0, run=endless),))

    result = await asyncio.wait_for(scan(engine, "<p>0</p>", "live-motion"), 20)

    assert left_out(result) == {"motion": "it did not end within 1 s"}
