"""The rows about the memories: search among 100,000 scans and a million, cache hits. A scan's memory: growth_rows.py.

No embedding model runs here: the vectors are synthetic, unit vectors of 768 numbers in clusters, like pages of one
template. The time of a search depends only on their number and length. README.md describes the methods.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray
from redis.asyncio import Redis
from rows import Bench, Row

from producer.contract import Counts, Finding, Impact, Node, ScanResult, Usage
from producer.keys import Keys
from worker.memory.cache import AnswerCache, Scope
from worker.memory.history.history import EVERYTHING, History, ScanFilter
from worker.memory.history.scan_record import document, search_text
from worker.memory.vectors.embeddings import Embedded, Embeddings, Placed
from worker.memory.vectors.generations import Generation
from worker.models.protocols import EmbedReply

SCANS: Final = 100_000
MANY_SCANS: Final = 1_000_000
BLOCK: Final = 100_000
"""Vectors generated at a time, since numpy makes them from 64-bit numbers."""
DIMS: Final = 768
CLUSTERS: Final = 500
SPREAD: Final = 0.6
"""Noise in a cluster: two of its vectors are at a cosine distance of about 0.25, vectors of two clusters at about 1."""
QUERIES: Final = 200
FEWER: Final = 50
PAUSE_S: Final = 0.02
"""Pause before separate searches, after which the CPU has idled and its caches hold other data."""
NEAREST: Final = 10
SEARCH_MUST_MS: Final = 5.0
MANY_MUST_MS: Final = 10.0
RECALL_MUST: Final = 0.95
GENERATION: Final = Generation(1, "synthetic", DIMS)
KEYS: Final = Keys("bench")

Matrix = NDArray[np.float32]


class Synthetic:
    """An embedder that returns the same vector for every text."""

    name = GENERATION.model
    dims = DIMS

    async def embed_documents(self, texts: Sequence[str]) -> EmbedReply:
        """Return the same vector for each text."""
        row = np.zeros((1, DIMS), dtype=np.float32)
        row[0, 0] = 1.0
        return EmbedReply(np.repeat(row, len(texts), axis=0), Usage())

    embed_queries = embed_documents


def history(bench: Bench) -> list[Row]:
    """Measure searches for the ten nearest of 100,000 scans, unfiltered and on one site, beside an exact search."""
    return _history(bench, SCANS, SEARCH_MUST_MS)


def history_million(bench: Bench) -> list[Row]:
    """Measure the same among a million scans: the index takes an hour, and with the exact search 12 GB."""
    return _history(bench, MANY_SCANS, MANY_MUST_MS)


def _history(bench: Bench, scans: int, must_ms: float) -> list[Row]:
    bench.fresh()
    found = asyncio.run(_search(bench.url, scans))
    row = Row(f"history search over {scans:,} scans, {DIMS} dimensions", "p50 / p99 ms")
    times = (
        f"{found['p50']:.2f} / {found['p99']:.2f}; "
        f"after {PAUSE_S * 1000:.0f} ms without searches {found['paused_p50']:.2f}"
    )
    row.values = {"sightline": f"{times}; on one site {found['site_p50']:.2f} ({found['redis_mb']:.0f} MB of Redis)"}
    row.targets = [
        (f"p50 {found['p50']:.2f} ms, must be ≤ {must_ms:g} ms", found["p50"] <= must_ms),
        (f"recall@{NEAREST} {found['recall']:.3f}, must be ≥ {RECALL_MUST}", found["recall"] >= RECALL_MUST),
    ]
    return [row]


def cache(bench: Bench) -> list[Row]:
    """Measure cache hits among 1,000 answers: look-up and count, without embedding the question."""
    bench.fresh()
    took_ms = asyncio.run(_hits(bench.url))
    row = Row("cache hit among 1,000 answers, without the embedding", "p50 / p99 ms")
    row.values = {"sightline": f"{statistics.median(took_ms):.2f} / {statistics.quantiles(took_ms, n=100)[98]:.2f}"}
    return [row]


# ---------------------------------------------------------------------------------------------- history


async def _search(url: str, scans: int) -> dict[str, float]:
    chance = np.random.default_rng(7)
    vectors = np.empty((scans, DIMS), dtype=np.float32)
    for first in range(0, scans, BLOCK):
        vectors[first : first + BLOCK] = clustered(chance, min(BLOCK, scans - first))
    wanted = clustered(chance, QUERIES, centres=vectors[chance.integers(0, scans, QUERIES)])
    async with Redis.from_url(url, protocol=2) as redis:
        past = History(Embeddings(redis, KEYS, Synthetic()))
        await past.ensure_index()
        before = (await redis.info("memory"))["used_memory"]
        await _seed(redis, vectors)
        taken = (await redis.info("memory"))["used_memory"] - before
        # Before any search is timed, since reading 307 MB in between would evict the graph from the CPU's cache.
        exact = [np.argpartition(-(vectors @ query), NEAREST)[:NEAREST] for query in wanted]

        async def timed(query: NDArray[np.float32], within: ScanFilter = EVERYTHING) -> tuple[float, set[str]]:
            began = time.perf_counter()
            near = await past.similar(Placed(query, GENERATION), within, limit=NEAREST)
            return (time.perf_counter() - began) * 1000, {one.record.scan_id for one in near}

        found = [await timed(query) for query in wanted]
        paused: list[float] = []
        for query in wanted[:FEWER]:
            await asyncio.sleep(PAUSE_S)
            paused.append((await timed(query))[0])
        on_site = [(await timed(query, ScanFilter(host="site7.example")))[0] for query in wanted[:FEWER]]
    times = [took_ms for took_ms, _ in found]
    hits = sum(len(near & {f"s{row}" for row in rows}) for (_, near), rows in zip(found, exact, strict=True))
    return {
        "p50": statistics.median(times),
        "p99": statistics.quantiles(times, n=100)[98],
        "paused_p50": statistics.median(paused),
        "site_p50": statistics.median(on_site),
        "recall": hits / (QUERIES * NEAREST),
        "redis_mb": taken / 1e6,
    }


def clustered(chance: np.random.Generator, count: int, *, centres: Matrix | None = None) -> Matrix:
    """Return unit vectors clustered around ``centres``, or around new ones."""
    if centres is not None:
        middles = centres
    else:
        around = chance.normal(size=(CLUSTERS, DIMS)).astype(np.float32)
        around /= np.linalg.norm(around, axis=1, keepdims=True)
        middles = around[chance.integers(0, CLUSTERS, count)]
    noise = chance.normal(scale=SPREAD / np.sqrt(DIMS), size=(count, DIMS)).astype(np.float32)
    rows = middles + noise
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


async def _seed(redis: Redis, vectors: Matrix, *, batch: int = 1_000) -> None:
    for start in range(0, len(vectors), batch):
        async with redis.pipeline(transaction=False) as pipe:
            for number in range(start, min(start + batch, len(vectors))):
                page = _page(f"s{number}", host=f"site{number % 100}.example", barriers=2)
                text = Embedded(search_text(page), {1: GENERATION.blob(vectors[number])})
                fields = document(page, page=f"p{number}", at_ms=number, seen_ms=number, embedded=text)
                pipe.execute_command("HSET", KEYS.scan(page.scan_id), *chain.from_iterable(fields.items()))
            await pipe.execute()


def _page(scan_id: str, *, host: str, barriers: int) -> ScanResult:
    nodes = tuple(
        Node(selector=(f"#n{number}",), snippet="<img>", fingerprint=f"{scan_id}-{number:020d}")
        for number in range(barriers)
    )
    finding = Finding(
        rule="image-alt",
        impact=Impact.CRITICAL,
        criteria=("1.1.1",),
        help="Images must have alternative text",
        nodes=nodes,
        node_count=barriers,
        fingerprint=f"{scan_id}-image-alt",
    )
    return ScanResult(
        scan_id=scan_id,
        url=f"https://{host}/{scan_id}",
        title=f"Page {scan_id}",
        status="scanned",
        findings=(finding,),
        counts=Counts(critical=1),
        barriers=Counts(critical=barriers),
    )


# ---------------------------------------------------------------------------------------------- cache


async def _hits(url: str) -> list[float]:
    rows = clustered(np.random.default_rng(11), 1_000)
    scope = Scope(site="", generation=0, model="m", prompt="p")
    async with Redis.from_url(url, protocol=2) as redis:
        answers = AnswerCache(Embeddings(redis, KEYS, Synthetic()))
        await answers.ensure_index()
        for number, vector in enumerate(rows):
            await answers.keep(f"question {number}", "An answer.", Placed(vector, GENERATION), scope)
        first = Placed((await Synthetic().embed_queries(["x"])).vectors[0], GENERATION)
        await answers.keep("the question", "The answer.", first, scope)
        times: list[float] = []
        for _ in range(300):
            began = time.perf_counter()
            found = await answers.look_up("the question", scope)
            times.append((time.perf_counter() - began) * 1000)
            if found.found is None or found.found.answer != "The answer.":
                msg = "the answer that was kept was not found"
                raise RuntimeError(msg)
    return times


MEMORY_ROWS: Final[dict[str, Callable[[Bench], list[Row]]]] = {
    "history": history,
    "cache": cache,
}
