"""Endless loads do not fail the page: loaded content is scanned, and missing content is named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from producer.contract import ScanRequest, ScanResult
from tests.support.site import PIXEL, Reply, Request, Site, reply
from worker.own_redis.server import free_port
from worker.scan.engine import ScanEngine, ScanSettings
from worker.scan.load import Load

BEFORE = '<!doctype html><html lang="en"><title>Load</title><main><h1>Load</h1><p>Some text</p><img src="/pixel.png">'


async def scan(engine: ScanEngine, url: str) -> ScanResult:
    return (await engine.audit(ScanRequest(url=url, deadline_s=25))).result


def rules_of(result: ScanResult) -> set[str]:
    return {finding.rule for finding in result.findings}


def kinds_of(result: ScanResult) -> set[str]:
    return {doubt.kind for doubt in result.doubts}


async def hang(_: Request, writer: asyncio.StreamWriter) -> None:
    """Send no reply until the other side gives up."""
    await writer.wait_closed()


def endless(content_type: str, part: bytes) -> Reply:
    """Send a part ten times a second until the reader disconnects."""

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\r\n".encode())
        while not writer.is_closing():
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.1)

    return answer


@pytest.fixture(scope="module")
def loads(site: Site) -> Site:
    site.add("/never", hang)
    site.add("/no-content", reply("", status="204 No Content"))
    site.add("/file", reply("a,b", content_type="text/csv", headers={"Content-Disposition": "attachment"}))
    site.add("/film.mp4", reply(b"\0\0\0\x18ftypmp42" + bytes(2_000), content_type="video/mp4"))
    site.add("/sound.mp3", reply(b"\xff\xfb\x90\0" * 500, content_type="audio/mpeg"))
    site.add("/silent.mp4", endless("video/mp4", b""))
    site.add("/event-stream", endless("text/event-stream", b"data: x\n\n"))
    part = b"--next\r\nContent-Type: image/png\r\n\r\n" + PIXEL + b"\r\n"
    site.add("/camera", endless("multipart/x-mixed-replace; boundary=next", part))
    return site


@pytest.mark.parametrize(
    "leave",
    [
        'location.href = "myapp://open"',
        'location = "mailto:a@b.example"',
        'location.replace("tel:123")',
        'location = "/no-content"',
        'location = "/file"',
        "stop()",
    ],
)
async def test_a_page_that_hands_over_while_it_is_parsed_is_scanned_at_once(
    engine: ScanEngine, loads: Site, leave: str
) -> None:
    url = loads.add("/hands-over", f"{BEFORE}</main><script>{leave}</script>")

    result = await scan(engine, url)

    assert (result.status, result.reason, result.doubts) == ("scanned", "", ())
    assert rules_of(result) == {"image-alt"}
    assert result.final_url == url
    assert result.redirects == ()
    assert result.waited["load"] == "reached"


@pytest.mark.parametrize(
    "leave",
    [
        'location = "myapp://open"',
        'location.assign("mailto:a@b.example")',
        'location = "/no-content#top"',
        'location = "/file?x=1"',
    ],
)
async def test_what_follows_an_app_link_in_the_document_is_scanned_too(
    engine: ScanEngine, loads: Site, leave: str
) -> None:
    url = loads.add("/goes-on", f"{BEFORE}<script>{leave}</script>{'<p>More</p>' * 300}<button></button>")

    result = await scan(engine, url)

    assert (result.status, result.reason, result.redirects) == ("scanned", "", ())
    assert rules_of(result) == {"image-alt", "button-name"}


async def test_a_page_that_always_hands_over_to_another_file_while_it_is_parsed_is_partial(
    engine: ScanEngine, loads: Site
) -> None:
    leave = "<script>location = `/file?${Math.random()}`</script>"
    url = loads.add("/other-file", f"{BEFORE}{leave}{'<p>More</p>' * 300}<button></button>")

    result = await scan(engine, url)

    assert (result.status, kinds_of(result)) == ("partial", {"partial-document"})
    assert rules_of(result) == {"image-alt"}


async def test_a_page_that_sends_a_form_to_an_app_while_it_is_parsed_is_partial(
    engine: ScanEngine, loads: Site
) -> None:
    form = '<form action="sms:1"></form><script>document.forms[0].submit()</script>'
    url = loads.add("/form-to-app", f"{BEFORE}{form}{'<p>More</p>' * 300}<button></button>")

    result = await scan(engine, url)

    assert (result.status, kinds_of(result)) == ("partial", {"partial-document"})
    assert "sms:1" in result.reason
    assert rules_of(result) == {"image-alt"}


ENDLESS = (
    '<iframe title="Film" src="/film.mp4"></iframe>',
    '<iframe title="Sound" src="/sound.mp3"></iframe>',
    '<object aria-label="Film" data="/film.mp4"></object>',
    '<embed aria-label="Film" src="/film.mp4">',
    '<img alt="Camera" src="/camera">',
    '<script>fetch("/event-stream").then(async (answer) => { for await (const _ of answer.body); })</script>',
    '<video autoplay src="/missing.mp4"></video>',
    '<audio autoplay><source src="/missing.mp3"></audio>',
)


async def test_endless_and_unplayable_media_are_not_waited_for(settings: ScanSettings, loads: Site) -> None:
    patient = replace(settings, load_limit_s=20.0, frame_limit_s=10.0)  # for a busy machine
    async with ScanEngine(patient) as engine:
        result = await scan(engine, loads.add("/endless-part", BEFORE + "".join(ENDLESS)))

    assert (result.status, result.reason, result.doubts) == ("scanned", "", ())
    assert set(result.waited.values()) == {"reached"}
    assert result.timings_ms["audit"] < 9_000, "axe-core waits 10 s for media"


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ('<img alt="" src="/never">', "image"),
        ('<p style="background: url(/never)">Text</p>', "image"),
        ("<style>@font-face { font-family: f; src: url(/never) } p { font-family: f }</style>", "font"),
        ('<iframe title="Part" srcdoc="<p>Text</p><img alt=Gone src=/never>"></iframe>', "image"),
        ('<script>fetch("/never")</script>', "fetch"),
    ],
)
async def test_a_request_that_nobody_answers_is_a_remark_where_the_document_is_whole(
    engine: ScanEngine, loads: Site, part: str, kind: str
) -> None:
    result = await scan(engine, loads.add("/unanswered-part", BEFORE + part))

    assert (result.status, kinds_of(result)) == ("scanned", {"open-request"})
    assert f"{kind} {loads.url('/never')}" in result.doubts[0].what
    assert rules_of(result) == {"image-alt"}


@pytest.mark.parametrize(
    ("part", "named"),
    [
        ('<script src="/never"></script>', "script"),
        ('<script defer src="/never"></script>', "script"),
        ('<script async src="/never"></script>', "script"),
        ('<link rel="stylesheet" href="/never">', "stylesheet"),
    ],
)
async def test_a_script_or_stylesheet_that_nobody_answers_is_named_and_makes_the_page_partial(
    engine: ScanEngine, loads: Site, part: str, named: str
) -> None:
    result = await scan(engine, loads.add("/blocked-part", f"{BEFORE}{part}"))

    assert (result.status, kinds_of(result)) == ("partial", {"load-timeout"})
    assert f"it waits for {named} {loads.url('/never')}" in result.reason
    assert "within 3.0 s" not in result.reason, "the whole limit was waited for"
    assert rules_of(result) == {"image-alt"}


async def test_a_frame_that_nobody_answers_is_an_unread_frame(engine: ScanEngine, loads: Site) -> None:
    result = await scan(engine, loads.add("/unanswered-frame", f'{BEFORE}<iframe title="Ad" src="/never"></iframe>'))

    assert (result.status, kinds_of(result)) == ("partial", {"unread-frame"})
    assert list(result.unread_frames) == [loads.url("/never")]


async def test_a_slow_image_is_waited_for(engine: ScanEngine, loads: Site) -> None:
    late = '<img alt="" src="/slow-pixel" onload="document.body.append(new Image())">'

    async def slowly(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.8)
        await reply(PIXEL, content_type="image/png")(request, writer)

    loads.add("/slow-pixel", slowly)
    result = await scan(engine, loads.add("/slow-image", BEFORE.replace("<img", '<img alt=""') + late))

    assert (result.status, result.doubts) == ("scanned", ())
    assert rules_of(result) == {"image-alt"}


async def test_a_server_that_only_says_continue_is_unreachable_and_costs_no_other_page(
    engine: ScanEngine, site: Site
) -> None:
    async def flood(_: Request, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000)
            await writer.drain()

    flooded = await scan(engine, site.add("/continue", flood))
    other = await scan(engine, site.add("/shows-flooded", f'{BEFORE}<img alt="" src="/continue">'))

    assert flooded.status == "unreachable"
    assert "interim responses, such as 100 Continue, and no answer" in flooded.reason
    assert other.status == "scanned"


@asynccontextmanager
async def starting_late(port: int, *, after: Awaitable[object], hangs_up: bool) -> AsyncGenerator[None]:
    """Serve a page on ``port`` once ``after`` is done; until then refuse connections, or close them unanswered."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if is_up.is_set():
            await reader.readuntil(b"\r\n\r\n")
            await reply(BEFORE)(Request("GET", "/", {}), writer)
        writer.close()

    async def start() -> None:
        await after
        is_up.set()
        if not hangs_up:
            servers.append(await asyncio.start_server(serve, "127.0.0.1", port))

    is_up = asyncio.Event()
    servers = [await asyncio.start_server(serve, "127.0.0.1", port)] if hangs_up else []
    starting = asyncio.create_task(start())
    try:
        yield
    finally:
        starting.cancel()
        for server in servers:
            server.close()


@pytest.mark.parametrize("hangs_up", [False, True], ids=["refuses", "hangs up"])
async def test_a_server_that_starts_late_is_waited_for_and_the_result_says_so(
    settings: ScanSettings, monkeypatch: pytest.MonkeyPatch, hangs_up: bool
) -> None:
    port = free_port()
    patient = ScanEngine(replace(settings, start_limit_s=20.0))
    late, go_to, tries = asyncio.Event(), Load._go_to, list[str]()

    async def tried(self: Load, url: str) -> str:
        error = await go_to(self, url)
        tries.append(error)
        if len(tries) == 2:
            late.set()
        return error

    monkeypatch.setattr(Load, "_go_to", tried)
    async with patient, starting_late(port, after=late.wait(), hangs_up=hangs_up):
        result = await scan(patient, f"http://127.0.0.1:{port}/")

    assert (result.status, result.reason) == ("scanned", "")
    assert "the server was unreachable for" in result.waited["start"]
    assert result.redirects == ()


async def test_a_server_that_stays_down_is_waited_for_once(engine: ScanEngine) -> None:
    url = f"http://127.0.0.1:{free_port()}/"

    first, second = await scan(engine, url), await scan(engine, url)

    assert {first.status, second.status} == {"unreachable"}
    assert "connection refused; the server was unreachable for " in first.reason
    assert second.reason.endswith("connection refused")
