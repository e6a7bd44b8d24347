"""A separate environment for the questions: created, filled, and deleted with all its data.

A killed run leaves one behind; the next run deletes those older than a day. No other environment is touched.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import chain
from typing import Any, Final, cast

from redis.asyncio import Redis

from producer.contract import Finding, Impact, Node, ScanResult, page_id
from producer.keys import Keys
from producer.redis.scripts import as_text
from worker.agent.evaluation.labels import PastScan, QuestionSet
from worker.memory.history.history import History
from worker.memory.history.scan_record import document, search_text
from worker.memory.vectors.embeddings import Embeddings
from worker.scan.findings import count_barriers, count_rules

DAY_S: Final = 86_400
_OURS: Final = re.compile(r"eval-(\d{9,11})-[0-9a-f]{8}")


@asynccontextmanager
async def throwaway(redis: Redis) -> AsyncGenerator[Keys]:
    """Yield the keys of a new environment, and always delete it at the end."""
    seconds, _ = cast("tuple[int, int]", await cast("Any", redis).time())
    for name in await _left_behind(redis, before_s=seconds - DAY_S):
        await delete_environment(redis, Keys(name))
    keys = Keys(f"eval-{seconds}-{secrets.token_hex(4)}")
    try:
        yield keys
    finally:
        await delete_environment(redis, keys)


async def fill(vectors: Embeddings, labelled: QuestionSet) -> History:
    """Write past scans as workers do; return their history."""
    redis, keys, history = vectors.redis, vectors.keys, History(vectors)
    await history.ensure_index()
    now_ms = await history.now_ms()
    results = [_result(scan, labelled) for scan in labelled.scans]
    texts, _ = await vectors.documents([search_text(result) for result in results])
    async with redis.pipeline(transaction=False) as pipe:
        for scan, result, embedded in zip(labelled.scans, results, texts, strict=True):
            at_ms = now_ms - scan.days_ago * DAY_S * 1000
            fields = document(result, page=page_id(scan.url), at_ms=at_ms, seen_ms=at_ms, embedded=embedded)
            pipe.execute_command("HSET", keys.scan(scan.scan), *chain.from_iterable(fields.items()), "times_seen", 1)
            pipe.set(keys.result(scan.scan), result.model_dump_json(), ex=DAY_S)
        await pipe.execute()
    return history


async def delete_environment(redis: Redis, keys: Keys) -> None:
    """Delete the indexes and keys of an evaluation's environment; raises ``ValueError`` for any other."""
    if not _OURS.fullmatch(keys.environment):
        raise ValueError(f"environment {keys.environment!r} does not belong to an evaluation: it is not deleted")
    client = cast("Any", redis)
    for name in await client.execute_command("FT._LIST"):
        text = as_text(name)
        if keys.environment in text:
            await client.execute_command("FT.DROPINDEX", text)
    # The checkpointer's keys have the environment in the middle.
    found = [key async for key in client.scan_iter(match=f"*{keys.environment}*", count=1000)]
    for start in range(0, len(found), 1000):
        await client.unlink(*found[start : start + 1000])


async def _left_behind(redis: Redis, *, before_s: int) -> set[str]:
    names = {
        match[0]: int(match[1])
        async for key in cast("Any", redis).scan_iter(match="sightline:eval-*", count=1000)
        if (match := _OURS.match(as_text(key).split(":")[1]))
    }
    return {name for name, made_s in names.items() if made_s < before_s}


def _result(scan: PastScan, labelled: QuestionSet) -> ScanResult:
    findings = tuple(_finding(scan, rule, count, labelled.impact_of[rule]) for rule, count in scan.rules.items())
    return ScanResult(
        scan_id=scan.scan,
        url=scan.url,
        final_url=scan.url,
        title=scan.title,
        group=scan.group,
        status="scanned",
        findings=findings,
        counts=count_rules(findings),
        barriers=count_barriers(findings),
    )


def _finding(scan: PastScan, rule: str, count: int, impact: Impact) -> Finding:
    """Return a finding whose first elements are the same as in the page's other scans."""
    page = page_id(scan.url)
    nodes = tuple(
        Node(
            selector=(f"#{rule}-{number}",), snippet=f'<i id="{rule}-{number}">', fingerprint=f"{page}-{rule}-{number}"
        )
        for number in range(count)
    )
    return Finding(rule=rule, impact=impact, help=rule, nodes=nodes, node_count=count, fingerprint=f"{page}-{rule}")
