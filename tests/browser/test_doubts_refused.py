"""Refused requests are reported, and an application on this machine reaches its API if that is allowed."""

from __future__ import annotations

from dataclasses import replace

from producer.contract import ScanRequest, ScanResult
from tests.support.site import Site
from worker.scan.engine import ScanEngine, ScanSettings

PAGE = "<!doctype html><html lang=en><title>Shop</title><main><h1>Shop</h1><p id=m>Wait</p></main><script>{}</script>"
ASK = (
    "fetch('{}').then((got) => got.text()).then((text) => {{ m.innerHTML = text }}, () => {{ m.innerHTML = 'Sorry' }})"
)


async def scan(settings: ScanSettings, url: str) -> ScanResult:
    async with ScanEngine(settings) as engine:
        return (await engine.audit(ScanRequest(url=url, deadline_s=30))).result


async def test_what_is_refused_to_a_page_on_this_network_was_not_seen(settings: ScanSettings) -> None:
    with Site() as site, Site() as api:
        url = site.add("/", PAGE.format(ASK.format(api.url("/products"))))
        closed = replace(settings, allow_private=False, allow_hosts=(f"127.0.0.1:{site.port}",))

        refused = f"127.0.0.1:{api.port}"

        result = await scan(closed, url)

    assert result.status == "partial"
    assert [(doubt.kind, doubt.where) for doubt in result.doubts] == [("refused-request", refused)]
    assert refused in result.doubts[0].what
    assert api.requests == []


async def test_an_application_on_this_machine_gets_its_api_where_loopback_is_open(settings: ScanSettings) -> None:
    with Site() as site, Site() as api:
        url = site.add("/", PAGE.format(f"m.innerHTML = '<img src={api.url('/pixel.png')}>'"))
        opened = replace(settings, allow_private=False, allow_hosts=(f"127.0.0.1:{site.port}", "loopback"))

        result = await scan(opened, url)

    assert (result.status, result.doubts) == ("scanned", ())
    assert [finding.rule for finding in result.findings] == ["image-alt"]
    assert api.seen("/pixel.png")
