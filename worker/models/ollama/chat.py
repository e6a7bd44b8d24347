"""Chat on Ollama, by ``/api/chat``; behind ``ChatModel`` of ``protocols.py``.

No answer is believed unchecked: a stream that ends without its last chunk, an answer cut at its limit and a prompt that
the server cut are each a ``ModelError``. The request is put together before a slot is held, since others wait for it.
Who calls when is decided in ``slot_calls.py``; HTTP: ``http.py``; embeddings: ``embed.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from base64 import b64encode
from collections.abc import Sequence
from functools import partial, reduce
from typing import Any, Final, cast

from producer.contract import JsonObject
from producer.errors import AnswerIncomplete, AnswerTruncated
from worker.gpu.hosts import Host
from worker.models.context_budget import check_budget, check_evaluated, fewest_tokens
from worker.models.ollama.errors import model_errors
from worker.models.ollama.fleet import OllamaFleet
from worker.models.protocols import ChatReply, Message, Tool, ToolCall, add_usage
from worker.models.slot_calls import Done, GpuCalls, Spent
from worker.settings import WorkerSettings

PATH: Final = "/api/chat"
_LOADED: Final = "load"
"""Why an answer ends that is none: the model was loaded, and nothing asked of it."""


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
        self._think = settings.chat_think
        self._keep_alive_s = settings.model_keep_alive_s

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonObject | None = None, tools: Sequence[Tool] = ()
    ) -> ChatReply:
        """Return the whole answer.

        Raises ``ContextExceeded`` before the call where the prompt may not fit, and every other ``ModelError``.
        """
        offered = [tool.offer() for tool in tools]
        texts = [*(_whole_text(message) for message in messages), *map(json.dumps, offered)]
        context = (await self._fleet.facts(self.name)).context_of(self._num_ctx)
        images = sum(len(message.images) for message in messages)
        check_budget(texts, model=self.name, context=context, max_output=self._max_output, images=images)
        body = self._body(messages, schema=schema, tools=offered, context=context)
        contents = [message.content for message in messages]
        ask = partial(self._ask, body=json.dumps(body).encode(), texts=contents, context=context)
        done, usage = await self._calls.call("chat", self.name, ask)
        text, calls = done.value
        return ChatReply(text=text, model=self.name, usage=reduce(add_usage, usage), calls=calls)

    def _body(
        self, messages: Sequence[Message], *, schema: JsonObject | None, tools: Sequence[JsonObject], context: int
    ) -> JsonObject:
        """Return the request. Temperature 0: the same findings get the same words."""
        return {
            "model": self.name,
            "messages": [_sent(message) for message in messages],
            "stream": True,
            "think": self._think,
            "keep_alive": self._keep_alive_s,
            "options": {"num_ctx": context, "num_predict": self._max_output, "temperature": 0.0},
            **({"format": schema} if schema is not None else {}),  # a grammar for the answer, no part of the prompt
            **({"tools": list(tools)} if tools else {}),
        }

    async def _ask(
        self, host: Host, spent: Spent, *, body: bytes, texts: Sequence[str], context: int
    ) -> Done[tuple[str, tuple[ToolCall, ...]]]:
        """Ask one host; the time to the first piece of the answer and each silence after it are bounded.

        Its length is ``CHAT_MAX_OUTPUT``'s affair: a slow card's answer is no failure while tokens flow. Ollama counts
        tokens in its last piece alone; of a call that breaks before, ``spent`` has a piece a token, and of the prompt,
        once it was read, no more tokens than it has.
        """
        loop = asyncio.get_running_loop()
        text = ""
        calls: list[ToolCall] = []
        last: dict[str, Any] = {}
        limit = f"{self._timeout_s:g} s, and then with silences of at most {self._stall_s:g} s"
        with model_errors(host.name, self.name, limit=limit):
            async with asyncio.timeout(self._timeout_s) as stall:
                async for piece in self._fleet.clients[host.name].stream(PATH, body):
                    stall.reschedule(loop.time() + self._stall_s)
                    spent.prompt_tokens = spent.prompt_tokens or sum(map(fewest_tokens, texts))
                    spent.output_tokens += 1
                    said: dict[str, Any] = piece.get("message") or {}
                    text += said.get("content") or ""
                    calls += map(_call_in, said.get("tool_calls") or ())
                    if piece.get("done") and (text.strip() or piece.get("done_reason") != _LOADED):
                        last = piece
        if last.get("done_reason"):
            spent.prompt_tokens = int(last.get("prompt_eval_count") or 0)
            spent.output_tokens = int(last.get("eval_count") or 0)
        self._check(host.name, text, calls, last)
        check_evaluated(texts, spent.prompt_tokens, model=self.name, context=context)
        return Done((text, tuple(calls)))

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
            msg = f"{self.name!r} on {host!r} stopped in the middle of its answer after {len(text)} characters"
            raise AnswerIncomplete(msg)
        if not text.strip() and not calls:
            msg = f"{self.name!r} on {host!r} answered nothing (it ended with {reason!r})"
            raise AnswerIncomplete(msg)


def _sent(message: Message) -> JsonObject:
    """Return ``message`` as Ollama has it; it ties a tool's answer to its call by name and order."""
    sent: JsonObject = {"role": message.role, "content": message.content}
    if message.images:
        sent["images"] = [b64encode(image).decode() for image in message.images]
    if message.calls:
        asked = [(call.id, {"name": call.name, "arguments": call.arguments}) for call in message.calls]
        sent["tool_calls"] = [{"id": name, "function": function} for name, function in asked]
    if message.role == "tool":
        sent |= {"tool_name": message.tool, "tool_call_id": message.call_id}
    return sent


def _call_in(asked: dict[str, Any]) -> ToolCall:
    """Return a call that a model asks for; raises for another shape what ``model_errors`` knows."""
    function: dict[str, Any] = asked["function"]
    said: object = function["arguments"]
    arguments: object = json.loads(said) if isinstance(said, str) else said
    if not isinstance(arguments, dict):
        msg = f"arguments {arguments!r} where an object was expected"
        raise ValueError(msg)  # noqa: TRY004  as malformed JSON does
    given = {name: _unpacked(value) for name, value in cast("JsonObject", arguments).items()}
    return ToolCall(str(function["name"]), given, str(asked.get("id") or secrets.token_hex(8)))


def _unpacked(value: Any) -> Any:
    """Return the list or object that small models write as text, or ``value`` itself."""
    if isinstance(value, str) and value[:1] in {"[", "{"}:
        with contextlib.suppress(ValueError):
            return json.loads(value)
    return value


def _whole_text(message: Message) -> str:
    return message.content + "".join(call.name + json.dumps(call.arguments) for call in message.calls)
