"""A browser's events of a running batch: complete, in order, through an outage, and resumed after a disconnect."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from producer.client import event_stream
from producer.client.client import Client
from producer.errors import RedisUnreachable
from producer.keys import Keys
from producer.redis import connection
from producer.web.batch import ROWS
from producer.web.live import Live, _offer, message
from tests.support.queue import DEADLINE_S, is_reading_events, running_worker, settings_for, until
from tests.support.redis_server import StartServer
from tests.support.scans import scan_result
from tests.support.web_pages import app_over, at_port, browser
from worker.queue.outcome import Commit

PAGES = 300
HALF = 120


class Scans:
    """The function ``scan`` of a worker: it finds nothing on any page, and waits after half of them until it may."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.begun = 0

    @property
    def function(self) -> Any:
        async def scan(_: dict[Any, Any], url: str) -> Commit:
            self.begun += 1
            if self.begun > HALF:
                await self.may.wait()
            event = {"url": url, "status": "scanned", "barriers": 0}
            return Commit(scan_result(url=url, scan_id=""), event=event)

        scan.__qualname__ = "scan"
        return scan


async def heard(answer: httpx.Response) -> AsyncIterator[tuple[str, str, dict[str, str]]]:
    """Yield id, name and data of each message."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
        elif "data" in fields:
            yield fields.get("id", ""), fields["event"], json.loads(fields["data"])
            fields = {}


async def test_a_batch_of_300_pages_is_seen_live_with_redis_restarted_in_between(
    redis_server: StartServer, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ATTEMPTS", 1)  # those of a call and of each of its connections take 15 s
    server, scans = redis_server(), Scans()
    async with Client(settings_for(server.url, keys)) as client, at_port(app_over(client)) as port:
        urls = [f"https://shop.example/{number}" for number in range(PAGES)]
        async for _ in client.submit_many("scan", [{"url": url} for url in urls], batch="live"):
            pass
        await client.seal_batch("live")
        seen: list[dict[str, str]] = []
        words: list[str] = []

        async def watch() -> None:
            address = f"http://127.0.0.1:{port}/batches/live/events"
            async with httpx.AsyncClient(timeout=120) as watcher, watcher.stream("GET", address) as answer:
                async for _, name, parts in heard(answer):
                    words.append(name)
                    if name == "update":
                        seen.append(parts)
                        if parts["ended"]:
                            return

        watching = asyncio.create_task(watch())
        await until(lambda: seen, what="the state before the first page")
        async with running_worker(server.url, keys, [scans.function], max_jobs=20):
            await until(lambda: any(f"<b>{HALF}</b>" in one["progress"] for one in seen), what="the first half")
            server.kill()
            await until(lambda: "down" in words, what="the word that Redis is away")
            server.start()
            scans.may.set()
            await asyncio.wait_for(watching, 120)
        last = await browser(app_over(client)).get("/batches/live")

    assert f"<b>0</b> of {PAGES} jobs" in seen[0]["progress"]
    assert f"<b>{PAGES}</b> of {PAGES} jobs" in seen[-1]["progress"]
    assert "Ended" in seen[-1]["progress"]
    shown = [[url for url in urls if f">{url}</a>" in one["rows"]] for one in seen]
    assert all(rows for rows, one in zip(shown[1:-1], seen[1:-1], strict=True) if one["rows"])
    assert max(map(len, shown)) <= ROWS
    assert sum(map(len, shown)) > ROWS  # of what ended at once the newest, as many as a page shows
    assert len([url for url in urls if f">{url}</a>" in last.text]) == ROWS


async def test_a_browser_that_reconnects_receives_the_events_it_missed(
    client: Client, redis_url: str, keys: Keys
) -> None:
    scans = Scans()
    async with at_port(app_over(client)) as port, httpx.AsyncClient(timeout=60) as browser:
        for number in range(4):
            await client.submit("scan", {"url": f"https://shop.example/{number}"}, batch="live")
        await client.seal_batch("live")
        address = f"http://127.0.0.1:{port}/batches/live/events"
        async with browser.stream("GET", address) as answer:
            last_id, _, first = await anext(heard(answer))
        async with running_worker(redis_url, keys, [scans.function]):
            await until(lambda: scans.begun == 4, what="all pages")
            await until_ended(client)
        async with browser.stream("GET", address, headers={"Last-Event-ID": last_id}) as answer:
            _, _, later = await anext(heard(answer))
        fresh: list[tuple[str, bool]] = []
        for odd in ("nonsense", f"{'9' * 20}-0"):
            async with browser.stream("GET", address, headers={"Last-Event-ID": odd}) as answer:
                _, _, shown = await anext(heard(answer))
                fresh.append((shown["rows"], "<b>4</b> of 4 jobs" in shown["progress"]))

    assert "<b>0</b> of 4 jobs" in first["progress"]
    assert [f"shop.example/{number}<" in later["rows"] for number in range(4)] == [True] * 4
    assert later["ended"] == "1"
    assert fresh == [("", True)] * 2


async def began(stream: AsyncIterator[bytes]) -> None:
    """Take what a browser gets first: how soon to come back, and the state now."""
    await anext(stream)
    await anext(stream)


async def until_ended(client: Client) -> None:
    async for event in client.events(since="0"):
        if event.event == "batch.finished":
            return


async def test_all_who_look_at_a_batch_cost_one_rendering_and_one_reader(client: Client, redis: Redis) -> None:
    rendered = 0

    async def render(name: str, events: Any) -> dict[str, str]:
        nonlocal rendered
        rendered += bool(events)
        return {"name": name}

    live = Live(client, render)
    streams = [live.stream("one") for _ in range(50)]
    for stream in streams:
        await began(stream)
    await redis.xadd(client.keys.events, {"event": json.dumps({"event": "job.succeeded", "at_ms": 1, "batch": "one"})})
    got = [await anext(stream) for stream in streams]
    readers = [task for task in asyncio.all_tasks() if task.get_name() == "live-reader"]
    for stream in streams:
        await stream.aclose()
    await live.close()

    assert len(set(got)) == 1
    assert got[0].startswith(b"id: ")
    assert (rendered, len(readers)) == (1, 1)


async def test_events_that_could_not_be_rendered_are_in_the_next_message(client: Client, redis: Redis) -> None:
    failures = [RedisUnreachable("away")]
    rendered: list[list[str]] = []

    async def render(name: str, events: Any) -> dict[str, str]:
        if events and failures:
            raise failures.pop()
        rendered.append([event.job_id for event in events])
        return {"name": name}

    live = Live(client, render)
    stream = live.stream("one")
    await began(stream)
    line = {"event": "job.succeeded", "at_ms": 1, "batch": "one", "job_id": "first"}
    await redis.xadd(client.keys.events, {"event": json.dumps(line)})
    await anext(stream)
    await stream.aclose()
    await live.close()

    assert (failures, rendered[-1]) == ([], ["first"])


async def test_updates_end_at_once_though_redis_py_drops_a_cancellation(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_reading = asyncio.Event()

    async def blocking(*_: Any, **__: Any) -> list[tuple[str, str]]:
        """Take a cancellation for its own, as ``asyncio.timeout(0)`` does when both come in one tick."""
        with contextlib.suppress(asyncio.CancelledError):
            is_reading.set()
            await asyncio.Event().wait()
        await asyncio.Event().wait()
        return []

    async def render(name: str, _: Any) -> dict[str, str]:
        return {"name": name}

    monkeypatch.setattr(event_stream, "read_after", blocking)
    live = Live(client, render)
    stream = live.stream("one")
    await began(stream)
    async with asyncio.timeout(DEADLINE_S):
        await is_reading.wait()
        await live.close()

    await stream.aclose()


async def test_a_page_whose_updates_have_ended_is_not_told_that_they_go_on(
    client: Client, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producer.web.live.ALIVE_S", 0.05)
    is_broken = True

    async def render(name: str, events: Any) -> dict[str, str]:
        if events and is_broken:
            raise ValueError("a fault of ours")
        return {"name": name}

    live = Live(client, render)
    stream, later = live.stream("one"), live.stream("one")
    await began(stream)
    line = json.dumps({"event": "job.succeeded", "at_ms": 1, "batch": "one"})
    await redis.xadd(client.keys.events, {"event": line})

    async def to_the_end() -> None:
        async for _ in stream:
            pass

    with pytest.raises(ValueError, match="a fault of ours"):
        await asyncio.wait_for(to_the_end(), DEADLINE_S)
    is_broken = False
    await began(later)
    await redis.xadd(client.keys.events, {"event": line})
    async with asyncio.timeout(DEADLINE_S):
        while not (await anext(later)).startswith(b"id: "):
            pass
    await later.aclose()
    await live.close()


async def test_a_page_whose_events_are_no_longer_read_is_not_told_that_they_go_on(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producer.web.live.ALIVE_S", 0.05)

    async def broken(**_: Any) -> AsyncIterator[Any]:
        raise ValueError("a fault of ours")
        yield

    async def render(name: str, events: Any) -> dict[str, str]:
        del events
        return {"name": name}

    monkeypatch.setattr(client, "events", broken)
    live = Live(client, render)
    stream = live.stream("one")

    async def to_the_end() -> None:
        async for _ in stream:
            pass

    with pytest.raises(ValueError, match="a fault of ours"):
        await asyncio.wait_for(to_the_end(), DEADLINE_S)
    await live.close()


async def test_a_slow_client_is_sent_the_newest_and_holds_nobody_up(client: Client) -> None:
    async def render(name: str, _: Any) -> dict[str, str]:
        return {"name": name}

    live = Live(client, render)
    slow = live.stream("one")
    await began(slow)
    for number in range(100):
        _offer(live._topics["one"], message("update", {"number": str(number)}))
    newest = [await anext(slow) for _ in range(next(iter(live._topics["one"].listeners)).qsize())]
    await slow.aclose()
    await live.close()

    assert newest[-1] == message("update", {"number": "99"})
    assert len(newest) <= 16


FLOOD = 5_000


def flood_line(number: int, batch: str = "live") -> str:
    about = {"event": "job.succeeded", "at_ms": number, "job_id": f"j{number}", "kind": "scan", "batch": batch}
    return json.dumps({**about, "url": f"https://shop.example/{number}", "status": "scanned", "barriers": 0})


async def test_a_flood_of_events_is_shown_by_its_newest_beside_a_client_that_takes_nothing(
    client: Client, redis: Redis
) -> None:
    await client.submit("scan", {"url": "https://shop.example/"}, batch="live")
    async with at_port(app_over(client)) as port:
        slow = await asyncio.open_connection("127.0.0.1", port, limit=1)
        slow[1].write(b"GET /batches/live/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        address = f"http://127.0.0.1:{port}/batches/live/events"
        async with httpx.AsyncClient(timeout=60) as browser, browser.stream("GET", address) as answer:
            messages = heard(answer)
            await anext(messages)

            async def flood() -> None:
                for start in range(0, FLOOD, 500):
                    async with redis.pipeline(transaction=False) as pipe:
                        for number in range(start, start + 500):
                            pipe.xadd(client.keys.events, {"event": flood_line(number)})
                        await pipe.execute()

            flooding = asyncio.create_task(flood())
            sizes: list[int] = []
            async with asyncio.timeout(60):
                async for _, _, parts in messages:
                    sizes.append(parts["rows"].count("<li"))
                    if f"job-j{FLOOD - 1}" in parts["rows"]:
                        break
            await flooding
            page = await browser.get(f"http://127.0.0.1:{port}/batches/live")
        slow[1].close()

    assert max(sizes) <= ROWS
    assert page.status_code == 200
    assert f"job-j{FLOOD - 1}" in page.text


async def test_a_browser_that_reconnects_late_receives_the_newest_events(client: Client, redis: Redis) -> None:
    rendered: list[list[str]] = []

    async def render(name: str, events: Any) -> dict[str, str]:
        rendered.append([event.job_id for event in events])
        return {"name": name}

    async with redis.pipeline(transaction=False) as pipe:
        for number in range(1_500):
            pipe.xadd(client.keys.events, {"event": flood_line(number)})
        await pipe.execute()
    live = Live(client, render)
    stream = live.stream("live", since="0-1")
    await began(stream)
    # Cancelled while it begins to read, redis-py's call would last its five seconds (producer/redis/raw_connection.py).
    await until(lambda: is_reading_events(redis), what="the reader")
    await stream.aclose()
    await live.close()

    assert rendered[0] == [f"j{number}" for number in range(500, 1_500)]
