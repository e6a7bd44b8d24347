"""Distances of paraphrases under the embedding model, for choosing the cache's threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from producer.keys import Keys
from producer.redis.connection import open_redis, redis_errors
from producer.reports.plain_text import counted
from worker.memory.cache import AnswerCache
from worker.memory.vectors.embeddings import Embeddings
from worker.models.protocols import Embedder
from worker.models.routing import open_models
from worker.settings import WorkerSettings

PAIRS: Final = (
    ("what is WCAG?", "explain WCAG to me", True),
    ("which page has the worst barriers?", "on which page are the barriers worst?", True),
    ("how many images lack a text alternative?", "how many pictures have no alt text?", True),
    ("which pages of the shop got worse?", "which pages of the shop got better?", False),
    ("what is wrong with the contact form?", "what is wrong with the home page?", False),
)
"""Two questions, and whether they ask the same."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two questions, whether they ask the same, and their cosine distance."""

    first: str
    second: str
    asks_the_same: bool
    distance: float


@dataclass(frozen=True, slots=True)
class Measured:
    """The pairs, the cache's counters (``AnswerCache.counts``), and its threshold."""

    pairs: tuple[Pair, ...]
    counts: Mapping[str, int]
    threshold: float


async def measure(settings: WorkerSettings) -> Measured:
    """Measure under EMBEDDING_MODEL; raises ``ModelError`` and ``ServiceError``."""
    keys = Keys(settings.environment)
    with redis_errors(settings, None):
        async with (
            open_redis(settings, gives_up=True) as redis,
            open_models(settings, redis, keys, worker="doctor") as models,
        ):
            pairs = await distances(models.embedder)
            counts = await AnswerCache(Embeddings(redis, keys)).counts()
    return Measured(pairs, counts, settings.cache_distance_threshold)


async def distances(embedder: Embedder, pairs: Sequence[tuple[str, str, bool]] = PAIRS) -> tuple[Pair, ...]:
    """Return each pair with its cosine distance under ``embedder``. Raises ``ModelError``."""
    reply = await embedder.embed_queries([text for *both, _ in pairs for text in both])
    near = np.sum(reply.vectors[0::2] * reply.vectors[1::2], axis=1)
    return tuple(Pair(*pair, round(1.0 - float(one), 4)) for pair, one in zip(pairs, near, strict=True))


def use(counts: Mapping[str, int]) -> str:
    """Return the cache's counters."""
    hits, near, misses = (counts.get(name, 0) for name in ("hits", "near_misses", "misses"))
    asked = hits + near + misses
    if not asked:
        return "the cache has not been used yet"
    age = f", {counts.get('hit_age_s', 0) // hits:,} s old on average" if hits else ""
    found = f"{counted(hits, 'hit')}{age}; {counted(near, 'near miss', 'near misses')}"
    return f"the cache was used {counted(asked, 'time')} so far: {found}; {counted(misses, 'miss', 'misses')}"


def advice(pairs: Sequence[Pair], *, threshold: float) -> str:
    """Return the thresholds that would separate the pairs, and the effect of the current one."""
    same = [pair.distance for pair in pairs if pair.asks_the_same]
    other = [pair.distance for pair in pairs if not pair.asks_the_same]
    wrong = [distance for distance in other if distance <= threshold]
    hits = sum(distance <= threshold for distance in same)
    does = f"the threshold {threshold:g} finds {hits} of {len(same)} paraphrases"
    if wrong:
        return (
            f"{does} and treats {len(wrong)} of {len(other)} other questions as the same: "
            f"set CACHE_DISTANCE_THRESHOLD below {min(other):g}"
        )
    if max(same) < min(other):
        return f"{does}; any value from {max(same):g} to below {min(other):g} separates these pairs"
    return f"{does}; no value separates all pairs: stay below {min(other):g}, where no wrong answer is given"
