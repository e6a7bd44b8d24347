"""A query graph on the test's keys, scripted chat models, and a history to ask about."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from producer.contract import JsonObject, QueryRequest, QueryResult, ScanResult, Usage, page_id
from producer.keys import Keys
from tests.support.scans import write_scan
from worker.agent.conversation.cached_answers import AnswerStore
from worker.agent.conversation.graph import QueryGraph
from worker.agent.conversation.side_effects import SideEffects
from worker.agent.conversation.tools import Answer, Toolbox
from worker.agent.conversation.user_words import Asker
from worker.agent.state import QueryContext
from worker.limits.conversation_hold import Threads
from worker.memory.cache import AnswerCache
from worker.memory.checkpoints import conversation_saver
from worker.memory.history.history import History
from worker.memory.history.scan_record import search_text
from worker.memory.memories import Memories
from worker.memory.vectors.embeddings import Embeddings
from worker.models.builtin.models import BuiltinChat, BuiltinEmbedder
from worker.models.protocols import ChatModel, ChatReply, Embedder, Message, Tool, ToolCall

DAY_MS = 86_400_000
NOW_MS = 1_764_000_000_000
SHOP = "https://shop.example"

Step = str | ToolCall | Sequence[ToolCall] | Exception | Callable[[Sequence[Message]], Any]


class ScriptedChat:
    """Returns these steps in turn, repeating the last: text, calls, an error, or the result of a function."""

    name = "scripted"

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.asked: list[list[Message]] = []
        self.tools: list[tuple[str, ...]] = []

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonObject | None = None, tools: Sequence[Tool] = ()
    ) -> ChatReply:
        assert schema is None
        self.asked.append(list(messages))
        self.tools.append(tuple(tool.name for tool in tools))
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if callable(step):
            step = step(messages)
        if isinstance(step, Exception):
            raise step
        usage = Usage(calls=1, prompt_tokens=10, output_tokens=2)
        if isinstance(step, str):
            return ChatReply(step, "scripted:1b", usage)
        calls = (step,) if isinstance(step, ToolCall) else tuple(step)
        return ChatReply("", "scripted:1b", usage, calls)

    @property
    def told(self) -> list[str]:
        """Return the tool results that the model was shown last."""
        return [message.content for message in self.asked[-1] if message.role == "tool"]


def call(name: str, **arguments: Any) -> ToolCall:
    return ToolCall(name, arguments)


@dataclass
class Desk:
    """Everything a question needs, on one environment. ``submitted`` lists the scans that were asked for."""

    redis: Redis
    keys: Keys
    history: History
    memories: Memories
    cache: AnswerCache
    embedder: Embedder
    submitted: list[tuple[str, JsonObject]] = field(default_factory=list[tuple[str, JsonObject]])
    submit_fails: Exception | None = None

    async def submit(self, job_id: str, payload: JsonObject) -> None:
        if self.submit_fails is not None:
            raise self.submit_fails
        if job_id not in dict(self.submitted):
            self.submitted.append((job_id, payload))

    async def result_of(self, job_id: str) -> bytes | None:
        return await self.redis.get(self.keys.result(job_id))

    def toolbox(self) -> Toolbox:
        return Toolbox(
            history=self.history,
            effects=SideEffects(self.redis, self.keys, self.memories, self.submit),
            result_of=self.result_of,
        )

    async def graph(self, chat: ChatModel | None = None) -> QueryGraph:
        """Return a graph as another worker would make it: a saver of its own."""
        model = chat or BuiltinChat()
        return QueryGraph(
            chat=model,
            tools=self.toolbox(),
            answers=AnswerStore(self.cache, model=model.name, now_ms=self.history.now_ms),
            threads=Threads(self.redis, self.keys),
            checkpointer=await conversation_saver(self.redis, self.keys, ttl_s=600),
            environment=self.keys.environment,
        )

    async def ask(
        self, chat: ChatModel | None, question: str, *, job: str = "q1", submitted_ms: int = 1, **fields: Any
    ) -> QueryResult:
        graph = await self.graph(chat)
        request = QueryRequest(question=question, **fields)
        return await graph.run(job, request, QueryContext(submitted_ms=submitted_ms))

    async def record(self, result: ScanResult, *, terms: str = "", at_ms: int = 0, seen_ms: int = 0) -> str:
        """Write a scan to the history as finish.lua does, and raise its site's generation."""
        at_ms = at_ms or await self.history.now_ms()
        (embedded,), _ = await Embeddings(self.redis, self.keys, self.embedder).documents([search_text(result)])
        page = page_id(result.url) if result.url else "html-1"
        times = {"at_ms": at_ms, "seen_ms": seen_ms}
        await write_scan(self.redis, self.keys, result, page=page, terms=terms, text=embedded, **times)
        for site in ("", "shop.example"):
            await self.redis.execute_command("HINCRBY", self.keys.site(site), "generation", 1)
        return result.scan_id

    async def memories_kept(self) -> list[str]:
        return [str(item.value["text"]) for item in await self.memories.search((), limit=100)]


async def open_desk(redis: Redis, keys: Keys, embedder: Embedder | None = None) -> Desk:
    embedder = embedder or BuiltinEmbedder()
    history = History(Embeddings(redis, keys, embedder))
    memories = Memories(Embeddings(redis, keys, embedder))
    cache = AnswerCache(Embeddings(redis, keys, embedder))
    for one in (history, memories, cache):
        await one.ensure_index()
    return Desk(redis, keys, history, memories, cache, embedder)


def asker(*words: str, site: str = "") -> Asker:
    return Asker(job_id="q1", messages=words or ("Which page is worst?",), site=site, now_ms=NOW_MS)


async def run(desk: Desk, name: str, *, by: Asker | None = None, **arguments: Any) -> Answer:
    return await desk.toolbox().run(call(name, **arguments), by or asker())


async def told(desk: Desk, name: str, *, by: Asker | None = None, **arguments: Any) -> JsonObject:
    answer = await run(desk, name, by=by, **arguments)
    assert not answer.failed, answer.text
    return json.loads(answer.text)
