"""What Ollama's hosts and the models on them can do, against what is asked of them, and how long a page takes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final, cast

from redis.asyncio import Redis

from producer.client.gpu_view import LoadedModel
from producer.errors import ModelError
from producer.keys import Keys
from producer.reports.plain_text import counted
from worker.doctor.line import Line, error, ok, warning
from worker.gpu.hosts import Host
from worker.settings import WorkerSettings

if TYPE_CHECKING:
    from worker.models.ollama.http import ModelFacts

CHAT, EMBED = "CHAT_MODEL", "EMBEDDING_MODEL"
DAYS: Final = 7
_NEEDED: Final = {CHAT: "completion", EMBED: "embedding"}
_GB: Final = 1e9


@dataclass(frozen=True, slots=True)
class HostAbilities:
    """One host: its ``version``, what is loaded, and the facts of the models it has, by setting."""

    host: str
    version: str
    loaded: tuple[LoadedModel, ...]
    models: Mapping[str, tuple[str, ModelFacts]]


async def ability_lines(
    settings: WorkerSettings, wanted: Mapping[str, str], has: Mapping[str, frozenset[str]]
) -> list[Line]:
    """Return the lines of the hosts that answer; ``wanted`` are models by setting, ``has`` those of each host."""
    hosts = [host for host in settings.ollama_hosts if host.name in has]
    found = await asyncio.gather(*(_ask(host, wanted, has[host.name]) for host in hosts))
    return [line for one in found if one is not None for line in host_lines(one, settings)]


async def _ask(host: Host, wanted: Mapping[str, str], has: frozenset[str]) -> HostAbilities | None:
    """Return what one host says; None where it stops answering."""
    from worker.models.ollama.http import OllamaClient, full_name  # noqa: PLC0415  only where Ollama is used

    client = OllamaClient(host)
    try:
        version, loaded = await asyncio.gather(client.version(), client.check())
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
    """Yield what one host's abilities mean. Pure."""
    yield _version_line(host, settings)
    for setting, (name, facts) in host.models.items():
        yield _model_line(host.host, setting, name, facts, settings)
    if len(host.models) > 1:
        yield _memory_line(host)


def _version_line(host: HostAbilities, settings: WorkerSettings) -> Line:
    from worker.models.ollama.abilities import SCHEMA_FROM, drops_schema  # noqa: PLC0415  as above

    subject, first = "ollama version", ".".join(map(str, SCHEMA_FROM))
    _, facts = host.models.get(CHAT, ("", None))
    can_think = facts is not None and "thinking" in facts.capabilities
    if drops_schema(host.version, can_think=can_think, thinks=settings.chat_think):
        text = f"{host.host} is {host.version}, which drops the schema of answers: prompts say it instead"
        return warning(subject, text, f"update Ollama to {first} or later: fewer answers will have to be repaired")
    return ok(subject, f"{host.host} is {host.version or 'of a version that it does not say'}")


def _model_line(host: str, setting: str, name: str, facts: ModelFacts, settings: WorkerSettings) -> Line:
    subject = "chat abilities" if setting == CHAT else "embed abilities"
    able, needed = facts.capabilities, _NEEDED[setting]
    if able and needed not in able:
        text = f"{name!r} on {host} is made for {', '.join(sorted(able))}, not for {needed}"
        return error(subject, text, f"name another model in {setting}")
    if setting == CHAT and able and "tools" not in able:
        text = f"{name!r} on {host} has no tools: look-ups for questions are made for it by rule, and answers say so"
        return warning(subject, text, "for better answers name a model with tools in CHAT_MODEL")
    asked = settings.chat_num_ctx if setting == CHAT else settings.embed_num_ctx
    name_of = "CHAT_NUM_CTX" if setting == CHAT else "EMBED_NUM_CTX"
    what = ", ".join(sorted(able)) or "it does not say what"
    if facts.context and facts.context < asked:
        text = f"{name!r} on {host} ({what}) reads {facts.context:,} tokens, fewer than {name_of} ({asked:,})"
        return warning(subject, text, "longer prompts are shortened: name a model with more, or lower the setting")
    context = f"{asked:,} of {facts.context:,} tokens" if facts.context else f"{asked:,} tokens"
    return ok(subject, f"{name!r} on {host}: {what}; context {context}")


def _memory_line(host: HostAbilities) -> Line:
    from worker.models.ollama.http import full_name  # noqa: PLC0415  as above

    subject, names = "models' memory", [full_name(name).lower() for name, _ in host.models.values()]
    loaded = [one for one in host.loaded if one.name.lower() in names]
    on_card = sum(one.vram_bytes for one in loaded) / _GB
    size = sum(one.size_bytes for one in loaded) / _GB
    if len(loaded) < len(names):
        text = (
            f"{len(loaded)} of {counted(len(names), 'model')} loaded on {host.host}: whether both fit is not known yet"
        )
        return ok(subject, text)
    if not on_card:
        return warning(subject, f"both models are loaded on {host.host}, without a GPU", "see ops/gpu.md for one")
    if on_card < size:
        text = (
            f"both models are loaded on {host.host}, only {on_card:.1f} of {size:.1f} GB on the card: the rest is slow"
        )
        return warning(subject, text, "use a smaller model, or lower CHAT_NUM_CTX")
    return ok(subject, f"both models fit the card of {host.host}: {size:.1f} GB")


async def pace_lines(settings: WorkerSettings, redis: Redis, keys: Keys, *, today: date) -> list[Line]:
    """Return how long the chat model took lately; nothing where it was not called."""
    model, calls, gpu_ms = settings.chat_model, 0, 0
    for number in range(DAYS):
        day = keys.usage((today - timedelta(days=number)).isoformat())
        fields = [f"chat:{what}:{model}" for what in ("calls", "gpu_ms")]
        found = cast("list[bytes | None]", await redis.hmget(day, fields))  # type: ignore[misc]  # redis-py's own
        calls, gpu_ms = calls + int(found[0] or 0), gpu_ms + int(found[1] or 0)
    if not calls or not gpu_ms:
        return []
    a_call = gpu_ms / calls / 1000
    most = 1 + settings.review_areas + (1 if settings.names_judged else 0)
    text = (
        f"{model!r} took {a_call:.1f} s a call ({counted(calls, 'call')} in {DAYS} days): up to {a_call * most:.0f} s"
    )
    return [ok("seconds a page", f"{text} for a page that takes {counted(most, 'call')}; known barriers take none")]
