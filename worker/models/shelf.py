"""The models that one process holds, opened as they are asked for: the builtin ones, and those on Ollama's hosts.

Nothing of Ollama is imported, and no host asked, before a model needs it. ``routing.py`` says which are asked for.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from redis.asyncio import Redis

from producer.errors import SettingsError
from producer.keys import Keys
from worker.gpu.pool import GpuPool
from worker.gpu.scripts import Timing
from worker.models.builtin.models import NAME, BuiltinChat, BuiltinEmbedder
from worker.models.protocols import ChatModel, Embedder
from worker.models.usage import UsageLedger
from worker.settings import WorkerSettings

if TYPE_CHECKING:
    from worker.models.ollama.fleet import OllamaFleet
    from worker.models.slot_calls import GpuCalls

_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:-]{0,199}")


def check_name(setting: str, name: str) -> None:
    """Raise ``SettingsError`` for a name that can be no model's."""
    if not _MODEL.fullmatch(name):
        msg = f"{setting} is {name!r}: expected a model's name such as 'qwen3.5:4b', or {NAME!r}"
        raise SettingsError(msg)


class Shelf:
    """Opens models as they are asked for, and the hosts with the first that needs one."""

    def __init__(
        self, settings: WorkerSettings, redis: Redis, keys: Keys, *, worker: str = "", timing: Timing | None = None
    ) -> None:
        self._settings = settings
        self._redis = redis
        self._keys = keys
        self._worker = worker
        self._timing = timing
        self._turn = asyncio.Lock()
        self._fleet: OllamaFleet | None = None
        self._calls: GpuCalls | None = None

    @property
    def pool(self) -> GpuPool | None:
        """The pool of the hosts' slots, if there are hosts."""
        return self._fleet.pool if self._fleet else None

    async def look_for(self, *names: str) -> None:
        """Look on the hosts for those of ``names`` that need one."""
        wanted = tuple(name for name in names if name != NAME)
        if wanted:
            await self._hosts(*wanted)

    async def chat(self, name: str) -> ChatModel:
        """Return the chat model of that name."""
        if name == NAME:
            return BuiltinChat()
        fleet, calls = await self._hosts(name)
        from worker.models.ollama import chat_and_embed as ollama  # noqa: PLC0415  most of a second, and 30 MB

        return ollama.OllamaChat(name, fleet, calls, self._settings, facts=await ollama.facts_or_none(fleet, name))

    async def embedder(self, name: str, dims: int) -> Embedder:
        """Return the embedder of that name; ``dims`` is the length of its vectors, 0 where the host is to tell it."""
        check_name("EMBEDDING_MODEL", name)
        if name == NAME:
            return BuiltinEmbedder()
        fleet, calls = await self._hosts(name)
        from worker.models.ollama import chat_and_embed as ollama  # noqa: PLC0415  as above

        settings = replace(self._settings, embedding_dims=dims)
        return ollama.OllamaEmbedder(name, fleet, calls, settings, facts=await ollama.facts_or_none(fleet, name))

    async def close(self) -> None:
        """Give up all slots and connections."""
        if self._fleet is not None:
            await self._fleet.close()

    async def _hosts(self, *names: str) -> tuple[OllamaFleet, GpuCalls]:
        """Return the open hosts, which are looked through for ``names``."""
        from worker.models.ollama.fleet import OllamaFleet  # noqa: PLC0415
        from worker.models.slot_calls import GpuCalls  # noqa: PLC0415  as above

        async with self._turn:
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
