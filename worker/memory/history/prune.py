"""Prunes old states of pages and component barriers fixed long ago, but keeps current states and comparison bases.

Walks over the documents twice in batches: first to find, for each page and terms, the newest record and the newest
complete one, then to delete all others that are too old. Concurrent scans only make more records old. Decision 0034
explains why component barriers are pruned by the same command.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final, cast

from redis.asyncio import Redis

from producer.keys import Keys
from producer.redis.scripts import as_text, load_script, run_script
from worker.memory.history.periods import prune_periods
from worker.memory.vectors.documents import WALK_BATCH, key_batches

PRUNE: Final = load_script("worker.memory.history", "prune")
PRUNE_BARRIERS: Final = load_script("worker.memory.history", "prune_barriers")


@dataclass(frozen=True, slots=True)
class Pruned:
    """Numbers of records found, and of records and component barriers deleted."""

    looked_at: int
    dropped: int
    barriers: int = 0


@dataclass(frozen=True, slots=True)
class _Stub:
    key: str
    page: str
    terms: str
    status: str
    last_seen_ms: int


async def prune(redis: Redis, keys: Keys, *, older_than_ms: int, batch: int = WALK_BATCH) -> Pruned:
    """Delete records last seen, and component barriers fixed, before ``older_than_ms`` (Redis time).

    Keeps each page's newest record and its newest complete one, with which the next scan is compared, and all component
    barriers that a page has. Safe to interrupt and repeat.
    """
    kept = await _kept(redis, keys, batch)
    looked_at = dropped = 0
    async for stubs in _walk(redis, keys, batch):
        looked_at += len(stubs)
        old = [stub.key for stub in stubs if stub.last_seen_ms < older_than_ms and stub.key not in kept]
        if old:
            dropped += int(await run_script(redis, PRUNE, old, [older_than_ms]))
    await prune_periods(redis, keys, older_than_ms=older_than_ms)
    return Pruned(looked_at, dropped, await _prune_barriers(redis, keys, older_than_ms=older_than_ms, batch=batch))


async def _prune_barriers(redis: Redis, keys: Keys, *, older_than_ms: int, batch: int) -> int:
    dropped = 0
    async for names in key_batches(redis, keys.barrier_prefix, size=batch):
        async with redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hget(name, "mended_ms")
            mended = await pipe.execute()
        old = [
            name
            for name, at_ms in zip(names, mended, strict=True)
            if (at_ms or b"").isdigit() and int(at_ms) < older_than_ms
        ]
        if old:
            dropped += int(await run_script(redis, PRUNE_BARRIERS, old, [older_than_ms]))
    return dropped


async def _kept(redis: Redis, keys: Keys, batch: int) -> frozenset[str]:
    newest: dict[tuple[str, str, bool], tuple[int, str]] = {}
    async for stubs in _walk(redis, keys, batch):
        for stub in stubs:
            for is_whole in {False, stub.status == "scanned"}:
                place = (stub.page, stub.terms, is_whole)
                newest[place] = max(newest.get(place, (0, "")), (stub.last_seen_ms, stub.key))
    return frozenset(key for _, key in newest.values())


async def _walk(redis: Redis, keys: Keys, batch: int) -> AsyncIterator[list[_Stub]]:
    async for names in key_batches(redis, keys.scan_prefix, size=batch):
        yield await _stubs(redis, names)


async def _stubs(redis: Redis, names: list[str]) -> list[_Stub]:
    async with redis.pipeline(transaction=False) as pipe:
        for name in names:
            cast("Any", pipe).hmget(name, ["page", "terms", "status", "last_seen_ms"])
        rows = await pipe.execute()
    found = [(name, *(as_text(value) for value in row)) for name, row in zip(names, rows, strict=True)]
    return [_Stub(name, page, terms, status, int(seen)) for name, page, terms, status, seen in found if page and seen]
