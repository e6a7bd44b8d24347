"""The rows about the data that scans leave in Redis, and the cost of their commits, with component barriers.

Scans are committed by the worker's own writes through finish.lua; nothing is scanned. README.md describes the methods.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import numpy as np
from memory_rows import KEYS, Synthetic
from redis.asyncio import Redis
from rows import Bench, Row

from producer.contract import Finding, Usage
from worker.memory.history.history import History
from worker.memory.vectors.embeddings import Embeddings
from worker.models.builtin.models import BuiltinEmbedder
from worker.models.protocols import EmbedReply

DAY_MS: Final = 86_400_000
FIRST_MS: Final = 1_790_000_000_000
"""In mid-month, so that all nights are in one month."""
NIGHTS: Final = 30
PAGES: Final = 100
COMPONENTS: Final = 12
ELEMENTS: Final = 5
"""Elements of each component on a page: 60 barriers, more than on most pages."""
GROWTH_MUST: Final = 1.2
KEPT: Final = {"scan", "site", "components", "barrier", "period"}
"""Kinds of keys that outlive their job and its result."""
ENDED: Final = 2_000
WARM_UP: Final = 200
"""Scans before the first reading, since scripts and indexes are created on first use."""
ENDED_MUST: Final = 3_000
COMMITS: Final = 300
AT_ONCE: Final = 1_000
"""Keys measured per round trip."""


class Different(Synthetic):
    """An embedder whose vectors differ by text, as a model's do: an index of equal vectors takes ten times as long."""

    async def embed_documents(self, texts: Sequence[str]) -> EmbedReply:
        """Return a unit vector for each text."""
        rows = np.stack([np.random.default_rng(list(text.encode())).standard_normal(self.dims) for text in texts])
        return EmbedReply((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), Usage())

    embed_queries = embed_documents


def growth(bench: Bench) -> list[Row]:
    """Measure the memory of one of 100 pages with 60 elements of 12 component barriers, after 30 unchanged scans."""
    bench.fresh()
    one, many, of_keys = asyncio.run(_nights(bench.url))
    row = Row(
        f"a page of {COMPONENTS} component barriers after {NIGHTS} unchanged nightly scans, with its share", "bytes"
    )
    parts = ", ".join(f"{name} {size // PAGES:,}" for name, size in sorted(of_keys.items()))
    row.values = {"sightline": f"{many // PAGES:,}; after one scan {one // PAGES:,}; by key: {parts}"}
    row.targets = [(f"{many / one:.2f} times one scan's, must be ≤ {GROWTH_MUST}", many <= GROWTH_MUST * one)]
    return [row]


def finished(bench: Bench) -> list[Row]:
    """Measure the memory of an ended HTML scan whose result has expired: job, event, record and index."""
    bench.fresh()
    taken, of_keys = asyncio.run(_finished(bench.url))
    row = Row(
        "an HTML scan that has ended, its result expired, with builtin vectors and two component barriers", "bytes"
    )
    parts = ", ".join(f"{name} {size:,}" for name, size in of_keys.items())
    row.values = {
        "sightline": f"{taken:,} of Redis' memory, {taken * 100_000 / 1e6:.0f} MB for 100,000; by key: {parts}; "
        "the rest is the index"
    }
    row.targets = [(f"{taken:,} bytes, must be < {ENDED_MUST:,}", taken < ENDED_MUST)]
    return [row]


def commits(bench: Bench) -> list[Row]:
    """Measure commits of scans without changes, one at a time, without and with component barriers."""
    bench.fresh()
    without, with_them = asyncio.run(_commits(bench.url))
    row = Row(f"commit of an unchanged scan of 60 elements: plain; of {COMPONENTS} component barriers", "p50 ms")
    row.values = {"sightline": f"{without:.2f}; {with_them:.2f}"}
    return [row]


def _findings(*, has_components: bool = True) -> Sequence[Finding]:
    from tests.support.component_scans import component  # noqa: PLC0415  the tests' writer of what workers write

    made = [component(f"{n:x}0", rule=f"rule-{n}", elements=ELEMENTS) for n in range(COMPONENTS)]
    if has_components:
        return made
    bare = {"issue_id": "", "component": ""}
    return [one.revised(nodes=tuple(node.model_copy(update=bare) for node in one.nodes)) for one in made]


async def _nights(url: str) -> tuple[int, int, dict[str, int]]:
    """Return the bytes after the first scan and after all of them, and the latter by kind of key."""
    from tests.support.component_scans import Site  # noqa: PLC0415  the tests' writer of what workers write

    found, sizes = _findings(), list[dict[str, int]]()
    async with Redis.from_url(url, protocol=2) as redis:
        past = History(Embeddings(redis, KEYS, Different()))
        await past.ensure_index()
        site = Site(redis, KEYS, past)
        for night in range(NIGHTS):
            about: dict[str, Any] = {"batch": f"nightly-{night}", "at_ms": FIRST_MS + night * DAY_MS}
            paths = [f"/page-{number}" for number in range(PAGES)]
            await site.commit(*[await site.recall(*found, path=path, group="shop", **about) for path in paths])
            if night in {0, NIGHTS - 1}:
                by_kind = await bytes_by_kind(redis)
                sizes.append({kind: size for kind, size in by_kind.items() if kind in KEPT})
    return sum(sizes[0].values()), sum(sizes[1].values()), sizes[1]


async def _commits(url: str) -> tuple[float, float]:
    """Return the median ms of a commit of a page's second scan: without component barriers, and with them."""
    from tests.support.component_scans import Site  # noqa: PLC0415  the tests' writer of what workers write

    medians: list[float] = []
    async with Redis.from_url(url, protocol=2) as redis:
        past = History(Embeddings(redis, KEYS, Different()))
        await past.ensure_index()
        site = Site(redis, KEYS, past)
        for has_components in (False, True):
            found = _findings(has_components=has_components)
            path = f"/page-{has_components}"
            await site.scan(*found, path=path)
            took_ms: list[float] = []
            for _ in range(COMMITS):
                commit = await site.recall(*found, path=path)
                took_ms.append(await _timed(site, commit))
            medians.append(statistics.median(took_ms))
    return medians[0], medians[1]


async def _timed(site: Any, commit: Any) -> float:
    async with site.held() as finish:
        began = time.perf_counter()
        await finish(commit)
        return (time.perf_counter() - began) * 1000


async def _finished(url: str) -> tuple[int, dict[str, int]]:
    """Return the bytes of one scan, by ``used_memory`` and by MEMORY USAGE of its keys."""
    from tests.support.finished_scans import leave_finished_scans  # noqa: PLC0415  the tests' writer of what workers write

    async with Redis.from_url(url, protocol=2) as redis:
        past = History(Embeddings(redis, KEYS, BuiltinEmbedder()))
        await past.ensure_index()
        used: list[int] = []
        keys: list[dict[str, int]] = []
        for first, count in ((0, WARM_UP), (WARM_UP, ENDED)):
            await leave_finished_scans(url, redis, past, count=count, first=first)
            used.append(int((await redis.info("memory"))["used_memory"]))
            keys.append(await bytes_by_kind(redis))
    taken = {kind: (size - keys[0].get(kind, 0)) // ENDED for kind, size in keys[1].items()}
    return (used[1] - used[0]) // ENDED, {kind: size for kind, size in taken.items() if size}


async def bytes_by_kind(redis: Redis) -> dict[str, int]:
    """Return MEMORY USAGE of the environment's keys, summed by kind."""
    sizes = Counter[str]()
    keys = [key async for key in redis.scan_iter(match=f"{KEYS.prefix}*", count=1_000)]
    for first in range(0, len(keys), AT_ONCE):
        some = keys[first : first + AT_ONCE]
        async with redis.pipeline(transaction=False) as pipe:
            for key in some:
                cast("Any", pipe).memory_usage(key, samples=0)
            for key, size in zip(some, await pipe.execute(), strict=True):
                sizes[key.decode().removeprefix(KEYS.prefix).partition(":")[0]] += int(size or 0)
    return dict(sizes)


GROWTH_ROWS: Final[dict[str, Callable[[Bench], list[Row]]]] = {
    "growth": growth,
    "finished": finished,
    "commits": commits,
}
