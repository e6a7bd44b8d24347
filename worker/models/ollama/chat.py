"""Chat on Ollama, through langchain-ollama; behind ``ChatModel`` of ``protocols.py``.

Every answer is checked: a stream that ends without its last chunk, an answer cut at its limit and a prompt cut by the
server are each a ``ModelError``. The libraries' client objects are created once per host and shared. Importing this
file takes most of a second; ``routing.py`` does it only if Ollama is used. ``slot_calls.py`` decides who calls when;
embeddings: ``embed.py``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from copy import copy
from functools import partial, reduce
from typing import Any, cast

from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_ollama import ChatOllama

from producer.contract import JsonObject
from producer.errors import AnswerIncomplete, AnswerTruncated
from worker.gpu.hosts import Host
from worker.models.chat_messages import sent, tool_offer
from worker.models.context_budget import check_budget, check_evaluated, fewest_tokens
from worker.models.ollama.errors import model_errors
from worker.models.ollama.fleet import OllamaFleet
from worker.models.ollama.http import OllamaClient, trusted
from worker.models.protocols import ChatReply, Message, Tool, ToolCall, add_usage
from worker.models.slot_calls import Done, GpuCalls, Spent
from worker.models.thoughts import without_thoughts
from worker.settings import WorkerSettings


class PlainChatOllama(ChatOllama):
    """ChatOllama without LangChain's callbacks.

    They would send prompts to a tracer that an environment variable may turn on, and assemble the whole answer a second
    time while the slot is held.
    """

    def pieces(self, messages: list[BaseMessage], **options: Any) -> AsyncIterator[ChatGenerationChunk]:
        """Yield the answer as it arrives; the last piece has the server's counts in ``generation_info``."""
        return self._astream(messages, **options)


class OllamaChat:
    """A chat model on the hosts of a fleet. Implements ``ChatModel``."""

    def __init__(self, name: str, fleet: OllamaFleet, calls: GpuCalls, settings: WorkerSettings) -> None:
        self.name = name
        self._fleet = fleet
        self._calls = calls
        self._num_ctx = settings.chat_num_ctx
        self._max_output = settings.chat_max_output
        self._timeout_s = settings.chat_timeout_s
        self._stall_s = settings.chat_stall_s
        self._on = {host.name: self._adapter(fleet.clients[host.name], settings) for host in fleet.hosts}

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonObject | None = None, tools: Sequence[Tool] = ()
    ) -> ChatReply:
        """Return the whole answer.

        The temperature is 0: the same findings get the same words. Ollama matches tool answers to calls by their order.
        Raises ``ContextExceeded`` before the call if the prompt may not fit, and every other ``ModelError``.
        """
        offered = [tool_offer(tool) for tool in tools]
        texts = [*(_whole_text(message) for message in messages), *map(json.dumps, offered)]
        options: dict[str, Any] = {"tools": offered} if offered else {}
        if schema is not None:
            options["format"] = schema  # a grammar for the answer, not part of the prompt
        context = (await self._fleet.facts(self.name)).context_of(self._num_ctx)
        images = sum(len(message.images) for message in messages)
        check_budget(texts, model=self.name, context=context, max_output=self._max_output, images=images)
        prompt = [sent(message) for message in messages]  # built before the slot is taken: others wait for it
        contents = [message.content for message in messages]
        ask = partial(self._ask, prompt=prompt, texts=contents, options=options, context=context)
        done, usage = await self._calls.call("chat", self.name, ask)
        text, calls = done.value
        return ChatReply(text=text, model=self.name, usage=reduce(add_usage, usage), calls=calls)

    def _adapter(self, client: OllamaClient, settings: WorkerSettings) -> PlainChatOllama:
        return PlainChatOllama(
            model=self.name,
            base_url=client.host.address,
            num_ctx=self._num_ctx,
            num_predict=self._max_output,
            temperature=0.0,
            reasoning=settings.chat_think,
            keep_alive=settings.model_keep_alive_s,
            async_client_kwargs={"transport": client.transport},
            sync_client_kwargs={"verify": trusted()},  # never used, but always created
        )

    async def _ask(
        self,
        host: Host,
        spent: Spent,
        *,
        prompt: list[BaseMessage],
        texts: Sequence[str],
        options: dict[str, Any],
        context: int,
    ) -> Done[tuple[str, tuple[ToolCall, ...]]]:
        """Ask one host; the time to the first piece of the answer and each silence after it are limited.

        Its length is limited by ``CHAT_MAX_OUTPUT`` only: a slow GPU's answer is not a failure while tokens flow.
        Ollama reports token counts only in its last piece; for a call that breaks before it, ``spent`` counts a token
        per piece and, once the prompt was read, the lower bound of its tokens.
        """
        adapter = self._on[host.name]
        if adapter.num_ctx != context:
            adapter = copy(adapter)
            adapter.num_ctx = context
        pieces: list[str] = []
        calls: list[ToolCall] = []
        last: dict[str, Any] = {}
        limit = f"{self._timeout_s:g} s, or was silent for {self._stall_s:g} s after that"
        with model_errors(host.name, self.name, limit=limit):
            async with asyncio.timeout(self._timeout_s) as stall:
                async for chunk in adapter.pieces(prompt, **options):
                    stall.reschedule(asyncio.get_running_loop().time() + self._stall_s)
                    spent.prompt_tokens = spent.prompt_tokens or sum(map(fewest_tokens, texts))
                    spent.output_tokens += 1
                    pieces.append(chunk.text)
                    calls += _calls_in(chunk)
                    last = chunk.generation_info or last
        text = without_thoughts("".join(pieces))
        if last.get("done_reason"):
            spent.prompt_tokens = int(last.get("prompt_eval_count") or 0)
            spent.output_tokens = int(last.get("eval_count") or 0)
        self._check(host.name, text, calls, last)
        check_evaluated(texts, spent.prompt_tokens, model=self.name, context=context)
        return Done((text, tuple(calls)))

    def _check(self, host: str, text: str, calls: Sequence[ToolCall], last: dict[str, Any]) -> None:
        reason = last.get("done_reason")
        if reason == "length":
            what = "its answer" if text.strip() else "thinking, and gave no answer"
            msg = (
                f"{self.name!r} on {host!r} used all of its {self._max_output} tokens for {what}: "
                f"ask for less at a time, or raise CHAT_MAX_OUTPUT"
            )
            raise AnswerTruncated(msg, text=text)
        if not reason:
            msg = f"{self.name!r} on {host!r} stopped in the middle of its answer after {len(text)} characters"
            raise AnswerIncomplete(msg)
        if not text.strip() and not calls:
            msg = f"{self.name!r} on {host!r} gave no answer (it ended with {reason!r})"
            raise AnswerIncomplete(msg)


def _calls_in(chunk: ChatGenerationChunk) -> list[ToolCall]:
    message = cast("AIMessageChunk", chunk.message)
    return [ToolCall(call["name"], call["args"], call["id"] or "") for call in message.tool_calls]


def _whole_text(message: Message) -> str:
    return message.content + "".join(call.name + json.dumps(call.arguments) for call in message.calls)
