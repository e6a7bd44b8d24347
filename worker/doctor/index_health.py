"""The search indexes of scans and memories: there, whole, and of the embedding model in use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from producer.keys import Keys
from worker.doctor.line import Line, error, ok, warning
from worker.memory.indexes import as_text, is_missing_index
from worker.memory.recorded import Recorded, read_recorded

VECTOR_OPTION: Final = "dim"


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """An index as Redis tells of it; ``dims`` of its vectors. ``failures`` are documents that no search finds."""

    documents: int
    failures: int
    is_building: bool
    dims: int


async def read_index(redis: Redis, name: str) -> IndexFacts | None:
    """Return what Redis knows of the index; None where there is none of that name."""
    try:
        info = await cast("Any", redis).ft(name).info()
    except ResponseError as refused:
        if is_missing_index(refused) or "unknown command" in str(refused).lower():
            return None
        raise
    return IndexFacts(
        documents=int(float(info.get("num_docs", 0))),
        failures=int(float(info.get("hash_indexing_failures", 0))),
        is_building=bool(int(float(info.get("indexing", 0)))),
        dims=_dims(info.get("attributes", [])),
    )


async def index_lines(redis: Redis, keys: Keys, *, model: str, dims: int) -> list[Line]:
    """Return a line for each index. ``model`` is EMBEDDING_MODEL; ``dims`` of its vectors, 0 where nobody knows."""
    named = {
        "index of scans": (keys.scans_index, keys.scans_meta),
        "index of memories": (keys.memories_index, keys.memories_meta),
    }
    lines: list[Line] = []
    for subject, (index, meta) in named.items():
        facts, recorded = await read_index(redis, index), await read_recorded(redis, meta)
        lines.append(index_line(subject, facts, recorded, model=model, dims=dims))
    return lines


def index_line(subject: str, facts: IndexFacts | None, recorded: Recorded, *, model: str, dims: int) -> Line:
    """Return what is to be said of one index."""
    if facts is None and not recorded.model:
        return warning(subject, "there is none yet", "start a worker, which makes it: sightline worker")
    if recorded.model and recorded.model != model:
        text = f"built with {recorded.model!r}, but EMBEDDING_MODEL is {model!r}: workers will not start"
        return error(subject, text, f"set EMBEDDING_MODEL={recorded.model}")
    if facts is None:
        return error(subject, "it is gone", "restart a worker, which builds it again from the documents")
    if not recorded.model:
        return error(subject, "nothing tells its embedding model", "restart a worker, which records it")
    if recorded.dims != facts.dims or dims not in {0, recorded.dims}:
        lengths = f"recorded {recorded.dims}, index {facts.dims}, model {dims or 'unknown'}"
        text = f"lengths of vectors differ ({lengths}): searches by meaning fail"
        return error(subject, text, "set EMBEDDING_MODEL and EMBEDDING_DIMS as they were when it was built")
    about = f"{facts.documents:,} documents, model {recorded.model!r}, {recorded.dims} dimensions"
    if facts.is_building:
        return warning(subject, f"{about}; it is being built", "wait: until then searches find a part")
    if facts.failures:
        text = f"{about}; Redis could not index {facts.failures:,} documents, and no search finds them"
        return warning(subject, text, "see the reason: redis-cli FT.INFO with the index's name")
    return ok(subject, about)


def _dims(attributes: Any) -> int:
    for attribute in attributes:
        names = [as_text(part).lower() for part in attribute]
        if VECTOR_OPTION in names:
            return int(as_text(attribute[names.index(VECTOR_OPTION) + 1]))
    return 0
