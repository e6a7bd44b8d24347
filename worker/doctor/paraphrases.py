"""How far apart the embedding model puts questions that mean the same: what the cache's threshold is chosen by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from producer.keys import Keys
from producer.redis.connection import open_redis, redis_errors
from producer.reports.plain_text import counted
from worker.memory.cache import PARAPHRASES, SAME_MEANING, AnswerCache, distances
from worker.memory.vectors.embeddings import Embeddings
from worker.models.routing import open_models
from worker.settings import WorkerSettings


@dataclass(frozen=True, slots=True)
class Pair:
    """Two questions, whether they ask the same, and their cosine distance."""

    first: str
    second: str
    asks_the_same: bool
    distance: float


@dataclass(frozen=True, slots=True)
class Measured:
    """The pairs, how often the cache was asked and what it came to (``AnswerCache.counts``), and its threshold."""

    pairs: tuple[Pair, ...]
    counts: Mapping[str, int]
    threshold: float


async def measure(settings: WorkerSettings) -> Measured:
    """Measure under EMBEDDING_MODEL; raises ``ModelError`` and ``ServiceError``."""
    redis, keys = open_redis(settings), Keys(settings.environment)
    try:
        with redis_errors(settings):
            async with open_models(settings, redis, keys, worker="doctor") as models:
                measured = await distances(models.embedder, PARAPHRASES)
                counts = await AnswerCache(Embeddings(redis, keys)).counts()
    finally:
        await redis.aclose()
    pairs = (
        Pair(first, second, asks_the_same=number < SAME_MEANING, distance=distance)
        for number, (first, second, distance) in enumerate(measured)
    )
    return Measured(tuple(pairs), counts, settings.cache_distance_threshold)


def use(counts: Mapping[str, int]) -> str:
    """Return how often the cache was asked so far, and what it came to."""
    hits, near, misses = (counts.get(name, 0) for name in ("hits", "near_misses", "misses"))
    asked = hits + near + misses
    if not asked:
        return "the cache was not asked yet"
    age = f", {counts.get('hit_age_s', 0) // hits:,} s old on average" if hits else ""
    found = f"{counted(hits, 'hit')}{age}; {counted(near, 'near miss', 'near misses')}"
    return f"the cache was asked {counted(asked, 'time')} so far: {found}; {counted(misses, 'miss', 'misses')}"


def advice(pairs: Sequence[Pair], *, threshold: float) -> str:
    """Return which thresholds would tell the pairs apart, and what the one in use does with them."""
    same = [pair.distance for pair in pairs if pair.asks_the_same]
    other = [pair.distance for pair in pairs if not pair.asks_the_same]
    wrong = [distance for distance in other if distance <= threshold]
    hits = sum(distance <= threshold for distance in same)
    does = f"the threshold {threshold:g} finds {hits} of {len(same)} paraphrases"
    if wrong:
        return (
            f"{does} and takes {len(wrong)} of {len(other)} other questions for the same: "
            f"set CACHE_DISTANCE_THRESHOLD below {min(other):g}"
        )
    if max(same) < min(other):
        return f"{does}; anything from {max(same):g} to below {min(other):g} tells these pairs apart"
    return f"{does}; none tells them all apart: stay below {min(other):g}, where no wrong answer is given"
