"""Which model answers: the one place that turns CHAT_MODEL and EMBEDDING_MODEL into adapters.

``open_models`` is what a worker uses. Nothing of Ollama is imported, and no host asked, where both are ``builtin``.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from producer.errors import SettingsError
from producer.keys import Keys
from worker.gpu.pool import GpuPool
from worker.gpu.scripts import Timing
from worker.models.builtin import NAME, BuiltinChat, BuiltinEmbedder
from worker.models.protocols import ChatModel, Embedder
from worker.settings import WorkerSettings

_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:-]{0,199}")


@dataclass(frozen=True, slots=True)
class Models:
    """The models of one worker; ``pool`` is None where no model needs a GPU."""

    chat: ChatModel
    embedder: Embedder
    pool: GpuPool | None = None


@asynccontextmanager
async def open_models(
    settings: WorkerSettings, redis: Redis, keys: Keys, *, worker: str = "", timing: Timing | None = None
) -> AsyncGenerator[Models]:
    """Open the models that ``settings`` name, on a Redis client that stays its owner's.

    ``worker`` is this worker's name, unique a process; ``timing`` is the pool's where it is not the usual one. A model
    that is not pulled or an Ollama that is away is logged, with what to type, and ends nothing: calls fail with
    ``ModelError`` until it is there. Raises ``SettingsError`` for a name that cannot be a model's.
    """
    for setting, name in (("CHAT_MODEL", settings.chat_model), ("EMBEDDING_MODEL", settings.embedding_model)):
        _check_name(setting, name)
    wanted = [name for name in (settings.chat_model, settings.embedding_model) if name != NAME]
    if not wanted:
        yield Models(chat_model(NAME), embedder(NAME))
        return
    # Most of a second, and 30 MB: only where Ollama is asked for.
    from worker.models import ollama  # noqa: PLC0415
    from worker.models.gpu_calls import GpuCalls  # noqa: PLC0415
    from worker.models.ollama_fleet import OllamaFleet  # noqa: PLC0415
    from worker.models.usage import UsageLedger  # noqa: PLC0415

    fleet = OllamaFleet(settings, redis, keys, worker=worker, timing=timing)
    calls = GpuCalls(fleet, UsageLedger(redis, keys), wait_s=settings.gpu_wait_s)
    try:
        await fleet.open(wanted)
        facts = {name: await ollama.facts_or_none(fleet, name) for name in wanted}
        chat, embed = settings.chat_model, settings.embedding_model
        yield Models(
            chat_model(NAME) if chat == NAME else ollama.OllamaChat(chat, fleet, calls, settings, facts=facts[chat]),
            embedder(NAME)
            if embed == NAME
            else ollama.OllamaEmbedder(embed, fleet, calls, settings, facts=facts[embed]),
            fleet.pool,
        )
    finally:
        await fleet.close()


def chat_model(name: str) -> ChatModel:
    """Return the chat model of that name that needs no server; raise ``SettingsError`` for any other."""
    if name == NAME:
        return BuiltinChat()
    raise _needs_server("CHAT_MODEL", name)


def embedder(name: str) -> Embedder:
    """Return the embedder of that name that needs no server; raise ``SettingsError`` for any other."""
    if name == NAME:
        return BuiltinEmbedder()
    raise _needs_server("EMBEDDING_MODEL", name)


def _check_name(setting: str, name: str) -> None:
    if not _MODEL.fullmatch(name):
        msg = f"{setting} is {name!r}: expected a model's name such as 'qwen3.5:4b', or {NAME!r}"
        raise SettingsError(msg)


def _needs_server(setting: str, name: str) -> SettingsError:
    msg = f"{setting} is {name!r}, which needs a model server; expected {NAME!r} here: set {setting}={NAME}"
    return SettingsError(msg)
