"""Every frame is read, those of other sites too, and the result equals axe-core's own in the page."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from producer.contract import Finding, ScanRequest, Viewport
from tests.support.hostile import GUILTY
from tests.support.scans import passes
from tests.support.site import Site, reply
from worker.own_redis.server import free_port
from worker.scan.axe import options_for
from worker.scan.axe_source import load_axe
from worker.scan.chromium import Chromium
from worker.scan.engine import ScanEngine, ScanSettings
from worker.scan.guard import Guard
from worker.scan.page import Page
from worker.scan.proxy import ScanProxy

SHOP = Path(__file__).resolve().parents[2] / "ops" / "demo" / "site"
PAGES = sorted(str(page.relative_to(SHOP)) for page in SHOP.rglob("*.html"))

# What a developer does in the page's own world: axe-core in the page and in its same-origin frames, then axe.run.
IN_PAGE = """
(async () => {
  const inject = (win) => {
    win.eval(SOURCE);
    for (const frame of win.document.querySelectorAll("iframe")) inject(frame.contentWindow);
  };
  inject(window);
  const report = await axe.run(document, OPTIONS);
  const packNode = (node) => [node.target, node.html, node.failureSummary];
  const pack = (rule) => [rule.id, rule.impact, rule.nodes.map(packNode)];
  return JSON.stringify({ violations: report.violations.map(pack), incomplete: report.incomplete.map(pack) });
})()
"""


async def run_in_page(browser_path: str, url: str, settings: ScanSettings) -> dict[str, Any]:
    """Return what ``axe.run`` says in the page's own world, after the load event and a while."""
    browser = await Chromium.launch(Path(browser_path), max_script_mb=512, max_renderer_mb=1024)
    try:
        async with ScanProxy(Guard(settings), max_bytes=10**8) as proxy:
            page = await Page.open(
                browser, proxy_port=proxy.port, viewport=Viewport(), user_agent="test", start_script=""
            )
            await page.session.call("Page.navigate", {"url": url})
            assert await page.until(lambda: page.watch.is_loaded and not page.watch.inflight, timeout_s=10)
            source = IN_PAGE.replace("SOURCE", json.dumps(load_axe().text))
            source = source.replace("OPTIONS", json.dumps(options_for(ScanRequest(url=url))))
            answer = await page.session.call(
                "Runtime.evaluate", {"expression": source, "awaitPromise": True, "returnByValue": True}, timeout_s=30
            )
            await page.close()
            return json.loads(answer["result"]["value"])
    finally:
        await browser.close()


def comparable(findings: tuple[Finding, ...]) -> list[Any]:
    packed = [
        [one.rule, one.impact, [[node.selector, node.snippet, node.failure_summary] for node in one.nodes]]
        for one in findings
    ]
    return json.loads(json.dumps(sorted(packed, key=lambda rule: str(rule[0]))))


@pytest.mark.parametrize("page", PAGES)
async def test_the_result_equals_axe_run_in_the_page_rule_by_rule_and_node_by_node(
    engine: ScanEngine, browser_path: str, settings: ScanSettings, page: str
) -> None:
    with Site(SHOP) as shop:
        ours, theirs = await asyncio.gather(
            engine.audit(ScanRequest(url=shop.url(f"/{page}"))),
            run_in_page(browser_path, shop.url(f"/{page}"), settings),
        )

    assert ours.result.status == "scanned"
    assert comparable(ours.result.findings) == sorted(theirs["violations"])
    assert comparable(ours.result.incomplete) == sorted(theirs["incomplete"])


def framed(*frames: str) -> str:
    inner = "".join(f'<iframe title="frame {n}" src="{src}"></iframe>' for n, src in enumerate(frames))
    return f"<!doctype html><html lang=en><title>Framed</title><main><h1>Framed</h1>{inner}</main>"


async def test_a_frame_of_another_site_is_read(engine: ScanEngine, site: Site) -> None:
    url = site.add("/framed", framed(site.url("/pages/guilty.html", host="localhost")))

    audit = await engine.audit(ScanRequest(url=url))

    assert audit.result.status == "scanned"
    assert audit.result.findings[0].nodes[0].selector == ("iframe", "img")
    assert audit.result.waited["network"] == "reached"


async def test_frames_of_other_sites_within_each_other_are_read_once_each(engine: ScanEngine, site: Site) -> None:
    site.add("/inner", framed(site.url("/pages/guilty.html", host="127.0.0.3"), "/pages/guilty.html"))
    url = site.add("/outer", framed(site.url("/inner", host="localhost"), "/pages/guilty.html"))

    audit = await engine.audit(ScanRequest(url=url))

    selectors = {node.selector for node in audit.result.findings[0].nodes}
    assert audit.result.status == "scanned"
    assert [len(selector) for selector in sorted(selectors, key=len)] == [2, 3, 3]
    assert len(audit.result.findings[0].nodes) == 3


async def test_a_frame_whose_scripts_are_switched_off_is_read(engine: ScanEngine, site: Site) -> None:
    frame = '<iframe title="mail" sandbox srcdoc="<html lang=en><title>m</title><img src=/pixel.png>"></iframe>'
    url = site.add("/sandboxed", framed().replace("</main>", f"{frame}</main>"))

    audit = await engine.audit(ScanRequest(url=url))

    assert audit.result.status == "scanned"
    assert audit.result.findings[0].nodes[0].selector == ("iframe", "img")


async def test_a_frame_that_hangs_costs_only_itself_and_is_named(engine: ScanEngine, site: Site) -> None:
    loud = site.url("/pages/endless_timer.html", host="localhost")
    url = site.add("/with-hanging-frame", framed(loud, "/pages/guilty.html"))

    audit = await engine.audit(ScanRequest(url=url, deadline_s=15))

    assert audit.result.status == "partial"
    assert "1 frame could not be read" in audit.result.reason
    assert {node.selector for finding in audit.result.findings for node in finding.nodes} == {
        ('iframe[title="frame 1"]', "img")
    }


async def test_a_frame_that_cannot_be_loaded_makes_the_page_a_part(engine: ScanEngine, site: Site) -> None:
    port = free_port()
    url = site.add("/with-broken-frame", framed(f"http://127.0.0.1:{port}/", "/pages/clean.html"))

    audit = await engine.audit(ScanRequest(url=url))

    assert audit.result.status == "partial"
    assert f"127.0.0.1:{port}" in audit.result.reason


async def test_a_frame_that_its_site_forbids_to_embed_is_nobodys_loss(engine: ScanEngine, site: Site) -> None:
    site.add("/private-frame", reply(GUILTY, headers={"X-Frame-Options": "DENY"}))
    url = site.add("/with-denied-frame", framed(site.url("/private-frame", host="localhost")))

    audit = await engine.audit(ScanRequest(url=url))

    assert passes(audit.result)
