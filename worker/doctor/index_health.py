"""The search indexes of scans, memories and component barriers: existence, completeness, and embedding model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from producer.keys import Keys
from producer.reports.plain_text import counted
from worker.doctor.line import Line, error, ok, warning
from worker.memory.history.history import scan_documents
from worker.memory.memories import memory_documents
from worker.memory.vectors.embeddings import Embeddings
from worker.memory.vectors.generations import BITS, Generation, Record, read_record
from worker.memory.vectors.indexes import as_text, is_missing_index

VECTOR_OPTION: Final = "dim"


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """Redis's facts about an index; ``dims`` of its vectors. ``failures`` are documents that no search finds."""

    documents: int
    failures: int
    is_building: bool
    dims: int


async def read_index(redis: Redis, name: str, *, field: str = "") -> IndexFacts | None:
    """Return Redis's facts about the index with the vectors ``field``; None if it does not exist."""
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
        dims=_dims(info.get("attributes", []), field),
    )


async def index_lines(redis: Redis, keys: Keys, *, model: str, dims: int) -> list[Line]:
    """Return the lines of the indexes. ``model`` is EMBEDDING_MODEL; ``dims`` of its vectors, 0 if unknown."""
    record = await read_record(redis, keys)
    if record is None:
        return [warning("indexes", "there are none yet", "start a worker, which creates them: sightline worker")]
    vectors = Embeddings(redis, keys)
    kinds = {"index of scans": scan_documents(vectors), "index of memories": memory_documents(vectors)}
    lines: list[Line] = []
    lacking: dict[Generation, int] = {}
    for subject, documents in kinds.items():
        facts = await read_index(redis, documents.index(record.active).name, field=record.active.field)
        lines.append(index_line(subject, facts, record.active))
        for generation in record.live:
            is_there = await read_index(redis, documents.index(generation).name, field=generation.field) is not None
            number = await documents.count_lacking(generation) if is_there else 0
            lacking[generation] = lacking.get(generation, 0) + number
    lines.append(whole_line("index of component barriers", await read_index(redis, keys.barriers_index)))
    return [vectors_line(record, model=model, dims=dims), *lines, *reindex_lines(record, lacking)]


def vectors_line(record: Record, *, model: str, dims: int) -> Line:
    """Return the line comparing EMBEDDING_MODEL with the indexes' model."""
    active, subject = record.active, "vectors"
    about = f"made by {active}"
    if any(one.model == model and dims in {0, one.dims} for one in record.live):
        advice = f"; to halve their size: sightline reindex --to {active.model}"
        return ok(subject, about if active.bits == BITS else about + advice)
    if model == active.model:
        text = f"{about}, but that model's vectors now have {dims} dimensions: workers will not start"
        return error(
            subject,
            text,
            f"set EMBEDDING_DIMS={active.dims} if it supports this; or run: sightline reindex --to {model}",
        )
    if model == record.previous:
        text = f"{about}; EMBEDDING_MODEL still names {model!r}, the previous model"
        return warning(subject, text, f"set EMBEDDING_MODEL={active.model}")
    text = f"{about}, but EMBEDDING_MODEL is {model!r}: workers will not start"
    return error(
        subject, text, f"set EMBEDDING_MODEL={active.model}; to change the model: sightline reindex --to {model}"
    )


def index_line(subject: str, facts: IndexFacts | None, generation: Generation) -> Line:
    """Return the line of one index with vectors."""
    if facts is not None and generation.dims != facts.dims:
        text = f"its vectors have {facts.dims} dimensions, the model's {generation.dims}: searches by meaning fail"
        return error(subject, text, "drop it and restart a worker, which rebuilds it: redis-cli FT.DROPINDEX")
    return whole_line(subject, facts)


def whole_line(subject: str, facts: IndexFacts | None) -> Line:
    """Return the line on whether an index exists and finds all its documents."""
    if facts is None:
        return error(subject, "it is missing", "restart a worker, which rebuilds it from the documents")
    about = counted(facts.documents, "document")
    if facts.is_building:
        return warning(subject, f"{about}; it is being built", "wait: until then, searches find only a part")
    if facts.failures:
        text = f"{about}; Redis could not index {counted(facts.failures, 'document')}, and no search finds them"
        return warning(subject, text, "see the reason: redis-cli FT.INFO with the index's name")
    return ok(subject, about)


def reindex_lines(record: Record, lacking: Mapping[Generation, int]) -> list[Line]:
    """Return the lines about missing vectors and a change of model in progress."""
    lines: list[Line] = []
    if lacking.get(record.active):
        text = f"{counted(lacking[record.active], 'document')} not yet found by meaning"
        lines.append(
            warning("vectors", text, "workers backfill the missing vectors within minutes, if the model answers")
        )
    if record.coming:
        text = (
            f"a change to {record.coming} is in progress or was interrupted, {lacking[record.coming]:,} documents to go"
        )
        lines.append(
            warning("reindex", text, f"if it was interrupted, resume it: sightline reindex --to {record.coming.model}")
        )
    if record.retired:
        text = f"vectors of {record.retired} are left from a change that was interrupted at its end"
        lines.append(warning("reindex", text, f"remove them: sightline reindex --to {record.active.model}"))
    return lines


def _dims(attributes: Any, field: str) -> int:
    for attribute in attributes:
        words = [as_text(part).lower() for part in attribute]
        if VECTOR_OPTION in words and field in words:
            return int(words[words.index(VECTOR_OPTION) + 1])
    return 0
