"""A page's dedicated workers run: their output is scanned, and restrictions of the page apply to them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from producer.contract import ScanRequest, ScanResult
from tests.support.site import AUTHORITY, PIXEL, VOUCHED, Request, Site, reply
from worker.scan import workers
from worker.scan.engine import ScanEngine
from worker.scan.settings import ScanSettings, Secrets

SCRIPT = "text/javascript"


def page(script: str, *, awaits: str = "") -> str:
    """A page that a script fills; it has not loaded before ``awaits`` was asked for."""
    head = "<meta charset=utf-8><title>T</title>"
    held = f'<img alt="" hidden src="/workers/held?{awaits}">' if awaits else ""
    body = f"<main></main>{held}<script>{script}</script>"
    return f"<!doctype html><html lang=en><head>{head}</head><body>{body}</body></html>"


def blob(script: str) -> str:
    return f"new Worker(URL.createObjectURL(new Blob([`{script}`])))"


def hold(site: Site) -> None:
    async def held(request: Request, writer: asyncio.StreamWriter) -> None:
        for _ in range(2_000):
            if site.seen(request.target.partition("?")[2]):
                break
            await asyncio.sleep(0.01)  # the site has no event
        await reply(PIXEL, content_type="image/png")(request, writer)

    site.add("/workers/held", held)


async def scan(engine: ScanEngine, url: str, **more: object) -> ScanResult:
    return (await engine.audit(ScanRequest.model_validate({"url": url, "deadline_s": 30, **more}))).result


@pytest.mark.parametrize("kind", ["blob", "file", "nested"])
async def test_an_application_that_a_worker_fills_is_scanned_with_its_content(
    engine: ScanEngine, site: Site, kind: str
) -> None:
    hold(site)
    site.requests.clear()
    answer = f"fetch('{site.url('/workers/data')}').then((got) => got.text()).then((text) => postMessage(text))"
    site.add("/workers/data", reply("<h1>Tea</h1><img src=/pixel.png>", headers={"Access-Control-Allow-Origin": "*"}))
    site.add("/workers/file.js", reply(answer, content_type=SCRIPT))
    nest = "new Worker('/workers/file.js').onmessage = (event) => postMessage(event.data)"
    site.add("/workers/nest.js", reply(nest, content_type=SCRIPT))
    starts = {
        "blob": blob(answer),
        "file": "new Worker('/workers/file.js')",
        "nested": "new Worker('/workers/nest.js')",
    }
    show = "onmessage = (event) => document.querySelector('main').innerHTML = event.data"
    url = site.add(f"/workers/{kind}", page(f"{starts[kind]}.{show}", awaits="/workers/data"))

    result = await scan(engine, url)

    assert (result.status, result.doubts) == ("scanned", ())
    assert [finding.rule for finding in result.findings] == ["image-alt"]


async def test_what_a_worker_asks_for_carries_the_login_and_our_name(engine: ScanEngine, site: Site) -> None:
    hold(site)
    site.add("/workers/said.js", reply("fetch(`/workers/as?${navigator.userAgent}`)", content_type=SCRIPT))
    url = site.add("/workers/login", page("new Worker('/workers/said.js')", awaits="/workers/as"))

    await engine.audit(ScanRequest(url=url, deadline_s=30), secrets=Secrets(headers={"Authorization": "Bearer tea"}))

    for path in ("/workers/said.js", "/workers/as"):
        (request,) = site.seen(path)
        assert request.headers["authorization"] == "Bearer tea"
        assert "Sightline" in request.headers["user-agent"]
    assert "Sightline" in request.target


async def test_workers_of_a_frame_of_another_site_run_and_write_nothing_where_nothing_may_be_written(
    engine: ScanEngine, site: Site
) -> None:
    hold(site)
    for name in ("framed", "nested"):
        write = f"fetch('/workers/write', {{method: 'PUT'}}); fetch('/workers/read-{name}')"
        site.add(f"/workers/{name}.js", reply(write, content_type=SCRIPT))
    nest = "new Worker('/workers/nested.js');"
    site.add("/workers/nest-two.js", reply(nest, content_type=SCRIPT))
    frame = site.add("/workers/frame", page("new Worker('/workers/framed.js'); new Worker('/workers/nest-two.js')"))
    frame = frame.replace("127.0.0.1", "localhost")
    url = site.add(
        "/workers/outer", page("", awaits="/workers/read-nested") + f'<iframe title="f" src="{frame}"></iframe>'
    )

    await engine.try_fixes(ScanRequest(url=url, deadline_s=30), [])

    assert site.seen("/workers/read-framed")
    assert site.seen("/workers/read-nested")
    assert not site.seen("/workers/write")


async def test_requests_that_the_guard_refuses_to_a_web_worker_are_reported(settings: ScanSettings) -> None:
    with Site() as site, Site() as api:
        url = site.add("/", page(blob(f"fetch('{api.url('/data')}')")))
        closed = replace(settings, allow_private=False, allow_hosts=(f"127.0.0.1:{site.port}",))

        async with ScanEngine(closed) as engine:
            result = await scan(engine, url)

        assert [doubt.kind for doubt in result.doubts] == ["blank", "refused-request"]
        assert not api.requests


@pytest.mark.parametrize("trust", ["insecure", "ca"])
async def test_certificates_are_taken_from_a_workers_server_as_from_its_pages(engine: ScanEngine, trust: str) -> None:
    with Site(tls=VOUCHED) as site:
        hold(site)
        site.add("/ask.js", reply("importScripts('/more.js'); fetch('/data')", content_type=SCRIPT))
        site.add("/more.js", reply("", content_type=SCRIPT))
        url = site.add("/", page("new Worker('/ask.js')", awaits="/data"))

        await scan(engine, url, **{trust: True if trust == "insecure" else AUTHORITY.read_text()})

        assert site.seen("/more.js")
        assert site.seen("/data")


async def test_a_script_that_a_worker_still_runs_is_not_said_to_be_missing(engine: ScanEngine, site: Site) -> None:
    async def never(_: Request, __: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    site.add("/workers/never", never)
    wait = "const ask = new XMLHttpRequest(); ask.open('GET', '/workers/never', false); ask.send()"
    site.add("/workers/waits.js", reply(wait, content_type=SCRIPT))

    result = await scan(engine, site.add("/workers/busy", page("new Worker('/workers/waits.js')")))

    assert [what for what in (doubt.what for doubt in result.doubts) if "waits.js" in what] == []
    assert any("/workers/never" in doubt.what for doubt in result.doubts)


async def test_a_page_with_too_many_web_workers_is_partial(
    engine: ScanEngine, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "MOST", 3)
    site.add("/workers/again.js", reply("new Worker('/workers/again.js')", content_type=SCRIPT))

    result = await scan(engine, site.add("/workers/bomb", page("new Worker('/workers/again.js')")))

    assert result.status == "partial"
    assert "over-limit" in [doubt.kind for doubt in result.doubts]
    assert 3 <= len(site.seen("/workers/again.js")) <= 4
