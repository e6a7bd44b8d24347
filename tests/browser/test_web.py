"""The pages of ``sightline web`` in a real browser: by keyboard alone, and scanned by Sightline."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from producer.client.client import Client
from producer.contract import QueryResult, ScanRequest
from producer.keys import Keys
from producer.stored.waivers import Waivers
from producer.web.accounts import Accounts, add_account
from tests.support.component_scans import Site, component
from tests.support.open_page import OpenPage, opened
from tests.support.queue import settings_for, until
from tests.support.web_pages import WORST, app_over, at_port
from tests.support.web_routes import fill
from worker.memory.history.history import History
from worker.memory.vectors.embeddings import Embeddings
from worker.models.builtin.models import BuiltinEmbedder
from worker.scan.engine import ScanEngine
from worker.scan.settings import ScanSettings

FOCUSED = "(document.activeElement.textContent.trim() || document.activeElement.id)"
MOST_STOPS = 80
PATHS = (
    "/",
    "/refused",
    "/sites/shop.example",
    f"/barriers/{WORST}",
    "/pages?url=https://shop.example/cart",
    "/pages?url=https://shop.example/about",
    "/batches/web",
    "/batches/map",
    "/queue",
    "/usage",
    "/compare",
    "/compare?before=yesterday&after=now",
    "/ask",
    "/ask/question-1",
    "/search?q=image-alt",
    "/search?q=beef",
    "/search",
    "/scan",
    "/sign-in",
)
WALK = (
    ("shop.example", "Worst pages"),
    ("https://shop.example/cart", "2 findings"),
    *(("Queue", "Lanes"), ("web", "Newest pages"), ("Scan", "Addresses"), ("Compare", "Before")),
    *(("Ask", "Question"), ("Usage", "Model calls")),
)
"""Links on the way from the overview through every kind of page, each with words of the page that it opens."""
LOOKS = ((320, "dark"), (1280, "light"))


@asynccontextmanager
async def shop_at_port(redis_url: str, keys: Keys) -> AsyncGenerator[tuple[Client, int]]:
    async with Client(settings_for(redis_url, keys)) as client, Redis.from_url(redis_url, protocol=2) as redis:
        history = History(Embeddings(redis, keys, BuiltinEmbedder()))
        await history.ensure_index()
        await fill(redis, keys, history, client)
        site = Site(redis, keys, history, first=50)
        days_ago = int(time.time() * 1000) - 10 * 86_400_000
        await site.scan(component("cafe", rule="link-name"), path="/old", at_ms=days_ago)
        await site.scan(component("beef"), path="/old")
        await client.submit("find_pages", {"sitemaps": ["https://shop.example/"], "batch": "map"}, job_id="map.pages")
        with TemporaryDirectory() as folder:  # on loopback nobody needs to sign in, but the form is there
            add_account(f"{folder}/passwords", "anna", "operator", "correct horse battery")
            async with at_port(refusing(app_over(client, accounts=Accounts(f"{folder}/passwords")))) as port:
                yield client, port


def refusing(app: ASGIApp) -> ASGIApp:
    """Serve at ``/refused`` the page that a form without its token gets; with status 200, or it is not scanned."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            await send({**message, "status": 200} if message["type"] == "http.response.start" else message)

        if scope.get("path") == "/refused":
            await app({**scope, "path": "/scan", "method": "POST"}, receive, sending)
        else:
            await app(scope, receive, send)

    return serve


async def go_to(page: OpenPage, words: str) -> None:
    """Press Tab until the focus, which must be seen, is on what has these words or this id."""
    for _ in range(MOST_STOPS):
        await page.press("Tab")
        if words in str(await page.run(FOCUSED)):
            style = await page.run("getComputedStyle(document.activeElement).outlineStyle")
            assert style == "solid", f"the focus on {words!r} is not seen"
            return
    pytest.fail(f"Tab never comes to {words!r}")


async def press_enter(page: OpenPage, on: str, *, then: str) -> None:
    """Press Enter on what has these words, and wait for the next page."""
    await go_to(page, on)
    await page.run("window.isOld = true")
    await page.press("Enter")
    await page.until(
        f"!window.isOld && document.readyState === 'complete' && document.body.innerText.includes({then!r})"
    )


async def test_the_keyboard_alone_finds_reads_and_waives_the_worst_barrier(redis_url: str, keys: Keys) -> None:
    async with shop_at_port(redis_url, keys) as (client, port):
        async with opened(f"http://127.0.0.1:{port}/", port=port) as page:
            await page.until("document.body.innerText.includes('2 component barriers open')")
            await page.press("Tab")
            assert await page.run(FOCUSED) == "Skip to the content"
            await page.press("Enter")

            await press_enter(page, "Header › beef", then="Give the image an alt text")
            await go_to(page, "reason")
            await page.write("a new shop in March")
            await press_enter(page, "Waive", then="the barrier no longer counts")
            await press_enter(page, "Overview", then="1 component barrier open")
            for words, then in WALK:
                await press_enter(page, words, then=then)

        [waiver] = await Waivers(client).all()

    assert (waiver.fingerprint, waiver.reason) == (WORST, "a new shop in March")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def engine(settings: ScanSettings) -> AsyncGenerator[ScanEngine]:
    """An engine that waits for slow pages: this process serves them too."""
    patient = dataclasses.replace(settings, load_limit_s=20.0, start_limit_s=10.0, frame_limit_s=10.0)
    async with ScanEngine(patient) as opened:
        yield opened


async def scanned(engine: ScanEngine, address: str, width: int, scheme: str, checks: Sequence[str]) -> list[str]:
    """Return Sightline's findings and doubts about a page, by WCAG 2.2 AA and best practice."""
    fields = {"url": address, "standard": "best-practice", "color_scheme": scheme, "checks": list(checks)}
    window = {"viewport": {"width": width, "height": 900}}
    result = (await engine.audit(ScanRequest.model_validate({**fields, **window}))).result
    about = [one.rule for one in (*result.findings, *result.incomplete)] + [one.kind for one in result.doubts]
    left_out = list(result.live.left_out) if result.live else []
    return about + left_out if result.status == "scanned" else [result.status, result.reason, *about]


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
async def test_our_own_scan_finds_nothing_on_any_page_and_doubts_none(
    engine: ScanEngine, redis_url: str, keys: Keys, width: int, scheme: str
) -> None:
    async with shop_at_port(redis_url, keys) as (_, port):
        scans = (scanned(engine, f"http://127.0.0.1:{port}{path}", width, scheme, ["axe"]) for path in PATHS)
        found = await asyncio.gather(*scans)

    assert {path: about for path, about in zip(PATHS, found, strict=True) if about} == {}


@pytest.mark.parametrize("path", [f"/barriers/{WORST}", "/scan", "/batches/web"])
async def test_our_live_checks_find_nothing_either(engine: ScanEngine, redis_url: str, keys: Keys, path: str) -> None:
    async with shop_at_port(redis_url, keys) as (_, port):
        found = await scanned(engine, f"http://127.0.0.1:{port}{path}", 1280, "light", ["axe", "live"])

    assert found == []


async def test_a_page_that_waits_for_an_answer_outlasts_an_outage(redis_url: str, keys: Keys) -> None:
    asked: list[Scope] = []

    async with Client(settings_for(redis_url, keys)) as client:
        app = app_over(client)

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            is_asked = str(scope.get("path")).endswith("/ask/late")  # with the host, as to a proxy
            asked.extend([scope] if is_asked else [])
            if is_asked and 1 < len(asked) < 4:
                document = {"v": 1, "error": "Redis does not answer"}
                await JSONResponse(document, 503)(scope, receive, send)
            else:
                await app(scope, receive, send)

        await client.submit("query", {"question": "Which?"}, job_id="late")
        async with at_port(serve) as port, opened(f"http://127.0.0.1:{port}/ask/late", port=port) as page:
            await page.until("!!document.getElementById('step')")
            await until(lambda: len(asked) > 4, what="questions after the outage", timeout_s=30)
            answer = QueryResult.model_validate({"job_id": "late", "state": "succeeded", "answer": "The cart."})
            await client.redis.set(keys.result("late"), answer.model_dump_json())
            await client.redis.execute_command("HSET", keys.job("late"), "state", "succeeded")
            await page.until("document.readyState === 'complete' && document.body.innerText.includes('The cart.')")


async def test_a_page_with_live_updates_outlasts_a_server_that_refuses_them_for_a_while(
    redis_url: str, keys: Keys
) -> None:
    asked: list[str] = []

    async with Client(settings_for(redis_url, keys)) as client:
        app = app_over(client)

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            is_asked = str(scope.get("path")).endswith("/events")
            asked.extend([str(scope["query_string"])] if is_asked else [])
            if is_asked and len(asked) == 1:
                await JSONResponse({"v": 1, "error": "Redis does not answer"}, 503)(scope, receive, send)
            else:
                await app(scope, receive, send)

        await client.submit("scan", {"url": "https://shop.example/"}, batch="live")
        async with at_port(serve) as port, opened(f"http://127.0.0.1:{port}/batches/live", port=port) as page:
            await page.until("document.getElementById('down')?.textContent.includes('The connection was lost')")
            await page.until("document.documentElement.dataset.live && document.getElementById('down').hidden")

    assert len(asked) == 2
