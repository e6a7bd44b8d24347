"""``sightline result`` of a batch is a pass only if the batch is whole: closed, and with all its jobs."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import ScanResult
from producer.keys import Keys
from tests.support.command_line import Call, StartProgram
from tests.support.queue import running_worker, until
from worker.queue.outcome import Commit
from worker.queue.worker import func

URL = "https://shop.example/"
WAIT_S = 60


async def scan(ctx: dict[Any, Any], **payload: Any) -> Commit:
    """What a scan without findings leaves."""
    del ctx
    return Commit(result=ScanResult(url=payload["url"], status="scanned"), event={"url": payload["url"]})


async def double(_: object, n: int) -> int:
    return 2 * n


async def scanned(client: Client, redis_url: str, keys: Keys, *urls: str) -> None:
    """An open batch ``b``, of whose pages all have been scanned."""
    for url in urls:
        await client.submit("scan", {"url": url}, batch="b")
    async with running_worker(redis_url, keys, [func(scan, name="scan")]):
        await until(lambda: _done(client, len(urls)), what="the pages to be scanned")


async def _done(client: Client, number: int) -> bool:
    return (await client.batch("b")).done == number


async def test_an_open_batch_is_no_pass(client: Client, redis_url: str, keys: Keys, call: Call) -> None:
    await scanned(client, redis_url, keys, URL)

    early = call("result", "b", "--format", "json")
    shown = call("result", "b", "--format", "html")
    await client.seal_batch("b")
    late = call("result", "b", "--format", "json")

    page, more = json.loads(early.stdout)["pages"]
    ended_ms = (await client.job(page["job_id"])).finished_ms
    ended_at = datetime.fromisoformat(json.loads(late.stdout)["scanned_at"])
    assert (early.returncode, page["url"], more["url"], more["state"]) == (3, URL, "batch b", "waiting"), early.stderr
    assert "1 page could not be scanned, so this is not a pass." in shown.stdout
    assert "sightline: batch 'b' is open: its submitter may still add pages" in early.stderr
    assert (late.returncode, late.stderr.count("is open")) == (0, 0), late.stderr
    assert round(ended_at.timestamp() * 1000) == ended_ms


async def test_a_job_without_reports_writes_none_and_says_so(
    client: Client, redis_url: str, keys: Keys, call: Call, tmp_path: Path
) -> None:
    job = await client.submit("double", {"n": 21})
    async with running_worker(redis_url, keys, [double]):
        await client.wait(job.job_id, timeout_s=WAIT_S)

    reported = call("result", job.job_id, "--format", f"html={tmp_path}/made.html")
    shown = call("result", job.job_id)

    assert (reported.returncode, reported.stdout) == (64, "")
    assert "is no scan (double), so it has no reports" in reported.stderr
    assert (shown.returncode, json.loads(shown.stdout)["value"]) == (0, 42)


async def test_waiting_for_an_open_batch_is_waiting_for_all_its_pages(
    client: Client, redis_url: str, keys: Keys, program: StartProgram, call: Call
) -> None:
    await scanned(client, redis_url, keys, URL)
    waiting = program("result", "b", "--wait", "--format", "json")
    assert waiting.stderr is not None
    said = await asyncio.to_thread(waiting.stderr.readline)

    await client.submit("scan", {"url": f"{URL}late"}, batch="b")
    await client.seal_batch("b")
    async with running_worker(redis_url, keys, [func(scan, name="scan")]):
        out, rest = await asyncio.to_thread(waiting.communicate, timeout=WAIT_S)
    given_up = call("result", "b", "--wait", "--timeout", "0.2", "--format", "json")

    assert "is open" in said
    assert (waiting.returncode, len(json.loads(out)["pages"])) == (0, 2), rest
    assert given_up.returncode == 0


async def test_a_batch_that_stays_open_is_waited_for_as_long_as_asked(
    client: Client, redis_url: str, keys: Keys, call: Call
) -> None:
    await scanned(client, redis_url, keys, URL)

    assert call("result", "b", "--wait", "--timeout", "0.2", "--format", "json").returncode == 3


async def test_a_batch_that_has_lost_jobs_is_no_pass(
    client: Client, redis: Redis, redis_url: str, keys: Keys, call: Call
) -> None:
    await scanned(client, redis_url, keys, URL, f"{URL}2")
    await client.seal_batch("b")
    [first, second] = [name async for name in redis.scan_iter(keys.job("*"))]
    await redis.delete(first)

    rest = call("result", "b", "--format", "json")
    await redis.delete(second)
    none = call("result", "b", "--format", "json")

    _, lost = json.loads(rest.stdout)["pages"]
    assert (rest.returncode, lost["url"], lost["error"]["type"]) == (4, "batch b", "ResultExpired")
    assert "sightline: 1 job is missing in this report of batch 'b'" in rest.stderr
    assert (none.returncode, none.stdout) == (4, "")
    assert none.stderr == "sightline: batch 'b' had 2 jobs, no longer kept: scan again\n"


async def find_pages(_: object) -> dict[str, Any]:
    """What a search leaves that could not read one of its sitemaps."""
    return {"batch": "b", "pages": 1, "problems": ["'https://blog.example/sitemap.xml' answers 503"]}


async def test_a_batch_whose_pages_were_not_all_found_is_no_pass(
    client: Client, redis_url: str, keys: Keys, call: Call
) -> None:
    await scanned(client, redis_url, keys, URL)
    await client.seal_batch("b")
    await client.submit("find_pages", {}, job_id="b.pages")
    async with running_worker(redis_url, keys, [find_pages]):
        await client.wait("b.pages", timeout_s=WAIT_S)

    done = call("result", "b", "--format", "json")

    page, more = json.loads(done.stdout)["pages"]
    assert (done.returncode, page["url"], more["url"]) == (2, URL, "batch b"), done.stderr
    assert "could not read all: 'https://blog.example/sitemap.xml' answers 503" in more["error"]["message"]
