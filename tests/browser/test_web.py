"""The pages of ``sightline web`` in a real browser: by keyboard alone, and as our own scan sees them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import ScanRequest
from producer.keys import Keys
from producer.stored.waivers import Waivers
from tests.support.open_page import OpenPage, opened
from tests.support.queue import settings_for
from tests.support.web_pages import WORST, app_over, at_port, record_shop
from worker.memory.history.history import History
from worker.memory.vectors.embeddings import Embeddings
from worker.models.builtin.models import BuiltinEmbedder
from worker.scan.engine import ScanEngine

FOCUSED = "(document.activeElement.textContent.trim() || document.activeElement.id)"
MOST_STOPS = 80
PATHS = (
    "/",
    "/sites/shop.example",
    f"/barriers/{WORST}",
    "/pages?url=https://shop.example/cart",
    "/batches/web",
    "/queue",
    "/usage",
    "/compare",
    "/ask",
    "/search?q=image-alt",
    "/scan",
)


@asynccontextmanager
async def shop_at_port(redis_url: str, keys: Keys) -> AsyncGenerator[tuple[Client, int]]:
    async with Client(settings_for(redis_url, keys)) as client, Redis.from_url(redis_url, protocol=2) as redis:
        history = History(Embeddings(redis, keys, BuiltinEmbedder()))
        await history.ensure_index()
        await record_shop(redis, keys, history)
        await client.submit("scan", {"url": "https://shop.example/cart"}, batch="web")
        await client.seal_batch("web")
        async with at_port(app_over(client)) as port:
            yield client, port


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
            await press_enter(page, "Waive", then="it is no longer counted")
            await press_enter(page, "Overview", then="1 component barrier open")

        [waiver] = await Waivers(client).all()

    assert (waiver.fingerprint, waiver.reason) == (WORST, "a new shop in March")


@pytest.mark.parametrize(("width", "scheme"), [(320, "dark"), (1280, "light")])
async def test_our_own_scan_finds_nothing_on_any_page_and_doubts_none(
    engine: ScanEngine, redis_url: str, keys: Keys, width: int, scheme: str
) -> None:
    found: dict[str, list[str]] = {}
    async with shop_at_port(redis_url, keys) as (_, port):
        for path in PATHS:
            fields = {"url": f"http://127.0.0.1:{port}{path}", "standard": "best-practice", "color_scheme": scheme}
            window = {"viewport": {"width": width, "height": 900}}
            result = (await engine.audit(ScanRequest.model_validate({**fields, **window}))).result
            about = [one.rule for one in (*result.findings, *result.incomplete)] + [one.kind for one in result.doubts]
            if about or result.status != "scanned":
                found[path] = [result.status, result.reason, *about]

    assert found == {}
