"""Abilities of Ollama's hosts and models compared with the requirements, and the time per page."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final, cast

from redis.asyncio import Redis

from producer.errors import ModelError
from producer.keys import Keys
from producer.reports.plain_text import counted
from worker.doctor.line import Level, Line, ok
from worker.gpu.hosts import Host
from worker.settings import WorkerSettings

if TYPE_CHECKING:
    from worker.models.ollama.host_abilities import HostAbilities

DAYS: Final = 7


async def ability_lines(
    settings: WorkerSettings, wanted: Mapping[str, str], has: Mapping[str, frozenset[str]]
) -> list[Line]:
    """Return the lines of the hosts that answer; ``wanted`` are models by setting, ``has`` those of each host."""
    hosts = [host for host in settings.ollama_hosts if host.name in has]
    found = await asyncio.gather(*(_ask(host, wanted, has[host.name]) for host in hosts))
    return [line for one in found if one is not None for line in host_lines(one, settings)]


async def _ask(host: Host, wanted: Mapping[str, str], has: frozenset[str]) -> HostAbilities | None:
    """Return one host's facts; None if it stops answering."""
    from worker.models.ollama.host_abilities import HostAbilities  # noqa: PLC0415  only where Ollama is used
    from worker.models.ollama.http import OllamaClient, full_name  # noqa: PLC0415  as above

    client = OllamaClient(host)
    try:
        version, loaded = await client.check()
        models = {
            setting: (name, await client.facts(name))
            for setting, name in wanted.items()
            if full_name(name).lower() in has
        }
    except ModelError:
        return None
    finally:
        await client.close()
    return HostAbilities(host.name, version, loaded, models)


def host_lines(host: HostAbilities, settings: WorkerSettings) -> Iterator[Line]:
    """Yield the lines about one host's abilities. Pure."""
    from worker.models.ollama.host_abilities import abilities_of  # noqa: PLC0415  only where Ollama is used

    for one in abilities_of(host, settings):
        level = Level.ERROR if one.is_unfit else Level.WARNING if one.todo else Level.OK
        yield Line(level, one.subject, one.text, one.todo)


async def pace_lines(settings: WorkerSettings, redis: Redis, keys: Keys, *, today: date) -> list[Line]:
    """Return a line about the chat model's recent call times, if there were calls."""
    model, calls, gpu_ms = settings.chat_model, 0, 0
    for number in range(DAYS):
        day = keys.usage((today - timedelta(days=number)).isoformat())
        fields = [f"chat:{what}:{model}" for what in ("calls", "gpu_ms")]
        found = cast("list[bytes | None]", await redis.hmget(day, fields))  # type: ignore[misc]  # redis-py's own
        calls, gpu_ms = calls + int(found[0] or 0), gpu_ms + int(found[1] or 0)
    if not calls or not gpu_ms:
        return []
    a_call = gpu_ms / calls / 1000
    most = 1 + settings.review_areas + (1 if settings.names_judged else 0) + (1 if settings.pictures_judged else 0)
    text = (
        f"{model!r} took {a_call:.1f} s per call ({counted(calls, 'call')} in {DAYS} days): up to {a_call * most:.0f} s"
    )
    return [ok("seconds per page", f"{text} for a page that needs {counted(most, 'call')}; known barriers need none")]
