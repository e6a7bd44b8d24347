"""Embeddings on Ollama, through langchain-ollama; behind ``Embedder`` of ``protocols.py``.

Vectors of another shape are a ``ModelError``, and so is a text that the server refuses at any length. As in
``chat.py``, client objects are shared, and importing this file takes most of a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Final, cast

import numpy as np
import structlog
from langchain_ollama import OllamaEmbeddings
from ollama import AsyncClient, EmbedResponse

from producer.contract import Usage
from producer.errors import AnswerIncomplete, ContextExceeded, SettingsError
from worker.gpu.hosts import Host
from worker.models.context_budget import cut_to
from worker.models.ollama.embedding_families import family_of
from worker.models.ollama.errors import model_errors
from worker.models.ollama.fleet import OllamaFleet
from worker.models.ollama.http import ModelFacts, OllamaClient, trusted
from worker.models.protocols import EmbedReply, Vectors, add_usage, check_vector, spent_on
from worker.models.slot_calls import Done, GpuCalls, Spent
from worker.settings import WorkerSettings

LEAST_CHARS: Final = 64
"""Characters of the shortest text that is still halved: a model that refuses it takes no text."""
EMBED_BATCH: Final = 32
"""Texts per call: enough to use the GPU, few enough that others get their turn."""

log = structlog.get_logger()


class CountedEmbeddings(OllamaEmbeddings):
    """OllamaEmbeddings that keeps the server's count of tokens, and lets it refuse a text instead of cutting it."""

    async def aembed_counted(self, texts: Sequence[str], *, context: int) -> EmbedResponse:
        """Return the server's whole answer."""
        client = cast("AsyncClient", self._async_client)
        return await client.embed(
            self.model, texts, truncate=False, options={"num_ctx": context}, keep_alive=self.keep_alive
        )


@dataclass(frozen=True, slots=True)
class Taken:
    """The vectors of texts, the number of characters embedded of each, and the cost of the calls."""

    vectors: Vectors
    lengths: tuple[int, ...]
    usage: Usage

    def and_then(self, other: Taken) -> Taken:
        """Return both, joined."""
        vectors = np.concatenate([self.vectors, other.vectors])
        return Taken(vectors, self.lengths + other.lengths, add_usage(self.usage, other.usage))


class OllamaEmbedder:
    """An embedding model on the hosts of a fleet. Implements ``Embedder``.

    A text that is too long for the model is shortened until it fits, and the reply says so. Raises ``SettingsError`` if
    the length of its vectors is unknown: neither the setting, nor a host, nor this release has it.
    """

    def __init__(
        self, name: str, fleet: OllamaFleet, calls: GpuCalls, settings: WorkerSettings, *, facts: ModelFacts
    ) -> None:
        self.name = name
        self._fleet = fleet
        self._calls = calls
        self.dims = settings.embedding_dims or facts.dims or family_of(name).dims
        if not self.dims:
            msg = (
                f"EMBEDDING_MODEL is {name!r}, and no host of OLLAMA_BASE_URL reports the length of its vectors: "
                f"start Ollama and run: ollama pull {name}; or set EMBEDDING_DIMS"
            )
            raise SettingsError(msg)
        self._num_ctx = settings.embed_num_ctx
        self._timeout_s = settings.embed_timeout_s
        self._family = family_of(name)
        self._on = {host.name: self._adapter(fleet.clients[host.name], settings) for host in fleet.hosts}

    async def embed_documents(self, texts: Sequence[str]) -> EmbedReply:
        """Embed texts to store, ``EMBED_BATCH`` per call. Raises ``ModelError``."""
        return await self._embed(texts, before=self._family.document)

    async def embed_queries(self, texts: Sequence[str]) -> EmbedReply:
        """Embed texts to search for. Raises ``ModelError``."""
        return await self._embed(texts, before=self._family.query)

    def _adapter(self, client: OllamaClient, settings: WorkerSettings) -> CountedEmbeddings:
        return CountedEmbeddings(
            model=self.name,
            base_url=client.host.address,
            num_ctx=self._num_ctx,
            keep_alive=settings.model_keep_alive_s,
            async_client_kwargs={"transport": client.transport},
            sync_client_kwargs={"verify": trusted()},  # never used, but always made
        )

    async def _embed(self, texts: Sequence[str], *, before: str) -> EmbedReply:
        """Embed ``texts``, each with the model's prefix ``before`` it."""
        context = (await self._fleet.facts(self.name)).context_of(self._num_ctx)
        sent = [cut_to(before + text, context - 2) for text in texts]  # 2: the marks around every text
        taken = Taken(np.zeros((0, self.dims), dtype=np.float32), (), Usage())
        for start in range(0, len(sent), EMBED_BATCH):
            taken = taken.and_then(await self._batch(sent[start : start + EMBED_BATCH], context))
        kept = [max(0, length - len(before)) for length in taken.lengths]
        shortened = {place: kept[place] for place, text in enumerate(texts) if kept[place] < len(text)}
        if shortened:
            log.warning("model.text_cut", model=self.name, texts=len(shortened), context=context)
        return EmbedReply(taken.vectors, taken.usage, shortened)

    async def _batch(self, texts: Sequence[str], context: int) -> Taken:
        """Embed the texts of one call. One that is still too long for the host is halved until it is accepted.

        Only the model's tokenizer knows the length of a text: in hexadecimal text, a token may be one character.
        """
        try:
            done, usage = await self._calls.call("embed", self.name, partial(self._ask, texts=texts, context=context))
        except ContextExceeded as error:
            if len(texts) == 1 and len(texts[0]) <= LEAST_CHARS:
                raise
            spent = spent_on(error)
        else:
            for vector in done.value:
                check_vector(vector, dims=self.dims, model=self.name)
            return Taken(done.value, tuple(map(len, texts)), reduce(add_usage, usage))
        middle = (len(texts) + 1) // 2
        parts = [texts[:middle], texts[middle:]] if len(texts) > 1 else [[texts[0][: len(texts[0]) // 2]]]
        taken = reduce(Taken.and_then, [await self._batch(part, context) for part in parts])
        return replace(taken, usage=add_usage(spent, taken.usage))

    async def _ask(self, host: Host, spent: Spent, *, texts: Sequence[str], context: int) -> Done[Vectors]:
        with model_errors(host.name, self.name, limit=f"{self._timeout_s:g} s"):
            async with asyncio.timeout(self._timeout_s):
                answer = await self._on[host.name].aembed_counted(texts, context=context)
            spent.prompt_tokens = int(answer.prompt_eval_count or 0)
            vectors = unit_vectors(answer.embeddings)
        if len(vectors) != len(texts):
            msg = f"{self.name!r} on {host.name!r} gave {len(vectors)} vectors for {len(texts)} texts"
            raise AnswerIncomplete(msg)
        return Done(vectors)


def unit_vectors(rows: Sequence[Sequence[float]]) -> Vectors:
    """Return ``rows`` as ``float32[n, dims]`` of unit length; raise ``ValueError`` for rows of different lengths.

    Ollama's vectors have unit length except for rounding; zeros and NaNs are kept and found by the check.
    """
    vectors = np.asarray(rows, dtype=np.float32)
    if vectors.ndim != 2:  # noqa: PLR2004  rows and columns
        msg = f"vectors of shape {vectors.shape}: expected rows of numbers"
        raise ValueError(msg)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths == 0.0, 1.0, lengths)).astype(np.float32)
