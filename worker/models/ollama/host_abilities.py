"""Compares the abilities of a host's Ollama and its models with the needs of the settings. Pure.

``doctor`` prints it; a worker logs missing abilities when it starts, and reports them for ``status`` with each check.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from producer.client.gpu_view import UPDATE, LoadedModel
from producer.reports.plain_text import counted
from worker.models.ollama.http import ModelFacts, full_name
from worker.settings import WorkerSettings

CHAT, EMBED = "CHAT_MODEL", "EMBEDDING_MODEL"
_NEEDED: Final = {CHAT: "completion", EMBED: "embedding"}
SCHEMA_FROM: Final = (0, 31, 2)
"""The first version that keeps the schema for models that can think."""
_SCHEMA_LOST: Final = (0, 17, 0)
_GB: Final = 1e9


@dataclass(frozen=True, slots=True)
class HostAbilities:
    """One host: its ``version``, the loaded models, and the facts of its models, by setting.

    ``take_turns``: its models were observed to displace each other from its memory.
    """

    host: str
    version: str
    loaded: tuple[LoadedModel, ...]
    models: Mapping[str, tuple[str, ModelFacts]]
    take_turns: bool = False


@dataclass(frozen=True, slots=True)
class Ability:
    """A check's result for ``subject``: ``todo`` says what is missing, ``is_unfit`` that it cannot work."""

    subject: str
    text: str
    todo: str = ""
    is_unfit: bool = False


def drops_schema(version: str, *, can_think: bool, thinks: bool) -> bool:
    """Return whether a server drops the schema of an answer; a build from source (``version`` 0.0.0) counts as new."""
    number = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    return can_think and not thinks and _SCHEMA_LOST <= number < SCHEMA_FROM


def lacking(host: HostAbilities, settings: WorkerSettings) -> tuple[str, ...]:
    """Return a sentence for each ability that the host or its models lack, with what to do."""
    return tuple(f"{one.text}: {one.todo}" for one in abilities_of(host, settings) if one.todo)


def abilities_of(host: HostAbilities, settings: WorkerSettings) -> Iterator[Ability]:
    """Yield the results for one host. Pure."""
    yield _version_line(host, settings)
    for setting, (name, facts) in host.models.items():
        yield _model_line(host.host, setting, name, facts, settings)
    if len(host.models) > 1:
        yield _memory_line(host)


def _version_line(host: HostAbilities, settings: WorkerSettings) -> Ability:
    subject, first = "ollama version", ".".join(map(str, SCHEMA_FROM))
    _, facts = host.models.get(CHAT, ("", None))
    can_think = facts is not None and "thinking" in facts.capabilities
    if drops_schema(host.version, can_think=can_think, thinks=settings.chat_think):
        text = f"{host.host} is {host.version}, which drops the schema of answers: prompts contain it instead"
        return Ability(subject, text, f"{UPDATE} to {first} or later: fewer answers will need repair")
    return Ability(subject, f"{host.host} is {host.version or 'of an unknown version'}")


def _model_line(host: str, setting: str, name: str, facts: ModelFacts, settings: WorkerSettings) -> Ability:
    subject = "chat abilities" if setting == CHAT else "embed abilities"
    able, needed = facts.capabilities, _NEEDED[setting]
    if able and needed not in able:
        text = f"{name!r} on {host} supports {', '.join(sorted(able))}, not {needed}"
        return Ability(subject, text, f"name another model in {setting}", is_unfit=True)
    if setting == CHAT and able and "tools" not in able:
        text = f"{name!r} on {host} does not support tools: fixed rules choose its look-ups, and answers say so"
        return Ability(subject, text, "for better answers, name a model with tools in CHAT_MODEL")
    if setting == CHAT and settings.pictures_judged and "vision" not in able:
        text = f"{name!r} on {host} does not support vision: text alternatives are judged without the images"
        return Ability(subject, text, "name a model with vision in CHAT_MODEL, or set PICTURES_JUDGED=0")
    asked = settings.chat_num_ctx if setting == CHAT else settings.embed_num_ctx
    name_of = "CHAT_NUM_CTX" if setting == CHAT else "EMBED_NUM_CTX"
    what = ", ".join(sorted(able)) or "abilities unknown"
    if facts.context and facts.context < asked:
        text = f"{name!r} on {host} ({what}) has a context of {facts.context:,}, less than {name_of} ({asked:,})"
        return Ability(subject, text, "longer prompts are shortened: use another model, or lower the setting")
    context = f"{asked:,} of {facts.context:,} tokens" if facts.context else f"{asked:,} tokens"
    return Ability(subject, f"{name!r} on {host}: {what}; context {context}")


def _memory_line(host: HostAbilities) -> Ability:
    subject, names = "models' memory", [full_name(name).lower() for name, _ in host.models.values()]
    loaded = [one for one in host.loaded if one.name.lower() in names]
    on_card = sum(one.vram_bytes for one in loaded) / _GB
    size = sum(one.size_bytes for one in loaded) / _GB
    if host.take_turns:
        text = f"the models on {host.host} displace each other from its memory: each switch reloads one"
        return Ability(subject, text, "use a smaller model, or lower CHAT_NUM_CTX")
    if len(loaded) < len(names):
        text = (
            f"{len(loaded)} of {counted(len(names), 'model')} loaded on {host.host}: it is not yet known whether "
            f"both fit"
        )
        return Ability(subject, text)
    if not on_card:
        return Ability(subject, f"both models are loaded on {host.host}, without a GPU", "see ops/gpu.md for one")
    if on_card < size:
        text = (
            f"both models are loaded on {host.host}, only {on_card:.1f} of {size:.1f} GB on the card: the rest is slow"
        )
        return Ability(subject, text, "use a smaller model, or lower CHAT_NUM_CTX")
    return Ability(subject, f"both models fit on the card of {host.host}: {size:.1f} GB")
