"""Every frame is read, those of other sites too. That the result equals axe-core's is tested in ``test_truth.py``."""

from __future__ import annotations

import asyncio

import pytest

from producer.contract import ScanRequest
from tests.support.hostile import GUILTY
from tests.support.scans import passes
from tests.support.site import Request, Site, reply
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


async def test_a_frame_that_cannot_be_loaded_counts_although_a_hidden_one_has_its_address(
    engine: ScanEngine, site: Site
) -> None:
    dead = f"http://127.0.0.1:{free_port()}/"
    hidden = f'<iframe title="hidden" style="display:none" src="{dead}"></iframe>'
    url = site.add("/dead-twice", framed(dead).replace("</main>", f"{hidden}</main>"))

    audit = await engine.audit(ScanRequest(url=url))

    assert audit.result.status == "partial"
    assert list(audit.result.unread_frames) == [dead]


async def test_a_frame_that_is_loaded_at_the_second_attempt_is_not_missing(engine: ScanEngine, site: Site) -> None:
    asked: list[str] = []

    async def second(request: Request, writer: asyncio.StreamWriter) -> None:
        asked.append(request.path)
        if len(asked) == 1:
            writer.transport.abort()
        else:
            await reply(GUILTY)(request, writer)

    site.add("/at-second", second)
    again = "<script>document.querySelector('iframe').addEventListener('load', (event) => {"
    again += "event.target.src += ''; }, { once: true })</script>"
    url = site.add("/tries-again", framed("/at-second") + again)

    audit = await engine.audit(ScanRequest(url=url))

    assert (audit.result.status, len(asked)) == ("scanned", 2)
    assert audit.result.findings[0].nodes[0].selector == ("iframe", "img")


FAR = '<!doctype html><html lang=en><title>Far</title><div style="height:9000px"></div>'
LAZY = "<iframe loading=lazy title=far src=/pages/guilty.html></iframe>"
SHADED = (
    "<div id=host></div><script>host.attachShadow({mode: 'open'}).innerHTML ="
    f"`<div style='height:9000px'></div>{LAZY}`</script>"
)


@pytest.mark.parametrize("where", ["in a frame", "in a shadow tree"])
async def test_a_frame_that_never_loaded_is_named_wherever_it_is(engine: ScanEngine, site: Site, where: str) -> None:
    site.add("/far", FAR + LAZY)
    body = framed("/far") if where == "in a frame" else framed() + SHADED
    url = site.add(f"/lazy-{where.replace(' ', '-')}", body)

    result = (await engine.audit(ScanRequest(url=url, scroll=False))).result

    assert (result.status, [doubt.kind for doubt in result.doubts]) == ("partial", ["lazy-frame"])
    assert "/pages/guilty.html never loaded" in result.reason


async def test_frames_within_frames_however_deep_harm_no_other_scan(engine: ScanEngine, site: Site) -> None:
    nest = (
        "<script>let d = document; for (let i = 0; i < 400; i++) { const f = d.createElement('iframe');"
        "f.title = 'f'; (d.body ?? d.documentElement).append(f); d = f.contentDocument; }</script>"
    )
    url = site.add("/deep-400", framed() + nest)
    beside = ScanRequest(url=site.url("/pages/late.html"))

    deep, other = await asyncio.gather(engine.audit(ScanRequest(url=url, deadline_s=20)), engine.audit(beside))

    assert deep.result.status in {"partial", "unreachable"}, deep.result.reason  # by how busy the machine is
    assert other.result.status == "scanned"
