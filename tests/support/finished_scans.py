"""Leaves ended HTML scans with expired results, by the worker's own scripts and writes; no browser."""

from __future__ import annotations

import asyncio
from hashlib import sha256

from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import Finding, Impact, ScanResult, decode_payload
from tests.support.queue import open_stream, settings_for
from tests.support.scans import finding, scan_result
from worker.agent.handlers import parse_request, scan_commit
from worker.agent.state import Recalled, new_state
from worker.memory.history.history import History
from worker.memory.vectors.embeddings import Embedded
from worker.queue.delivery import Delivery
from worker.queue.outcome import Commit
from worker.queue.stream import JobStream

AT_ONCE = 100


async def leave_finished_scans(url: str, redis: Redis, history: History, *, count: int, first: int = 0) -> None:
    """Submit, claim, start and finish ``count`` scans of different pages, numbered from ``first``."""
    keys = history.vectors.keys
    async with Client(settings_for(url, keys)) as client, open_stream(redis, keys) as stream:
        for start in range(first, first + count, AT_ONCE):
            numbers = range(start, min(start + AT_ONCE, first + count))
            await _leave(client, stream, history, [_html(number) for number in numbers])
        await stream.lanes.restore_lost()  # as every worker does: ended jobs leave the list
    for kind in ("result", "shot"):
        async for key in redis.scan_iter(match=f"{keys.prefix}{kind}:*", count=1_000):
            await redis.unlink(key)


async def _leave(client: Client, stream: JobStream, history: History, pages: list[str]) -> None:
    _ = [job async for job in client.submit_many("scan", [{"html": page, "assess": False} for page in pages])]
    entries = await stream.claim(slots=len(pages), for_batch=len(pages), turns=0)
    started = await asyncio.gather(*(stream.start(entry, tries=3) for entry in entries))
    held = [one for one in started if isinstance(one, Delivery)]
    await asyncio.gather(*(stream.note_progress(one, "recalling") for one in held))
    commits = await asyncio.gather(*(_commit(one, history) for one in held))
    ends = await asyncio.gather(*(stream.finish(one, commit=commit) for one, commit in zip(held, commits, strict=True)))
    assert ends == ["committed"] * len(pages)


async def _commit(delivery: Delivery, history: History) -> Commit:
    request = parse_request(decode_payload(delivery.payload))
    result = _result(delivery.job_id)
    state = new_state(delivery.job_id, request.model_dump_json())
    state.update(
        result=result.model_dump_json(),
        recalled=Recalled().model_dump_json(),
        embedded=Embedded("", {}).pack(),
        seen_ms=await history.now_ms(),
    )
    return scan_commit(state, history.vectors.keys, shot_ttl_s=3600)


def _html(number: int) -> str:
    return f"<!doctype html><title>Page {number}</title><main><h1>{number}</h1>{'<p>lorem ipsum</p>' * 300}</main>"


def _result(job_id: str) -> ScanResult:
    """Return one image without alternative text and three links without a name: two component barriers."""
    names = [sha256(f"{job_id}{number}".encode()).hexdigest()[:24] for number in range(4)]
    image = finding("image-alt", names[0])
    links = finding("link-name", *names[1:], impact=Impact.SERIOUS, criteria=("2.4.4", "4.1.2"))
    found = [_of_component(image, "Main › picture has no text"), _of_component(links, "Main › link has no name")]
    return scan_result(*found, url="", title=f"Page of {job_id[:8]}")


def _of_component(found: Finding, name: str) -> Finding:
    known = {"issue_id": f"{sha256(name.encode()).hexdigest()[:16]}-00c0ffee", "component": name}
    return found.revised(nodes=tuple(node.model_copy(update=known) for node in found.nodes))
