"""A scan graph on the test's keys, with scripted pages and models."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from itertools import chain
from typing import Any, cast

from redis.asyncio import Redis

from producer.contract import JsonObject, ScanResult
from producer.errors import ModelError
from producer.keys import Keys
from tests.support.committing import started
from tests.support.queue import open_stream
from tests.support.scans import finding, scan_result
from worker.agent.assessment.graph import ScanGraph
from worker.agent.handlers import ScanJobs
from worker.agent.job_secrets import LoadSecrets
from worker.memory.audits import Audits
from worker.memory.checkpoints import ConversationSaver
from worker.memory.history.history import History
from worker.models.builtin.models import BuiltinChat, BuiltinEmbedder
from worker.models.protocols import ChatModel, ChatReply, EmbedReply, Message, Tool
from worker.queue.barrier_writes import NewsWrite, PageWrite, TallyWrite, WindowWrite
from worker.queue.outcome import (
    Commit,
    CounterWrite,
    EntryWrite,
    EventWrite,
    ExpiryWrite,
    FieldNeeded,
    HashWrite,
    JobWrite,
    PublishWrite,
    ReplaceWrite,
    Write,
)
from worker.scan.settings import Engine, Secrets

HOME = "https://shop.example/home"
BARRIERS = scan_result(finding("image-alt", "a", "b"), finding("label", "c"))


async def no_secrets(job_id: str) -> Secrets | None:
    del job_id
    return None


def jobs(keys: Keys, scans: ScanGraph, load_secrets: LoadSecrets = no_secrets) -> ScanJobs:
    return ScanJobs(scans, keys, load_secrets, shot_ttl_s=604_800)


def graph(
    engine: Engine,
    history: History,
    keys: Keys,
    *,
    chat: ChatModel | None = None,
    assesses: bool = True,
) -> ScanGraph:
    """A graph that assesses at once, or queues the assessment."""
    return ScanGraph(
        engine=engine,
        chat=chat or BuiltinChat() if assesses else None,
        history=history,
        audits=Audits(history.vectors.redis, keys),
    )


async def run(keys: Keys, scans: ScanGraph, job_id: str, **payload: Any) -> tuple[ScanResult, Commit]:
    commit = await jobs(keys, scans).run({"job_id": job_id}, {"url": HOME, **payload})
    assert isinstance(commit.result, ScanResult)
    return commit.result, commit


async def apply(redis: Redis, commit: Commit) -> None:
    """Write what finish.lua would; what counts component barriers it does itself."""
    counted: list[Write] = []
    for write in commit.writes:
        match write:
            case HashWrite(key, fields, _, counter):
                await redis.execute_command("HSET", key, *chain.from_iterable(fields.items()))
                await _increase(redis, key, {counter: 1} if counter else {})
            case CounterWrite(key, sums):
                await _increase(redis, key, sums)
            case ExpiryWrite(key, ttl_s):
                await redis.expire(key, ttl_s)
            case EventWrite(key, line):
                await redis.xadd(key, {"event": line})
            case PublishWrite(key, line):
                await redis.publish(key, line)
            case PageWrite() | TallyWrite() | NewsWrite() | WindowWrite():
                counted.append(write)
            case EntryWrite() | JobWrite() | ReplaceWrite() | FieldNeeded():
                raise AssertionError
    if counted:
        keys = Keys(commit.writes[0].key.split(":")[1])
        async with open_stream(redis, keys) as stream:
            delivery = await started(redis, keys, "counted")
            assert await stream.finish(delivery, commit=Commit(commit.result, tuple(counted))) == "committed"


async def _increase(redis: Redis, key: str, sums: Mapping[str, int]) -> None:
    for field, by in sums.items():
        await redis.execute_command("HINCRBY", key, field, by)


async def hash_of(redis: Redis, key: str) -> dict[str, str]:
    fields: dict[bytes, bytes] = await cast("Awaitable[Any]", redis.hgetall(key))
    return {name.decode(): value.decode("utf-8", "replace") for name, value in fields.items()}


class StoppedModel(BuiltinChat):
    """A model that signals a call and never answers."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonObject | None = None, tools: Sequence[Tool] = ()
    ) -> ChatReply:
        del messages, schema, tools
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError


class FailingEmbedder(BuiltinEmbedder):
    async def embed_documents(self, texts: Sequence[str]) -> EmbedReply:
        msg = f"nothing answers at the model server, asked for {len(texts)}"
        raise ModelError(msg)


class Killed(Exception):
    """Ends a run at the point of a kill."""


def kill_before_step(saver: ConversationSaver, step: int) -> None:
    """Let ``saver`` keep what the nodes return, and their steps up to that of number ``step``; -1 is the input."""
    aput = saver.aput

    async def put(*args: Any) -> Any:
        if args[2]["step"] == step:
            raise Killed
        return await aput(*args)

    saver.aput = put  # type: ignore[method-assign]
