"""Pages shown in several states by a real browser: barriers of single states, and properties of devices."""

from __future__ import annotations

import json
from typing import Any, Final

from producer.contract import ScanRequest
from producer.contract.distribution import VERSION
from producer.reports.components import by_component
from producer.reports.page import page_of as report_page
from producer.reports.summary import summarise
from tests.support import shown_states as shown
from tests.support.small_site import small_site
from worker.scan.engine import ScanEngine

SCHEMES: Final = ("light", "dark")
FACTS = """
<!doctype html><html lang="en"><title>x</title><main><h1>Facts</h1></main><script>
document.title = JSON.stringify({
  width: innerWidth, screen: screen.width, ratio: devicePixelRatio, touch: navigator.maxTouchPoints,
  agent: navigator.userAgent.includes("iPhone"), platform: navigator.platform,
  model: navigator.userAgentData ? navigator.userAgentData.mobile : null,
  coarse: matchMedia("(pointer: coarse)").matches, hover: matchMedia("(hover: hover)").matches,
  dark: matchMedia("(prefers-color-scheme: dark)").matches, forced: matchMedia("(forced-colors: active)").matches,
  reduced: matchMedia("(prefers-reduced-motion: reduce)").matches,
  text: getComputedStyle(document.documentElement).fontSize,
});
</script></html>
"""


async def facts_of(engine: ScanEngine, **asked: Any) -> dict[str, Any]:
    audit = await engine.audit(ScanRequest(html=FACTS, scroll=False, **asked))
    return json.loads(audit.result.title)


async def test_differences_between_states_are_shown_and_nothing_is_listed_twice(engine: ScanEngine):
    html = shown.page_of(*shown.KINDS)
    pages = []
    for state, asked in shown.REQUESTS.items():
        result = (await engine.audit(ScanRequest(html=html, **asked))).result
        assert result.page_state == state
        pages.append(report_page(result, url="https://states.example/"))

    found = by_component(pages)
    words = {"theme-icon": "theme-moon", "short-menu": "menu-choice"}
    rows = {
        kind.name: [one for one in found if words.get(kind.name, kind.name) in one.finding.nodes[0].snippet]
        for kind in shown.KINDS
    }

    expected = {
        kind.name: [(kind.rule, set() if kind.states == shown.EVERYWHERE else set(kind.states), 1, 1)]
        for kind in shown.KINDS
    }
    assert {
        name: [(one.rule, set(one.only), one.node_count, one.page_count) for one in some] for name, some in rows.items()
    } == expected
    summary = summarise(pages, fail_on=None)
    assert (summary.total, len(summary.components), summary.pages_text) == (10, 10, "4 scans (1 page in 4 states)")


async def test_a_device_is_seen_as_it_is(engine: ScanEngine):
    with small_site() as site:
        site.files["/"] = FACTS.encode()
        phone = (await engine.audit(ScanRequest(url=f"{site.url}/", device="iphone 14"))).result
        agent = next(headers["User-Agent"] for headers in site.headers if "text/html" in headers.get("Accept", ""))
    seen = json.loads(phone.title)

    assert phone.page_state == "iPhone 14"
    # It has no viewport meta, so it is laid out as on phones, wide and scaled down.
    assert (seen["width"], seen["screen"], seen["ratio"], seen["touch"]) == (980, 390, 3, 5)
    assert (seen["coarse"], seen["hover"], seen["agent"], seen["platform"]) == (True, False, True, "iPhone")
    assert "iPhone" in agent
    assert agent.endswith(f"Sightline/{VERSION} (accessibility scan)")


async def test_the_default_state_is_unchanged(engine: ScanEngine):
    seen = await facts_of(engine)

    assert (seen["width"], seen["ratio"], seen["touch"], seen["coarse"]) == (1280, 1, 0, False)
    assert (seen["dark"], seen["forced"], seen["reduced"], seen["text"]) == (False, False, True, "16px")


async def test_settings_of_one_state_hold_together(engine: ScanEngine):
    seen = await facts_of(
        engine, color_scheme="dark", forced_colors=True, reduced_motion=False, zoom=400, text_size=200
    )

    assert (seen["dark"], seen["forced"], seen["reduced"]) == (True, True, False)
    assert (seen["width"], seen["ratio"], seen["text"]) == (320, 4, "32px")


async def test_contrast_is_measured_in_the_pixels_of_the_device(engine: ScanEngine):
    text = "<p style='background:linear-gradient(#fff,#fefefe);color:#999;padding:20px'>Grey on nearly white</p>"
    html = f"<!doctype html><html lang=en><title>x</title><main><h1>x</h1>{text}</main></html>"

    (finding,) = (await engine.audit(ScanRequest(html=html, scroll=False, device="Pixel 9"))).result.incomplete

    (node,) = finding.nodes
    assert node.contrast is not None
    assert (node.contrast.lowest, node.contrast.verdict) == (2.8, "fails")


async def test_text_is_judged_on_the_canvas_that_the_page_has(engine: ScanEngine):
    grey = "<!doctype html><html lang=en><meta name=color-scheme content='light dark'><title>x</title><main><h1>x</h1>"
    grey += "<p style='color:#999'>Grey</p></main></html>"

    light, dark = [
        (await engine.audit(ScanRequest(html=grey, scroll=False, color_scheme=scheme))).result for scheme in SCHEMES
    ]

    assert [finding.rule for finding in light.findings] == ["color-contrast"]
    assert (dark.status, dark.findings, dark.incomplete) == ("scanned", (), ())
