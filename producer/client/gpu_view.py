"""A read-only view of model slots, waiting calls and model hosts, from the keys in ``ops/gpu.md``.

Used by ``status``, ``top`` and metrics, also on machines without the worker package. Times are Redis ms. An expected
wait is estimated from the time that recent calls held their slots, and is None without data. ``cli/status_text.py``
formats the view.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from redis.asyncio import Redis

from producer.keys import Keys
from producer.redis.scripts import as_text

INTERACTIVE_IN_A_ROW = 4
"""As in ``worker/gpu/lua/_gpu.lua``: while both priorities wait, every fifth grant goes to batch."""
KINDS = ("chat", "embed")
PRIORITIES = ("interactive", "batch")
UPDATE = "update Ollama"
"""Start of the advice in the note on a host whose Ollama is too old for its model."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in a host's memory. ``context`` in tokens, 0 if unknown."""

    name: str
    size_bytes: int
    vram_bytes: int
    context: int


@dataclass(frozen=True, slots=True)
class GpuHost:
    """A model host: its slots, the slots in use, and its health since ``since_ms``."""

    name: str
    chat: int
    embed: int
    chat_used: int
    embed_used: int
    is_up: bool
    reason: str
    since_ms: int
    loaded: tuple[LoadedModel, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def vram_bytes(self) -> int:
        """GPU memory used by loaded models."""
        return sum(model.vram_bytes for model in self.loaded)

    @property
    def is_outdated(self) -> bool:
        """Whether its Ollama is too old for its model."""
        return any(f": {UPDATE}" in note for note in self.notes)


@dataclass(frozen=True, slots=True)
class GpuHolder:
    """A call that holds a slot. ``confirmed`` is False between the grant and its confirmation."""

    token: str
    kind: str
    priority: str
    worker: str
    job: str
    host: str
    held_ms: int
    lease_ms: int
    confirmed: bool


@dataclass(frozen=True, slots=True)
class GpuWaiter:
    """A call that waits; ``position`` 1 is the next of its kind."""

    token: str
    kind: str
    priority: str
    worker: str
    job: str
    waited_ms: int
    position: int
    expected_ms: int | None


@dataclass(frozen=True, slots=True)
class GpuTotals:
    """Monotonic counters over all calls of one kind and priority since the pool was first used.

    They restart at 0 when the pool has been idle for a minute. The utilisation of slots is the increase of ``held_ms``
    divided by the time passed and the number of slots.
    """

    kind: str
    priority: str
    grants: int
    wait_ms: int
    held_ms: int


@dataclass(frozen=True, slots=True)
class GpuView:
    """A consistent snapshot of the whole pool, read in one transaction."""

    at_ms: int
    hosts: tuple[GpuHost, ...] = ()
    holders: tuple[GpuHolder, ...] = ()
    waiters: tuple[GpuWaiter, ...] = ()
    hold_ms: Mapping[str, int] = field(default_factory=dict[str, int])
    totals: tuple[GpuTotals, ...] = ()

    def of_job(self, job: str) -> GpuView:
        """Return the view limited to the calls of ``job``."""
        return replace(
            self,
            holders=tuple(holder for holder in self.holders if holder.job == job),
            waiters=tuple(waiter for waiter in self.waiters if waiter.job == job),
        )


async def read_gpu(redis: Redis, keys: Keys) -> GpuView:
    """Read the view. Raises redis-py's errors."""
    call = cast("Any", redis)
    async with call.pipeline(transaction=True) as pipe:
        pipe.time()
        for name in (keys.gpu_hosts, keys.gpu_loaded, keys.gpu_state, keys.gpu_calls):
            pipe.hgetall(name)
        pipe.zrange(keys.gpu_holders, 0, -1, withscores=True)
        pipe.zrange(keys.gpu_waiters, 0, -1, withscores=True)
        clock, hosts, loaded, state, calls, holders, waiters = await pipe.execute()
    now = int(clock[0]) * 1000 + int(clock[1]) // 1000
    return view_of(
        now,
        hosts=_objects(hosts),
        loaded=_objects(loaded),
        state={as_text(name): int(value) for name, value in state.items()},
        calls=_objects(calls),
        leases={as_text(token): int(end) for token, end in holders if end > now},
        alive=[as_text(token) for token, end in waiters if end > now],
    )


def view_of(
    now_ms: int,
    *,
    hosts: Mapping[str, Any],
    loaded: Mapping[str, Any],
    state: Mapping[str, int],
    calls: Mapping[str, Any],
    leases: Mapping[str, int],
    alive: Sequence[str],
) -> GpuView:
    """Return the view of the keys' contents; ``leases`` and ``alive`` exclude expired entries. Pure."""
    holders = tuple(
        GpuHolder(
            *_about(token, calls[token]),
            host=calls[token]["host"],
            held_ms=max(0, now_ms - int(calls[token]["granted_ms"])),
            lease_ms=end - now_ms,
            confirmed=bool(calls[token]["confirmed"]),
        )
        for token, end in leases.items()
        if calls.get(token, {}).get("host")
    )
    seen = tuple(_host(name, about, loaded.get(name) or {}, calls, leases) for name, about in sorted(hosts.items()))
    hold_ms = {kind: state[f"hold_ms_{kind}"] for kind in KINDS if f"hold_ms_{kind}" in state}
    waiting = {token: calls[token] for token in alive if token in calls and not calls[token].get("host")}
    waiters: list[GpuWaiter] = []
    for kind in KINDS:
        tokens = served_order(
            [token for token in waiting if waiting[token]["kind"] == kind], waiting, state.get(f"turns_{kind}", 0)
        )
        for place, token in enumerate(tokens):
            expected = expected_wait_ms(place, kind, seen, holders, hold_ms)
            waited = max(0, now_ms - int(waiting[token]["asked_ms"]))
            waiters.append(
                GpuWaiter(*_about(token, waiting[token]), waited_ms=waited, position=place + 1, expected_ms=expected)
            )
    return GpuView(now_ms, seen, holders, tuple(waiters), hold_ms, _totals(state))


def served_order(tokens: Sequence[str], calls: Mapping[str, Any], turns: int) -> list[str]:
    """Return ``tokens`` in the order of service without new arrivals, after ``turns`` interactive grants in a row."""
    queues: dict[str, list[str]] = {"interactive": [], "batch": []}
    for token in sorted(tokens, key=lambda token: int(calls[token]["seq"])):
        queues[calls[token]["priority"]].append(token)
    interactive, batch = queues["interactive"], queues["batch"]
    order: list[str] = []
    while interactive and batch:
        is_batch = turns >= INTERACTIVE_IN_A_ROW
        order.append(batch.pop(0) if is_batch else interactive.pop(0))
        turns = 0 if is_batch else turns + 1
    return order + interactive + batch


def expected_wait_ms(
    place: int, kind: str, hosts: Sequence[GpuHost], holders: Sequence[GpuHolder], hold_ms: Mapping[str, int]
) -> int | None:
    """Return the expected wait of a call with ``place`` others ahead; None without data or a healthy host."""
    slots = sum(host.embed or host.chat if kind == "embed" else host.chat for host in hosts if host.is_up)
    hold = hold_ms.get(kind)
    if not slots or hold is None:
        return None
    running = max((holder.held_ms for holder in holders if holder.kind == kind), default=hold)
    return place // slots * hold + max(0, hold - running)


def _about(token: str, call: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    return token, str(call["kind"]), str(call["priority"]), str(call["worker"]), str(call["job"])


def _host(
    name: str, about: Mapping[str, Any], seen: Mapping[str, Any], calls: Mapping[str, Any], leases: Mapping[str, int]
) -> GpuHost:
    used = [calls[token]["slot"] for token in leases if calls.get(token, {}).get("host") == name]
    return GpuHost(
        name=name,
        chat=int(about["chat"]),
        embed=int(about["embed"]),
        chat_used=used.count("chat"),
        embed_used=used.count("embed"),
        is_up=about["state"] == "up",
        reason=str(about["reason"]),
        since_ms=int(about["since_ms"]),
        loaded=tuple(
            LoadedModel(str(m["name"]), int(m["size_bytes"]), int(m["vram_bytes"]), int(m["context"]))
            for m in seen.get("loaded", ())
        ),
        missing=tuple(str(name) for name in seen.get("missing", ())),
        notes=tuple(str(note) for note in seen.get("notes", ())),
    )


def _totals(state: Mapping[str, int]) -> tuple[GpuTotals, ...]:
    return tuple(
        GpuTotals(
            kind, priority, *(state.get(f"{what}_{kind}_{priority}", 0) for what in ("grants", "wait_ms", "held_ms"))
        )
        for kind in KINDS
        for priority in PRIORITIES
    )


def _objects(reply: Mapping[Any, Any]) -> dict[str, Any]:
    return {as_text(name): json.loads(value) for name, value in reply.items()}
