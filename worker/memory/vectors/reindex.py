"""Moves an environment to another embedding model without downtime: ``sightline reindex``.

The steps can all be interrupted and repeated: announce the new generation (from then on workers embed new documents for
both), create its indexes, embed the old documents, switch, search again for documents committed with the old vector
only, and remove the old generation. Documents committed even later are backfilled by the workers (``backfill.py``) or
by repeating the command. The state is in the record (``generations.py``) and the documents' tag ``embedded``; the
command itself is stateless.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import structlog

from producer.errors import InputError, ModelError, ServiceError, SettingsError
from producer.redis.scripts import as_text, load_script, run_script
from worker.memory.cache import cache_index
from worker.memory.vectors.backfill import Filled, all_documents, backfill, delete_retired
from worker.memory.vectors.embeddings import Embeddings
from worker.memory.vectors.generations import Generation
from worker.memory.vectors.indexes import drop_index, wait_until_indexed
from worker.models.protocols import Embedder

BEGIN: Final = load_script("worker.memory.vectors", "reindex_begin")
SWITCH: Final = load_script("worker.memory.vectors", "reindex_switch")
END: Final = load_script("worker.memory.vectors", "reindex_end")
INDEXED_S: Final = 3_600.0
"""A new index must contain all tags and numbers before it can find missing vectors: minutes for a million documents."""
SWEEPS: Final = 100
"""Passes before the switch; each finds the documents committed during the previous one."""

Step = Literal["embedding", "cleaning"]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a step; ``total`` grows while scans are committed."""

    step: Step
    done: int
    total: int


Tell = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Reindexed:
    """The result of a reindex: the model in use, the number of vectors written and of documents.

    The model accepted only the beginning of ``shortened`` documents, and nothing of ``refused`` ones.
    """

    model: str
    dims: int
    written: int
    documents: int
    what: Literal["moved", "unchanged", "given up"]
    shortened: int = 0
    refused: int = 0


async def reindex(embeddings: Embeddings, to: Embedder, *, tell: Tell = lambda _: None) -> Reindexed:
    """Move to the model ``to``, resuming an interrupted run.

    The old model is not needed and may be gone.

    Raises ``InputError`` during a reindex to another model, ``SettingsError`` before a worker has ever run,
    ``ModelError`` and Redis's errors; the same call then resumes without loss.
    """
    what: Literal["moved", "unchanged", "given up"] = "unchanged"
    filled = Filled()
    while True:
        said, generation = await _begin(embeddings, to)
        match said:
            case "begun" | "going on":
                filled = filled.and_then(await _fill(embeddings, generation, tell))
                await _switch(embeddings, generation)
                what = "moved"
            case "retired" | "given up":
                # Before the old vectors are deleted, embed documents that have no others.
                active = (await embeddings.record()).active
                if (active.model, active.dims) == (to.name, to.dims):
                    filled = filled.and_then(await _sweep_if_able(embeddings, active, tell))
                await _remove(embeddings, generation, tell)
                what = "given up" if said == "given up" else what
            case "same":
                sweep = _sweep_if_able if what == "given up" else _sweep
                filled = filled.and_then(await sweep(embeddings, generation, tell))
                if what == "unchanged":
                    await _delete_retired(embeddings, tell)
                total = sum([await kind.count(generation) for kind in all_documents(embeddings)])
                sums = {"written": filled.written, "shortened": filled.shortened, "refused": filled.refused}
                return Reindexed(generation.model, generation.dims, documents=total, what=what, **sums)
            case _:
                raise _refusal(embeddings, said, generation, to)


async def _begin(embeddings: Embeddings, to: Embedder) -> tuple[str, Generation]:
    wanted = Generation(0, to.name, to.dims)
    reply = await run_script(embeddings.redis, BEGIN, [embeddings.keys.embedding], [wanted.shape])
    said, packed = (as_text(part) for part in reply)
    return said, Generation.parse(packed) or wanted


def _refusal(embeddings: Embeddings, said: str, other: Generation, to: Embedder) -> Exception:
    if said == "busy":
        return InputError(
            f"a change to {other} is in progress: finish it with: sightline reindex --to {other.model}; or cancel it "
            f"by "
            f"naming the model that is in use; then: sightline reindex --to {to.name}"
        )
    return SettingsError(
        f"environment {embeddings.keys.environment!r} has no vectors yet: set EMBEDDING_MODEL={to.name}, and start a "
        f"worker"
    )


async def _fill(embeddings: Embeddings, generation: Generation, tell: Tell) -> Filled:
    """Create the generation's indexes and embed all documents; returns the numbers written."""
    for documents in all_documents(embeddings):
        await documents.ensure(generation)
        await wait_until_indexed(documents.index(generation), timeout_s=INDEXED_S)
    return await _sweep(embeddings, generation, tell)


async def _sweep_if_able(embeddings: Embeddings, generation: Generation, tell: Tell) -> Filled:
    """As ``_sweep``, but leave documents that the model cannot embed now to the workers' backfill."""
    try:
        return await _sweep(embeddings, generation, tell)
    except ModelError as error:
        log.warning("reindex.left_to_backfill", model=generation.model, error=str(error))
        return Filled()


async def _sweep(embeddings: Embeddings, generation: Generation, tell: Tell) -> Filled:
    """Embed until no document lacks a vector of ``generation``; returns the numbers written."""
    kinds = all_documents(embeddings)
    total = Filled()
    for _ in range(SWEEPS):
        lacking = sum([await kind.count_lacking(generation) for kind in kinds])
        if not lacking:
            return total
        done = 0
        for kind in kinds:
            async for filled in backfill(embeddings, kind, generation):
                done += filled.written
                total = total.and_then(filled)
                tell(Progress("embedding", done, max(done, lacking)))
    msg = (
        f"documents without a vector of {generation} arrive faster than they are embedded: try again at a quieter time"
    )
    raise ServiceError(msg)


async def _switch(embeddings: Embeddings, generation: Generation) -> None:
    """Activate ``generation``, after recreating any lost index."""
    for documents in all_documents(embeddings):
        await documents.ensure(generation)
    active = (await embeddings.record()).active
    said = await run_script(embeddings.redis, SWITCH, [embeddings.keys.embedding], [generation.pack(), active.model])
    if as_text(said) == "moved":
        msg = f"the change to {generation} was cancelled by another command"
        raise ServiceError(msg)


async def _remove(embeddings: Embeddings, retired: Generation, tell: Tell) -> None:
    """Drop the indexes of ``retired`` and all vectors that belong to no live generation."""
    for documents in all_documents(embeddings):
        await documents.drop(retired)
    record = await embeddings.record()
    if (retired.model, retired.dims) not in {(one.model, one.dims) for one in record.live}:
        # Its cached answers expire.
        await drop_index(embeddings.redis, cache_index(embeddings.keys, retired))
    await _delete_retired(embeddings, tell)
    await embeddings.redis.delete(embeddings.keys.retired)  # a worker walks over all documents at its next check
    await run_script(embeddings.redis, END, [embeddings.keys.embedding], [retired.pack()])


async def _delete_retired(embeddings: Embeddings, tell: Tell) -> None:
    done = 0
    async for looked_at, _ in delete_retired(embeddings):
        done += looked_at
        tell(Progress("cleaning", done, done))
