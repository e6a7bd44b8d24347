"""Chat and embeddings on Ollama, through langchain-ollama; behind the protocols of ``protocols.py``.

No answer is believed unchecked: a stream that ends without its last chunk, an answer cut at its limit, a prompt that
the server cut, vectors of another shape are each a ``ModelError``. The libraries' client objects are made once a host
and shared. Importing this file takes most of a second; ``routing.py`` does it only when Ollama is asked for. Who calls
when is decided in ``slot_calls.py``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from functools import partial, reduce
from typing import Any, Final, cast

import numpy as np
import structlog
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_ollama import ChatOllama, OllamaEmbeddings
from ollama import AsyncClient, EmbedResponse

from producer.contract import JsonObject, Usage
from producer.errors import AnswerIncomplete, AnswerTruncated, ContextExceeded, ModelError, SettingsError
from worker.gpu.hosts import Host
from worker.models.chat_messages import sent, tool_offer
from worker.models.context_budget import check_budget, check_evaluated, cut_to
from worker.models.ollama.embedding_families import family_of
from worker.models.ollama.errors import model_errors
from worker.models.ollama.fleet import OllamaFleet
from worker.models.ollama.http import ModelFacts, OllamaClient, trusted
from worker.models.protocols import (
    ChatReply,
    EmbedReply,
    Message,
    Tool,
    ToolCall,
    Vectors,
    add_usage,
    check_vector,
    spent_on,
)
from worker.models.slot_calls import Done, GpuCalls
from worker.settings import WorkerSettings

LEAST_CHARS: Final = 64
"""A text so short that a model refuses it for its length fits no model."""
EMBED_BATCH: Final = 32
"""Texts of one call: enough to use the card, few enough that others get their turn."""

log = structlog.get_logger()


class PlainChatOllama(ChatOllama):
    """ChatOllama without LangChain's callbacks.

    They would send prompts to a tracer that some variable of the environment turns on, and put the whole answer
    together a second time while the slot is held.
    """

    def pieces(self, messages: list[BaseMessage], **options: Any) -> AsyncIterator[ChatGenerationChunk]:
        """Yield the answer as it comes; the last piece has the server's counts in ``generation_info``."""
        return self._astream(messages, **options)


class OllamaChat:
    """A chat model on the hosts of a fleet. Implements ``ChatModel``."""

    def __init__(
        self, name: str, fleet: OllamaFleet, calls: GpuCalls, settings: WorkerSettings, *, facts: ModelFacts
    ) -> None:
        self.name = name
        self._calls = calls
        self._context = min(settings.chat_num_ctx, facts.context or settings.chat_num_ctx)
        self._max_output = settings.chat_max_output
        self._timeout_s = settings.chat_timeout_s
        self._stall_s = settings.chat_stall_s
        self._on = {host.name: self._adapter(fleet.clients[host.name], settings) for host in fleet.hosts}

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonObject | None = None, tools: Sequence[Tool] = ()
    ) -> ChatReply:
        """Return the whole answer.

        Temperature 0: the same findings get the same words. Ollama ties a tool's answer to its call by their order.
        Raises ``ContextExceeded`` before the call where the prompt may not fit, and every other ``ModelError``.
        """
        offered = [tool_offer(tool) for tool in tools]
        texts = [*(_whole_text(message) for message in messages), *map(json.dumps, offered)]
        options: dict[str, Any] = {"tools": offered} if offered else {}
        if schema is not None:
            options["format"] = schema  # a grammar for the answer, no part of the prompt
        check_budget(texts, model=self.name, context=self._context, max_output=self._max_output)
        prompt = [sent(message) for message in messages]  # made before the slot is held: others wait for it
        ask = partial(self._ask, prompt=prompt, texts=[message.content for message in messages], options=options)
        done, usage = await self._calls.call("chat", self.name, ask)
        text, calls = done.value
        return ChatReply(text=text, model=self.name, usage=reduce(add_usage, usage), calls=calls)

    def _adapter(self, client: OllamaClient, settings: WorkerSettings) -> PlainChatOllama:
        return PlainChatOllama(
            model=self.name,
            base_url=client.host.address,
            num_ctx=self._context,
            num_predict=self._max_output,
            temperature=0.0,
            reasoning=settings.chat_think,
            keep_alive=settings.model_keep_alive_s,
            async_client_kwargs={"transport": client.transport},
            sync_client_kwargs={"verify": trusted()},  # never used, but always made
        )

    async def _ask(
        self, host: Host, *, prompt: list[BaseMessage], texts: Sequence[str], options: dict[str, Any]
    ) -> Done[tuple[str, tuple[ToolCall, ...]]]:
        """Ask one host; the time to the first piece of the answer and each silence after it are bounded.

        Its length is ``CHAT_MAX_OUTPUT``'s affair: a slow card's answer is no failure while tokens flow.
        """
        pieces: list[str] = []
        calls: list[ToolCall] = []
        last: dict[str, Any] = {}
        limit = f"{self._timeout_s:g} s, and then with silences of at most {self._stall_s:g} s"
        with model_errors(host.name, self.name, limit=limit):
            async with asyncio.timeout(self._timeout_s) as stall:
                async for chunk in self._on[host.name].pieces(prompt, **options):
                    stall.reschedule(asyncio.get_running_loop().time() + self._stall_s)
                    pieces.append(chunk.text)
                    calls += _calls_in(chunk)
                    last = chunk.generation_info or last
        text = "".join(pieces)
        prompt_tokens, output_tokens = int(last.get("prompt_eval_count") or 0), int(last.get("eval_count") or 0)
        try:
            self._check(host.name, text, calls, last)
            check_evaluated(texts, prompt_tokens, model=self.name, context=self._context)
        except ModelError as error:
            error.spent = Usage(prompt_tokens=prompt_tokens, output_tokens=output_tokens)
            raise
        return Done((text, tuple(calls)), prompt_tokens, output_tokens)

    def _check(self, host: str, text: str, calls: Sequence[ToolCall], last: dict[str, Any]) -> None:
        reason = last.get("done_reason")
        if reason == "length":
            what = "its answer" if text.strip() else "thinking, and answered nothing"
            msg = (
                f"{self.name!r} on {host!r} used all of its {self._max_output} tokens for {what}: "
                f"ask for less at a time, or raise CHAT_MAX_OUTPUT"
            )
            raise AnswerTruncated(msg, text=text)
        if not reason:
            msg = f"{self.name!r} on {host!r} stopped in mid-answer after {len(text)} characters"
            raise AnswerIncomplete(msg)
        if not text.strip() and not calls:
            msg = f"{self.name!r} on {host!r} answered nothing (it ended with {reason!r})"
            raise AnswerIncomplete(msg)


def _calls_in(chunk: ChatGenerationChunk) -> list[ToolCall]:
    message = cast("AIMessageChunk", chunk.message)
    return [ToolCall(call["name"], call["args"], call["id"] or "") for call in message.tool_calls]


def _whole_text(message: Message) -> str:
    return message.content + "".join(call.name + json.dumps(call.arguments) for call in message.calls)


class CountedEmbeddings(OllamaEmbeddings):
    """OllamaEmbeddings that keeps the server's count of tokens, and lets it refuse a text instead of cutting it."""

    async def aembed_counted(self, texts: Sequence[str]) -> EmbedResponse:
        """Return the server's whole answer."""
        client = cast("AsyncClient", self._async_client)
        return await client.embed(
            self.model, texts, truncate=False, options={"num_ctx": self.num_ctx}, keep_alive=self.keep_alive
        )


class OllamaEmbedder:
    """An embedding model on the hosts of a fleet. Implements ``Embedder``.

    Raises ``SettingsError`` when nobody knows how long its vectors are: neither setting, nor host, nor this release.
    """

    def __init__(
        self, name: str, fleet: OllamaFleet, calls: GpuCalls, settings: WorkerSettings, *, facts: ModelFacts
    ) -> None:
        self.name = name
        self._calls = calls
        self.dims = settings.embedding_dims or facts.dims or family_of(name).dims
        if not self.dims:
            msg = (
                f"EMBEDDING_MODEL is {name!r}, and no host of OLLAMA_BASE_URL tells how long its vectors are: "
                f"start Ollama and type: ollama pull {name}; or set EMBEDDING_DIMS"
            )
            raise SettingsError(msg)
        self._context = min(settings.embed_num_ctx, facts.context or settings.embed_num_ctx)
        self._timeout_s = settings.embed_timeout_s
        self._family = family_of(name)
        self._on = {host.name: self._adapter(fleet.clients[host.name], settings) for host in fleet.hosts}

    async def embed_documents(self, texts: Sequence[str]) -> EmbedReply:
        """Embed texts that are kept, ``EMBED_BATCH`` a call. Raises ``ModelError``."""
        return await self._embed([self._family.document + text for text in texts])

    async def embed_queries(self, texts: Sequence[str]) -> EmbedReply:
        """Embed texts that are looked up. Raises ``ModelError``."""
        return await self._embed([self._family.query + text for text in texts])

    def _adapter(self, client: OllamaClient, settings: WorkerSettings) -> CountedEmbeddings:
        return CountedEmbeddings(
            model=self.name,
            base_url=client.host.address,
            num_ctx=self._context,
            keep_alive=settings.model_keep_alive_s,
            async_client_kwargs={"transport": client.transport},
            sync_client_kwargs={"verify": trusted()},  # never used, but always made
        )

    async def _embed(self, texts: Sequence[str]) -> EmbedReply:
        sent = [cut_to(text, self._context - 2) for text in texts]  # 2: the marks around every text
        was_cut = sum(before != after for before, after in zip(texts, sent, strict=True))
        if was_cut:
            log.warning("model.text_cut", model=self.name, texts=was_cut, context=self._context)
        reply = EmbedReply(np.zeros((0, self.dims), dtype=np.float32), Usage())
        for start in range(0, len(sent), EMBED_BATCH):
            vectors, usage = await self._batch(sent[start : start + EMBED_BATCH])
            for vector in vectors:
                check_vector(vector, dims=self.dims, model=self.name)
            reply = EmbedReply(np.concatenate([reply.vectors, vectors]), add_usage(reply.usage, usage))
        return reply

    async def _batch(self, texts: Sequence[str]) -> tuple[Vectors, Usage]:
        """Embed the texts of one call. One that the host finds too long after all is halved until it is taken.

        Only the model's tokenizer knows how long a text is: of hex, a token may be one character.
        """
        try:
            done, usage = await self._calls.call("embed", self.name, partial(self._ask, texts=texts))
        except ContextExceeded as error:
            if len(texts) == 1 and len(texts[0]) <= LEAST_CHARS:
                raise
            spent = spent_on(error)
        else:
            return done.value, reduce(add_usage, usage)
        middle = (len(texts) + 1) // 2
        parts = [texts[:middle], texts[middle:]] if len(texts) > 1 else [[texts[0][: len(texts[0]) // 2]]]
        if len(texts) == 1:
            log.warning("model.text_cut", model=self.name, texts=1, context=self._context)
        taken = [await self._batch(part) for part in parts]
        return np.concatenate([vectors for vectors, _ in taken]), reduce(add_usage, (cost for _, cost in taken), spent)

    async def _ask(self, host: Host, texts: Sequence[str]) -> Done[Vectors]:
        with model_errors(host.name, self.name, limit=f"{self._timeout_s:g} s"):
            async with asyncio.timeout(self._timeout_s):
                answer = await self._on[host.name].aembed_counted(texts)
            vectors = unit_vectors(answer.embeddings)
        if len(vectors) != len(texts):
            msg = f"{self.name!r} on {host.name!r} gave {len(vectors)} vectors for {len(texts)} texts"
            raise AnswerIncomplete(msg)
        return Done(vectors, int(answer.prompt_eval_count or 0))


def unit_vectors(rows: Sequence[Sequence[float]]) -> Vectors:
    """Return ``rows`` as ``float32[n, dims]`` of unit length; raise ``ValueError`` for rows of different lengths.

    Ollama's vectors have unit length but for rounding; zeros and NaNs stay what they are and are found by the check.
    """
    vectors = np.asarray(rows, dtype=np.float32)
    if vectors.ndim != 2:  # noqa: PLR2004  rows and columns
        msg = f"vectors of shape {vectors.shape}: expected rows of numbers"
        raise ValueError(msg)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths == 0.0, 1.0, lengths)).astype(np.float32)
