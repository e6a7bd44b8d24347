"""Every frame is read, those of other sites too. That the result equals axe-core's is tested in ``test_truth.py``."""

from __future__ import annotations

from producer.contract import ScanRequest
from tests.support.hostile import GUILTY
from tests.support.scans import passes
from tests.support.site import Site, reply
from worker.own_redis.server import free_port
from worker.scan.engine import ScanEngine


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


async def test_a_frame_that_cannot_be_loaded_makes_the_page_partial(engine: ScanEngine, site: Site) -> None:
    port = free_port()
    url = site.add("/with-broken-frame", framed(f"http://127.0.0.1:{port}/", "/pages/clean.html"))

    audit = await engine.audit(ScanRequest(url=url))

    assert audit.result.status == "partial"
    assert f"127.0.0.1:{port}" in audit.result.reason


async def test_a_frame_that_forbids_embedding_is_not_missed(engine: ScanEngine, site: Site) -> None:
    site.add("/private-frame", reply(GUILTY, headers={"X-Frame-Options": "DENY"}))
    url = site.add("/with-denied-frame", framed(site.url("/private-frame", host="localhost")))

    audit = await engine.audit(ScanRequest(url=url))

    assert passes(audit.result)
