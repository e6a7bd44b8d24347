"""Misbehaving pages and servers, with the expected result of each.

``HOSTILE`` lists a path on the site prepared by ``misbehave``, the correct statuses, and words that the reason must
contain. ``is_guilty`` pages have an image without a text alternative, which must be found whatever else they do; None
if that depends on how far the browser gets. ``is_slow`` pages end only at a limit.
"""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import dataclass

from tests.support.site import Reply, Request, Site, redirect, reply
from worker.scan.relay import reset

GUILTY = "<!doctype html><html lang=en><title>Guilty</title><main><h1>Guilty</h1><img src=/pixel.png></main>"
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"


SOON_S = 6.0
"""For pages that end only at a limit. The others end by themselves: after a second, or ten on a busy machine."""


@dataclass(frozen=True)
class Hostile:
    path: str
    statuses: tuple[str, ...]
    reason: str = ""
    is_guilty: bool | None = False
    deadline_s: float = 40.0
    is_slow: bool = False


UNREACHABLE, PARTIAL, SCANNED = ("unreachable",), ("partial",), ("scanned",)

HOSTILE: tuple[Hostile, ...] = (
    Hostile("/pages/endless_script.html", PARTIAL, "did not", is_guilty=True, deadline_s=SOON_S, is_slow=True),
    Hostile("/pages/endless_timer.html", PARTIAL, "stopped", is_guilty=True, deadline_s=SOON_S, is_slow=True),
    Hostile("/pages/many_elements.html", ("unreachable", "partial"), deadline_s=SOON_S, is_slow=True),
    Hostile("/bomb", ("unreachable", "partial"), deadline_s=SOON_S, is_slow=True),
    Hostile("/bomb-image", PARTIAL, "bytes", is_guilty=True),
    Hostile("/drip", PARTIAL, "still arriving", deadline_s=SOON_S, is_slow=True),
    Hostile("/drip-head", UNREACHABLE, "no answer", deadline_s=SOON_S, is_slow=True),
    Hostile("/hang", UNREACHABLE, "no answer", deadline_s=SOON_S, is_slow=True),
    Hostile("/cut-off", UNREACHABLE, "cut off"),
    Hostile("/cut-off-chunks", UNREACHABLE, "cut off"),
    Hostile("/broken-off", UNREACHABLE, "not loaded completely"),
    Hostile("/empty", UNREACHABLE, "without an answer"),
    Hostile("/not-http", UNREACHABLE),
    Hostile("/redirects", UNREACHABLE, "loop"),
    Hostile("/redirect-to-file", UNREACHABLE),
    Hostile("/pages/reload_loop.html", UNREACHABLE, "times"),
    Hostile("/pages/location_flood.html", UNREACHABLE, "times"),
    Hostile("/pages/meta_refresh_loop.html", UNREACHABLE, "times"),
    Hostile("/pages/meta_refresh.html", SCANNED, is_guilty=True),
    Hostile("/pages/popups.html", SCANNED, is_guilty=True),
    Hostile("/pages/dialogs.html", SCANNED, is_guilty=True),
    Hostile("/pages/endless_dialogs.html", PARTIAL, is_guilty=True, deadline_s=SOON_S, is_slow=True),
    Hostile("/download", UNREACHABLE, "download"),
    Hostile("/pages/memory_heap.html", UNREACHABLE, "died"),
    # Its scripts are stopped for the audit: on a slow machine before it has all the memory that it wants.
    Hostile("/pages/memory_buffers.html", (*UNREACHABLE, *PARTIAL, *SCANNED), is_guilty=None),
    Hostile("/pages/faked_axe.html", SCANNED, is_guilty=True),
    Hostile("/pages/overridden.html", SCANNED, is_guilty=True),
    Hostile("/pages/clobbered.html", SCANNED, is_guilty=True),
    Hostile("/pages/clobbered_axe.html", SCANNED, is_guilty=True),
    Hostile("/strict-policy", SCANNED, is_guilty=True),
    Hostile("/pages/data_uris.html", SCANNED, is_guilty=True),
    Hostile("/pages/deep_frames.html", SCANNED, is_guilty=True, deadline_s=100, is_slow=True),
    Hostile("/xml", UNREACHABLE, "only HTML"),
    Hostile("/pdf", UNREACHABLE),
    Hostile("/json", UNREACHABLE, "only HTML"),
    Hostile("/text", UNREACHABLE, "only HTML"),
    Hostile("/pixel.png", UNREACHABLE, "only HTML"),
    Hostile("/nothing", UNREACHABLE, "204"),
    Hostile("/401", UNREACHABLE, "401"),
    Hostile("/403", UNREACHABLE, "403"),
    Hostile("/500", UNREACHABLE, "500"),
    Hostile("/pages/ticker.html", SCANNED, is_guilty=True),
    Hostile("/pages/open_stream.html", SCANNED, is_guilty=True),
    Hostile("/pages/push_states.html", SCANNED, is_guilty=True),
    Hostile("/pages/workers.html", SCANNED, is_guilty=True),
    Hostile("/pages/closes_itself.html", SCANNED, is_guilty=True),
    Hostile("/pages/odd_characters.html", SCANNED, is_guilty=True),
    Hostile("/pages/long_names.html", ("scanned", "partial"), is_guilty=True, deadline_s=60, is_slow=True),
    Hostile("/pages/many_sites.html", ("partial", "unreachable"), "frames of other sites", is_guilty=None),
)


def misbehave(site: Site) -> None:
    """Add the replies that cannot be files."""
    bomb = gzip.compress(b"<!doctype html><title>Bomb</title>" + b"0" * 120_000_000)
    image_bomb = gzip.compress(b"0" * 120_000_000)
    packed = {"Content-Encoding": "gzip"}
    site.add("/bomb", reply(bomb, headers=packed))
    site.add("/bomb.css", reply(image_bomb, content_type="text/css", headers=packed))
    site.add("/bomb-image", GUILTY + '<link rel="stylesheet" href="/bomb.css">')
    site.add("/drip", _drip(_HEAD + b"\r\n<!doctype html><html lang=en><title>Drip</title><p>", b"drop "))
    site.add("/drip-head", _drip(b"HTTP/1.1 200 OK\r\nX: ", b"x"))
    site.add("/endless-events", _drip(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", b"data: x\n\n"))
    site.add("/hang", _hang)
    site.add("/cut-off", _raw(_HEAD + b"Content-Length: 5000\r\n\r\n" + GUILTY.encode()))
    site.add("/cut-off-chunks", _raw(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n40\r\n<p>half"))
    site.add("/broken-off", _break_off(_HEAD + b"\r\n" + GUILTY.encode()))
    site.add("/empty", _raw(b""))
    site.add("/not-http", _raw(b"+PONG\r\n-ERR unknown command\r\n\r\n"))
    site.add("/redirects", redirect("/redirects"))
    site.add("/redirect-to-file", redirect("file:///etc/passwd"))
    site.add("/download", reply("a,b", content_type="text/csv", headers={"Content-Disposition": "attachment"}))
    policy = "default-src 'none'; script-src 'none'; connect-src 'none'; sandbox; require-trusted-types-for 'script'"
    site.add("/strict-policy", reply(GUILTY, headers={"Content-Security-Policy": policy}))
    site.add("/xml", reply("<a><b/></a>", content_type="application/xml"))
    site.add("/pdf", reply(b"%PDF-1.4\n%%EOF", content_type="application/pdf"))
    site.add("/json", reply("{}", content_type="application/json"))
    site.add("/text", reply("<img>", content_type="text/plain"))
    site.add("/nothing", reply("", status="204 No Content"))
    site.add("/401", reply(GUILTY, status="401 Unauthorized", headers={"WWW-Authenticate": 'Basic realm="x"'}))
    site.add("/403", reply(GUILTY, status="403 Forbidden"))
    site.add("/500", reply(GUILTY, status="500 Internal Server Error"))
    site.add("/worker.js", reply("onfetch = () => { };", content_type="text/javascript"))
    site.add("/slow", _slowly('<img src="/pixel.png">'))


def _raw(content: bytes) -> Reply:
    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()

    return answer


def _drip(head: bytes, drop: bytes) -> Reply:
    """Send a byte ten times a second, until the reader disconnects."""

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(0.1)

    return answer


def _break_off(content: bytes) -> Reply:
    """Send a part, then reset the connection."""

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()
        await asyncio.sleep(0.2)
        reset(writer)

    return answer


def _slowly(html: str) -> Reply:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.6)
        await reply(html)(request, writer)

    return answer


async def _hang(_: Request, writer: asyncio.StreamWriter) -> None:
    """Send no reply until the client gives up."""
    await writer.wait_closed()
