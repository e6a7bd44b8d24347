"""The GPU pool as lines for a person: hosts, who holds their slots, who waits and for how long still. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from producer.client.gpu_view import GpuHolder, GpuView, GpuWaiter
from producer.reports.plain_text import one_line

MAX_WAITERS_SHOWN: Final = 20
"""More than a screen is no help; the rest is counted."""


def gpu_lines(view: GpuView) -> Iterator[str]:
    """Yield the view in words; nothing for a pool that nobody has opened."""
    for host in view.hosts:
        slots = f"chat {host.chat_used} of {host.chat}, embed {host.embed_used} of {host.embed} slots in use"
        state = (
            "up"
            if host.is_up
            else f"unhealthy for {_seconds(view.at_ms - host.since_ms)}: {one_line(host.reason, limit=200)}"
        )
        yield f"gpu {one_line(host.name)}: {state}; {slots}"
        for model in host.loaded:
            on_card = f"{_gb(model.vram_bytes)} of {_gb(model.size_bytes)} GB on the card"
            yield f"  loaded   {one_line(model.name)}, {on_card}"
        for name in host.missing:
            yield f"  missing  {one_line(name)}: type there: ollama pull {one_line(name)}"
    yield from call_lines(view)


def call_lines(view: GpuView) -> Iterator[str]:
    """Yield the calls alone: who holds a slot, who waits for one."""
    for holder in view.holders:
        yield (
            f"  holds    {_caller(holder)}: {holder.kind} on {one_line(holder.host)} for {_seconds(holder.held_ms)}"
            f"{'' if holder.confirmed else ', just granted'}"
        )
    for waiter in view.waiters[:MAX_WAITERS_SHOWN]:
        expected = "unknown" if waiter.expected_ms is None else f"about {_seconds(waiter.expected_ms)}"
        yield (
            f"  waits    {_caller(waiter)}: {waiter.kind}, number {waiter.position} ({waiter.priority}), "
            f"for {_seconds(waiter.waited_ms)}; expected wait {expected}"
        )
    if len(view.waiters) > MAX_WAITERS_SHOWN:
        yield f"  waits    {len(view.waiters) - MAX_WAITERS_SHOWN} more"


def _caller(call: GpuHolder | GpuWaiter) -> str:
    worker = one_line(call.worker)
    return f"job {one_line(call.job)} on {worker}" if call.job else worker


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.1f} s"


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f}"
