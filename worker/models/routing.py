"""Chooses the models: the only place that turns CHAT_MODEL, EMBEDDING_MODEL and FALLBACK_MODEL into adapters.

A worker uses ``open_models``. If both models are ``builtin``, no Ollama library is imported and no host is asked;
without FALLBACK_MODEL, nothing of OpenAI's is imported. ``fallback.py`` decides which calls go to the fallback.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import structlog
from redis.asyncio import Redis

from producer.contract.distribution import install_hint
from producer.errors import DependencyMissing, SettingsError
from producer.keys import Keys
from producer.text_file import read_text
from worker.gpu.pool import GpuPool
from worker.gpu.scripts import Timing
from worker.models.builtin.models import NAME, BuiltinChat, BuiltinEmbedder
from worker.models.cloud.fallback import CloudShare, FallbackChat
from worker.models.protocols import ChatModel, Embedder, OpenEmbedder
from worker.models.usage import UsageLedger
from worker.settings import WorkerSettings

if TYPE_CHECKING:
    from worker.models.cloud.chat import CloudChat
    from worker.models.ollama.fleet import OllamaFleet
    from worker.models.slot_calls import GpuCalls

log = structlog.get_logger()

_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:-]{0,199}")


@dataclass(frozen=True, slots=True)
class Models:
    """The models of one worker; ``pool`` is None if no model needs a GPU. ``open_embedder`` opens others later."""

    chat: ChatModel
    embedder: Embedder
    open_embedder: OpenEmbedder
    pool: GpuPool | None = None


@asynccontextmanager
async def open_models(
    settings: WorkerSettings, redis: Redis, keys: Keys, *, worker: str = "", timing: Timing | None = None
) -> AsyncGenerator[Models]:
    """Open the models of ``settings``, with a Redis client that the caller closes.

    ``worker`` is this worker's name, unique to the process; ``timing`` overrides the pool's. A model that is not pulled
    or an unreachable Ollama is logged with the command to run, and does not stop the worker: calls fail with
    ``ModelError`` until it is there. Raises ``SettingsError`` for an invalid model name or an incomplete fallback, and
    ``DependencyMissing`` if its extra is not installed.
    """
    for setting, name in (("CHAT_MODEL", settings.chat_model), ("EMBEDDING_MODEL", settings.embedding_model)):
        check_name(setting, name)
    async with AsyncExitStack() as stack:
        opened = OpenedModels(settings, redis, keys, worker=worker, timing=timing)
        stack.push_async_callback(opened.aclose)
        await opened.seek(settings.chat_model, settings.embedding_model)
        chat = await opened.chat(settings.chat_model)
        embedder = await opened.embedder(settings.embedding_model, settings.embedding_dims)
        if settings.fallback_model:
            cloud = _cloud(settings, redis, keys)
            stack.push_async_callback(cloud.close)
            chat = FallbackChat(chat, cloud, CloudShare(redis, keys, settings.fallback_share))
        yield Models(chat, embedder, opened.embedder, opened.pool)


@asynccontextmanager
async def open_embedders(
    settings: WorkerSettings, redis: Redis, keys: Keys, *, worker: str = ""
) -> AsyncGenerator[OpenEmbedder]:
    """Yield a function that opens embedders by name, not only EMBEDDING_MODEL; raises as ``open_models`` does."""
    async with aclosing(OpenedModels(settings, redis, keys, worker=worker)) as opened:
        yield opened.embedder


def _cloud(settings: WorkerSettings, redis: Redis, keys: Keys) -> CloudChat:
    """Return the model of FALLBACK_MODEL."""
    key = fallback_settings(settings)
    try:
        from worker.models.cloud.chat import CloudChat  # noqa: PLC0415  slow, and in an extra
    except ModuleNotFoundError as error:
        msg = f"FALLBACK_MODEL needs the package {error.name!r}: {install_hint('cloud')}; or unset it"
        raise DependencyMissing(msg) from None
    host = urlsplit(settings.fallback_base_url)
    if key and host.scheme == "http" and host.hostname not in {"localhost", "127.0.0.1", "::1"}:
        log.warning("cloud.key_unencrypted", host=host.netloc)
    return CloudChat(settings, UsageLedger(redis, keys, ttl_s=settings.usage_ttl_s), api_key=key)


def fallback_settings(settings: WorkerSettings) -> str:
    """Return the fallback's key, ``''`` if there is none; raises ``SettingsError`` for an incomplete fallback."""
    check_name("FALLBACK_MODEL", settings.fallback_model)
    if not settings.fallback_base_url:
        msg = (
            f"FALLBACK_MODEL is {settings.fallback_model!r}, but FALLBACK_BASE_URL is not set: "
            f"expected the endpoint's address, such as https://api.openai.com/v1"
        )
        raise SettingsError(msg)
    return fallback_key(settings)


def fallback_key(settings: WorkerSettings) -> str:
    """Return the key from FALLBACK_API_KEY or its file; raises ``SettingsError``, which never shows it."""
    key, file = settings.fallback_api_key.get_secret_value(), settings.fallback_api_key_file
    if key and file:
        msg = "FALLBACK_API_KEY and FALLBACK_API_KEY_FILE are both set: expected one of them"
        raise SettingsError(msg)
    if file:
        try:
            key = read_text(file).strip()
        except OSError as error:
            msg = f"FALLBACK_API_KEY_FILE is {file!r}, which cannot be read: {error.strerror}"
            raise SettingsError(msg) from None
        if not key:
            msg = f"FALLBACK_API_KEY_FILE is {file!r}, which is empty: expected the key"
            raise SettingsError(msg)
    if not all("!" <= char <= "~" for char in key):
        msg = "the fallback's key contains a space or a character that is not allowed in headers: expected only the key"
        raise SettingsError(msg)
    return key


def check_name(setting: str, name: str) -> None:
    """Raise ``SettingsError`` for an invalid model name."""
    if not _MODEL.fullmatch(name):
        msg = f"{setting} is {name!r}: expected a model's name such as 'qwen3.5:4b', or {NAME!r}"
        raise SettingsError(msg)


class OpenedModels:
    """The models of one process, opened on demand; Ollama's hosts with the first model that needs them."""

    def __init__(
        self, settings: WorkerSettings, redis: Redis, keys: Keys, *, worker: str = "", timing: Timing | None = None
    ) -> None:
        self._settings = settings
        self._redis = redis
        self._keys = keys
        self._worker = worker
        self._timing = timing
        self._opening = asyncio.Lock()
        self._fleet: OllamaFleet | None = None
        self._calls: GpuCalls | None = None

    @property
    def pool(self) -> GpuPool | None:
        """The pool of the hosts' slots, if there are hosts."""
        return self._fleet.pool if self._fleet else None

    async def seek(self, *names: str) -> None:
        """Look on the hosts for those of ``names`` that need a host."""
        wanted = tuple(name for name in names if name != NAME)
        if wanted:
            await self._hosts(*wanted)

    async def chat(self, name: str) -> ChatModel:
        """Return the chat model of that name."""
        if name == NAME:
            return BuiltinChat()
        fleet, calls = await self._hosts(name)
        from worker.models.ollama.abilities import AbleChat  # noqa: PLC0415  takes most of a second, and 30 MB
        from worker.models.ollama.chat import OllamaChat  # noqa: PLC0415  as above

        await fleet.facts(name)  # known before the first call; concurrent calls would otherwise use a guess
        chat = OllamaChat(name, fleet, calls, self._settings)
        return AbleChat(chat, fleet, thinks=self._settings.chat_think)

    async def embedder(self, name: str, dims: int) -> Embedder:
        """Return the embedder of that name; ``dims`` is the length of its vectors, 0 to ask the host."""
        check_name("EMBEDDING_MODEL", name)
        if name == NAME:
            return BuiltinEmbedder()
        fleet, calls = await self._hosts(name)
        from worker.models.ollama.embed import OllamaEmbedder  # noqa: PLC0415  as above

        settings = replace(self._settings, embedding_dims=dims)
        return OllamaEmbedder(name, fleet, calls, settings, facts=await fleet.facts(name))

    async def aclose(self) -> None:
        """Release all slots and close all connections."""
        if self._fleet is not None:
            await self._fleet.close()

    async def _hosts(self, *names: str) -> tuple[OllamaFleet, GpuCalls]:
        """Return the open hosts, which are searched for ``names``."""
        from worker.models.ollama.fleet import OllamaFleet  # noqa: PLC0415
        from worker.models.slot_calls import GpuCalls  # noqa: PLC0415  as above

        async with self._opening:
            if self._fleet is None or self._calls is None:
                settings = self._settings
                fleet = OllamaFleet(settings, self._redis, self._keys, worker=self._worker, timing=self._timing)
                self._fleet = fleet  # closed even if it cannot be opened
                await fleet.open(names)
                usage = UsageLedger(self._redis, self._keys, ttl_s=settings.usage_ttl_s)
                self._calls = GpuCalls(fleet, usage, wait_s=settings.gpu_wait_s)
            else:
                await self._fleet.seek(names)
            return self._fleet, self._calls
