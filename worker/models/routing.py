"""Which model answers: the one place that turns CHAT_MODEL, EMBEDDING_MODEL and FALLBACK_MODEL into adapters.

``open_models`` is what a worker uses. Nothing of Ollama is imported, and no host asked, where both are ``builtin``;
nothing of OpenAI's where there is no FALLBACK_MODEL. Which calls go to it is decided in ``fallback.py``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import structlog
from redis.asyncio import Redis

from producer.errors import DependencyMissing, SettingsError
from producer.keys import Keys
from worker.gpu.pool import GpuPool
from worker.gpu.scripts import Timing
from worker.models.builtin.models import NAME, BuiltinChat, BuiltinEmbedder
from worker.models.cloud.fallback import FallbackChat
from worker.models.cloud.share import CloudShare
from worker.models.protocols import ChatModel, Embedder, OpenEmbedder
from worker.models.shelf import Shelf, check_name
from worker.models.usage import UsageLedger
from worker.settings import WorkerSettings

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Models:
    """The models of one worker; ``pool`` is None where no model needs a GPU. ``open_embedder`` gives others later."""

    chat: ChatModel
    embedder: Embedder
    open_embedder: OpenEmbedder
    pool: GpuPool | None = None


@asynccontextmanager
async def open_models(
    settings: WorkerSettings, redis: Redis, keys: Keys, *, worker: str = "", timing: Timing | None = None
) -> AsyncGenerator[Models]:
    """Open the models that ``settings`` name, on a Redis client that stays its owner's.

    ``worker`` is this worker's name, unique a process; ``timing`` is the pool's where it is not the usual one. A model
    that is not pulled or an Ollama that is away is logged, with what to type, and ends nothing: calls fail with
    ``ModelError`` until it is there. Raises ``SettingsError`` for a name that cannot be a model's or a fallback that is
    not wholly set, and ``DependencyMissing`` where the extra for it is not installed.
    """
    for setting, name in (("CHAT_MODEL", settings.chat_model), ("EMBEDDING_MODEL", settings.embedding_model)):
        check_name(setting, name)
    async with AsyncExitStack() as stack:
        models = await _local(settings, redis, keys, stack, worker=worker, timing=timing)
        if settings.fallback_model:
            cloud = _cloud(settings, redis, keys, stack)
            share = CloudShare(redis, keys, settings.fallback_share)
            models = replace(models, chat=FallbackChat(models.chat, cloud, share))
        yield models


async def _local(
    settings: WorkerSettings, redis: Redis, keys: Keys, stack: AsyncExitStack, *, worker: str, timing: Timing | None
) -> Models:
    """Return the models of CHAT_MODEL and EMBEDDING_MODEL; ``stack`` closes what they need."""
    shelf = Shelf(settings, redis, keys, worker=worker, timing=timing)
    stack.push_async_callback(shelf.close)
    await shelf.look_for(settings.chat_model, settings.embedding_model)
    chat = await shelf.chat(settings.chat_model)
    embed = await shelf.embedder(settings.embedding_model, settings.embedding_dims)
    return Models(chat, embed, shelf.embedder, shelf.pool)


@asynccontextmanager
async def open_embedders(
    settings: WorkerSettings, redis: Redis, keys: Keys, *, worker: str = ""
) -> AsyncGenerator[OpenEmbedder]:
    """Give what opens embedders by name, whatever EMBEDDING_MODEL is; it raises as ``open_models`` does."""
    shelf = Shelf(settings, redis, keys, worker=worker)
    try:
        yield shelf.embedder
    finally:
        await shelf.close()


def _cloud(settings: WorkerSettings, redis: Redis, keys: Keys, stack: AsyncExitStack) -> ChatModel:
    """Return the model of FALLBACK_MODEL; ``stack`` closes it."""
    key = fallback_settings(settings)
    try:
        from worker.models.cloud.chat import CloudChat  # noqa: PLC0415  a second, and an extra that few install
    except ModuleNotFoundError as error:
        msg = f"FALLBACK_MODEL needs the package {error.name!r}: pip install 'sightline[cloud]', or unset it"
        raise DependencyMissing(msg) from None
    host = urlsplit(settings.fallback_base_url)
    if key and host.scheme == "http" and host.hostname not in {"localhost", "127.0.0.1", "::1"}:
        log.warning("cloud.key_unencrypted", host=host.netloc)
    cloud = CloudChat(settings, UsageLedger(redis, keys, ttl_s=settings.usage_ttl_s), api_key=key)
    stack.push_async_callback(cloud.close)
    return cloud


def fallback_settings(settings: WorkerSettings) -> str:
    """Return the fallback's key, ``''`` for none; raises ``SettingsError`` where the fallback is not wholly set."""
    check_name("FALLBACK_MODEL", settings.fallback_model)
    if not settings.fallback_base_url:
        msg = (
            f"FALLBACK_MODEL is {settings.fallback_model!r}, but FALLBACK_BASE_URL is not set: "
            f"expected the endpoint's address, such as https://api.openai.com/v1"
        )
        raise SettingsError(msg)
    return fallback_key(settings)


def fallback_key(settings: WorkerSettings) -> str:
    """Return the key of FALLBACK_API_KEY or of its file; raises ``SettingsError``, which never shows it."""
    key, file = settings.fallback_api_key.get_secret_value(), settings.fallback_api_key_file
    if key and file:
        msg = "FALLBACK_API_KEY and FALLBACK_API_KEY_FILE are both set: expected one of them"
        raise SettingsError(msg)
    if file:
        try:
            key = Path(file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            msg = f"FALLBACK_API_KEY_FILE is {file!r}, which cannot be read: {type(error).__name__}"
            raise SettingsError(msg) from None
        if not key:
            msg = f"FALLBACK_API_KEY_FILE is {file!r}, which is empty: expected the key"
            raise SettingsError(msg)
    if not all("!" <= char <= "~" for char in key):
        msg = "the fallback's key holds a space or a character that no header can carry: expected the key alone"
        raise SettingsError(msg)
    return key


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


def _needs_server(setting: str, name: str) -> SettingsError:
    msg = f"{setting} is {name!r}, which needs a model server; expected {NAME!r} here: set {setting}={NAME}"
    return SettingsError(msg)
