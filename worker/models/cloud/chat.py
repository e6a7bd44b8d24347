"""A chat model behind any endpoint that speaks OpenAI's protocol, through langchain-openai: only this file imports it.

``routing.py`` imports this file only if FALLBACK_MODEL is set; the extra ``cloud`` installs its packages. A call takes
no GPU slot. Every answer is checked, as in ``ollama/chat.py``, and the key appears in no error, log or result, even if
the endpoint sends it back. Neither temperature nor seed is sent: newer models refuse them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from time import monotonic
from typing import Any, Final, cast
from urllib.parse import urlsplit

import httpx
import structlog
from langchain_core.messages import AIMessageChunk, BaseMessage, ToolCallChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_openai.chat_models.base import BaseChatOpenAI
from pydantic import SecretStr

from producer.contract import JsonObject, Usage
from producer.errors import AnswerIncomplete, AnswerTruncated, ModelError, ModelRefused
from worker.models.chat_messages import sent, tool_offer
from worker.models.cloud.errors import cloud_errors, words_without
from worker.models.protocols import ChatReply, Message, Tool, ToolCall
from worker.models.thoughts import without_thoughts
from worker.models.usage import UsageLedger
from worker.settings import WorkerSettings

KIND: Final = "cloud"
"""The kind of these calls in ``usage:<day>``."""
RETRIES: Final = 1
"""Retries by the library, on 408, 409, 429, 5xx and lost connections, after the endpoint's Retry-After or 0.5 s."""
OPENAI_HOST: Final = "api.openai.com"

log = structlog.get_logger()


class PlainChatOpenAI(BaseChatOpenAI):
    """LangChain's client without its callbacks, which would send prompts to a tracer (see ``ollama/chat.py``).

    The base class sends ``max_tokens``, which every endpoint except OpenAI's accepts.
    """

    def pieces(self, messages: list[BaseMessage], **options: Any) -> AsyncIterator[ChatGenerationChunk]:
        """Yield the answer as it arrives."""
        return self._astream(messages, **options)


class CloudChat:
    """The model of FALLBACK_MODEL. Implements ``ChatModel``. Close after use."""

    def __init__(self, settings: WorkerSettings, usage: UsageLedger, *, api_key: str) -> None:
        self.name = settings.fallback_model
        self._usage = usage
        self._key = api_key
        self._timeout_s = settings.chat_timeout_s
        self._stall_s = settings.chat_stall_s
        self._max_output = settings.chat_max_output
        self._host = urlsplit(settings.fallback_base_url).netloc
        # No redirects: the key is only for this endpoint.
        self._http = httpx.AsyncClient(timeout=self._stall_s, follow_redirects=False)
        is_openai = self._host == OPENAI_HOST
        self._client = PlainChatOpenAI(
            model=self.name,
            base_url=settings.fallback_base_url,
            # Without one, the library would look for a key in the environment.
            api_key=SecretStr(api_key or "none"),
            http_async_client=self._http,
            max_retries=RETRIES,
            stream_usage=True,
            use_responses_api=False,
            stream_chunk_timeout=None,
            max_tokens=None if is_openai else self._max_output,
            model_kwargs={"max_completion_tokens": self._max_output} if is_openai else {},
        )

    async def close(self) -> None:
        """Close the connections. Safe to call twice."""
        await self._http.aclose()

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonObject | None = None, tools: Sequence[Tool] = ()
    ) -> ChatReply:
        """Return the whole answer; every call is logged and counted, failed ones too."""
        options: dict[str, Any] = {"tools": [tool_offer(tool) for tool in tools]} if tools else {}
        if schema is not None:
            form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
            # With `response_format`, the library would parse the stream itself, and fail on answers that the caller
            # repairs.
            options["extra_body"] = {"response_format": form}
        began = monotonic()
        spent = Usage(calls=1)
        try:
            whole = await self._ask(messages, options)
            spent = self._cost(cast("AIMessageChunk", whole.message))
            reply = self._checked(whole, spent)
        except ModelError as error:
            error.spent = spent
            await self._record(began, spent, error)
            raise
        await self._record(began, reply.usage, None)
        return reply

    async def _ask(self, messages: Sequence[Message], options: dict[str, Any]) -> ChatGenerationChunk:
        """Return the assembled answer; the duration of the call and of each silence in it is limited."""
        whole: ChatGenerationChunk | None = None
        limit = f"{self._timeout_s:g} s, or was silent for {self._stall_s:g} s"
        with cloud_errors(self._host, self.name, secret=self._key, limit=limit):
            async with asyncio.timeout(self._timeout_s), asyncio.timeout(None) as stall:
                async for chunk in self._client.pieces([sent(one) for one in messages], **options):
                    stall.reschedule(asyncio.get_running_loop().time() + self._stall_s)
                    whole = chunk if whole is None else whole + chunk
        if whole is None:
            msg = f"{self.name!r} at {self._host!r} gave no answer"
            raise AnswerIncomplete(msg)
        return whole

    def _checked(self, whole: ChatGenerationChunk, cost: Usage) -> ChatReply:
        message = cast("AIMessageChunk", whole.message)
        text, reason = without_thoughts(whole.text), (whole.generation_info or {}).get("finish_reason")
        who = f"{self.name!r} at {self._host!r}"
        if reason == "length":
            msg = f"{who} used all of its {self._max_output} tokens: ask for less at a time, or raise CHAT_MAX_OUTPUT"
            raise AnswerTruncated(msg, text=text)
        if reason == "content_filter":
            msg = f"{who} withheld its answer (content filter)"
            raise ModelRefused(msg)
        if not reason:
            msg = f"{who} stopped in the middle of its answer after {len(text)} characters"
            raise AnswerIncomplete(msg)
        calls = tuple(_call(call, who) for call in message.tool_call_chunks)
        if not text.strip() and not calls:
            msg = f"{who} gave no answer (it ended with {words_without(self._key, str(reason))!r})"
            raise AnswerIncomplete(msg)
        return ChatReply(text, self.name, cost, calls)

    def _cost(self, message: AIMessageChunk) -> Usage:
        told = message.usage_metadata
        if told is None:
            log.warning("cloud.tokens_unknown", model=self.name, host=self._host)
            return Usage(calls=1)
        return Usage(calls=1, prompt_tokens=told["input_tokens"], output_tokens=told["output_tokens"])

    async def _record(self, began: float, usage: Usage, failure: ModelError | None) -> None:
        run_ms = round((monotonic() - began) * 1000)
        await self._usage.record(
            kind=KIND, model=self.name, host=self._host, usage=usage, run_ms=run_ms, failure=failure
        )


def _call(chunk: ToolCallChunk, who: str) -> ToolCall:
    """Return the call with its arguments parsed strictly: the library would complete truncated JSON."""
    try:
        arguments: object = json.loads(chunk["args"] or "{}")
        json.dumps(arguments, ensure_ascii=False).encode()  # half of a surrogate pair can be stored nowhere
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict) or not chunk["name"]:
        msg = f"{who} called a tool without a name, or with arguments that are not a JSON object"
        raise AnswerIncomplete(msg)
    return ToolCall(chunk["name"], cast("JsonObject", arguments), chunk["id"] or "")
