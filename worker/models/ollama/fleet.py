"""The Ollama hosts of one worker, and which of them have which model. Calls are made in ``slot_calls.py``.

An unreachable Ollama or a missing model does not stop the worker: it is logged with the command to run, looked for
again, and calls fail meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from time import monotonic
from typing import Final

import structlog
from redis.asyncio import Redis

from producer.client.gpu_view import LoadedModel
from producer.errors import ModelError
from producer.keys import Keys
from producer.redis.raw_connection import end
from worker.gpu.health import HostReport
from worker.gpu.hosts import Host
from worker.gpu.pool import GpuPool
from worker.gpu.scripts import Timing
from worker.models.ollama.errors import missing
from worker.models.ollama.host_abilities import CHAT, EMBED, HostAbilities, lacking
from worker.models.ollama.http import ModelFacts, OllamaClient, full_name
from worker.models.ollama.turnover import Turnover
from worker.settings import WorkerSettings
from worker.telemetry import in_background

LOOK_AGAIN_S: Final = 30.0
"""Seconds between looks for a model that was missing or could not be looked for."""
FACTS_S: Final = 60.0
"""Seconds until a model's facts are requested again: a host that comes back may have another model of that name."""
UNKNOWN_S: Final = 5.0
"""The same if no host answered."""

log = structlog.get_logger()


class OllamaFleet:
    """The hosts in OLLAMA_BASE_URL, with the pool of their slots. Open before use, close after."""

    def __init__(
        self,
        settings: WorkerSettings,
        redis: Redis,
        keys: Keys,
        *,
        worker: str = "",
        timing: Timing | None = None,
    ) -> None:
        self._settings = settings
        self.hosts = settings.ollama_hosts
        self.pool = GpuPool(redis, keys, self.hosts, worker=worker, probe=self._check, timing=timing)
        self.clients = {host.name: OllamaClient(host) for host in self.hosts}
        self._models: tuple[str, ...] = ()
        self._lacking: set[tuple[str, str]] = set()
        self._unknown: set[str] = set()
        self._noted: frozenset[str] = frozenset()
        self._turnover = {host.name: Turnover() for host in self.hosts}
        self._looking: asyncio.Task[None] | None = None
        self._facts: dict[str, ModelFacts] = {}
        self._facts_due: dict[str, float] = {}
        self._facts_unknown: set[str] = set()

    async def open(self, models: Iterable[str] = ()) -> None:
        """Register the hosts and look for ``models``; missing ones are logged with a command, and looked for again.

        Raises redis-py's errors, but none because of Ollama.
        """
        self._models = tuple(models)
        await self.pool.open()
        await self.look()
        self._looking = in_background(self._keep_looking, name="ollama-look")

    async def seek(self, models: Iterable[str]) -> None:
        """From now on, look for ``models`` too."""
        new = tuple(model for model in models if model not in self._models)
        if new:
            self._models += new
            await self.look()

    async def close(self) -> None:
        """Release all slots and connections. Safe to call twice."""
        if self._looking is not None:
            await end(self._looking)
            self._looking = None
        await self.pool.close()
        await asyncio.gather(*(client.close() for client in self.clients.values()))

    # ------------------------------------------------------------------------------------------ models by host

    async def look(self) -> None:
        """Look on every host for the models, and log what changed. A host that does not answer counts as having all."""
        await asyncio.gather(*(self._look_on(host) for host in self.hosts))

    def hosts_with(self, model: str) -> tuple[Host, ...]:
        """Return the hosts that may have ``model``; raises ``ModelMissing`` if none has."""
        hosts = tuple(host for host in self.hosts if (host.name, model) not in self._lacking)
        if not hosts:
            raise missing(self.hosts[0].name, model)
        return hosts

    async def facts(self, model: str) -> ModelFacts:
        """Return the facts about ``model``: requested from time to time, and after a failed call.

        They come from the first host that answers; if none does, they are the last known ones.
        """
        if monotonic() >= self._facts_due.get(model, 0.0):
            self._facts_due[model] = monotonic() + UNKNOWN_S  # other calls use the known facts meanwhile
            found = await self._ask_facts(model)
            if found is not None:
                self._facts_due[model] = monotonic() + FACTS_S
                self._facts[model] = found
                self._facts_unknown.discard(model)
        return self._facts.get(model, ModelFacts())

    def doubt_facts(self) -> None:
        """Request the facts of all models before the next call: a host may have come back with others."""
        self._facts_due.clear()

    async def _ask_facts(self, model: str) -> ModelFacts | None:
        failure: ModelError | None = None
        for host in self.hosts:
            if (host.name, model) not in self._lacking:
                try:
                    return await self.clients[host.name].facts(model)
                except ModelError as error:
                    failure = error
        if model not in self._facts_unknown:
            self._facts_unknown.add(model)
            error = failure or missing(self.hosts[0].name, model)
            log.warning("model.facts_unknown", model=model, error=str(error))
        return None

    def note_missing(self, host: str, model: str) -> None:
        """Note that ``host`` does not have ``model``; the host is not asked until a look finds it there."""
        if (host, model) not in self._lacking:
            self._lacking.add((host, model))
            log.warning("model.missing", host=host, model=model, type=f"ollama pull {model}")

    async def _look_on(self, host: Host) -> None:
        try:
            names = {name.lower() for name in await self.clients[host.name].names()}
        except ModelError as error:
            if host.name not in self._unknown:
                log.warning("model.host_unreachable", host=host.name, error=str(error))
            self._unknown.add(host.name)
            return
        self._unknown.discard(host.name)
        for model in self._models:
            place = (host.name, model)
            if full_name(model).lower() in names:
                if place in self._lacking:
                    log.info("model.found", host=host.name, model=model)
                self._lacking.discard(place)
            else:
                self.note_missing(host.name, model)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AGAIN_S)
            if self._lacking or self._unknown:
                await self.look()

    async def _check(self, host: Host) -> HostReport:
        try:
            version, loaded = await self.clients[host.name].check()
        except ModelError:
            self.doubt_facts()
            raise
        missing_here = tuple(model for model in self._models if (host.name, model) in self._lacking)
        return HostReport(loaded, missing_here, await self._notes(host, version, loaded, missing_here))

    async def _notes(
        self, host: Host, version: str, loaded: tuple[LoadedModel, ...], missing_here: tuple[str, ...]
    ) -> tuple[str, ...]:
        """Return the abilities that the settings need and the host or its models lack; new ones are logged."""
        wanted = {CHAT: self._settings.chat_model, EMBED: self._settings.embedding_model}
        there = {setting: name for setting, name in wanted.items() if name in self._models and name not in missing_here}
        models = {setting: (name, await self.facts(name)) for setting, name in there.items()}
        ours = {full_name(name).lower() for name in there.values()}
        take_turns = self._turnover[host.name].is_seen({one.name.lower() for one in loaded} & ours, now=monotonic())
        take_turns = take_turns and self._settings.model_keep_alive_s != 0  # 0 unloads each after its call
        abilities = HostAbilities(host.name, version, loaded, models, take_turns)
        notes = lacking(abilities, self._settings)
        for note in notes:
            if note not in self._noted:
                log.warning("model.lacking", host=host.name, what=note)
        self._noted |= frozenset(notes)
        return notes
