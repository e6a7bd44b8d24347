"""The fleet as its workers report it: sandbox, releases, models, clocks, and the model hosts that they checked. Pure.

The calling machine needs none of the workers' settings. Its own view of model hosts may differ from theirs, so those
lines are left out if it has no such setting, and are at most warnings otherwise; so are those of its own browser.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, replace
from typing import Final

from producer.client.gpu_view import UPDATE, GpuHost, GpuView
from producer.client.queue_info import QueueInfo, WorkerInfo
from worker.doctor.line import Level, Line, warning
from worker.settings import WorkerSettings

CLOCK_OFF_S: Final = 60
"""A worker sends a heartbeat every 10 s and is listed for 30 s: a larger difference from Redis's time is not a
delay."""
OF_MODELS: Final = ("chat_model", "embedding_model", "ollama_base_url")


def fleet_lines(queue: QueueInfo, gpu: GpuView) -> list[Line]:
    """Return a warning for each problem of a worker or of its model hosts."""
    return [
        *_sandboxes(queue.workers),
        *_differing(queue.workers, "releases", lambda worker: worker.release or "an earlier one"),
        *_differing(queue.workers, "models", lambda worker: ", ".join(worker.models)),
        *_clocks(queue.workers, gpu.at_ms),
        *(line for host in gpu.hosts for line in _host(host, others=sum(one.is_up for one in gpu.hosts))),
    ]


def seen_from_here(lines: Iterable[Line], settings: WorkerSettings, workers: Sequence[WorkerInfo]) -> list[Line]:
    """Return the caller's own lines about models that add to a fleet's reports."""
    if not any(worker.models for worker in workers):
        return list(lines)
    defaults = {one.name: one.default for one in fields(WorkerSettings)}
    if all(getattr(settings, name) == defaults[name] for name in OF_MODELS):
        return []
    return [
        replace(line, level=Level.WARNING, text=f"seen from here, not by the workers: {line.text}")
        if line.level is Level.ERROR
        else line
        for line in lines
    ]


def of_this_machine(lines: Iterable[Line], workers: Sequence[WorkerInfo]) -> list[Line]:
    """Return the lines of the caller's browser; beside living workers they say so, and none is an error."""
    if not workers:
        return list(lines)
    return [
        replace(
            line,
            level=Level.WARNING if line.level is Level.ERROR else line.level,
            text=f"on this machine, not a worker's: {line.text}",
        )
        for line in lines
    ]


def embedding_model(workers: Iterable[WorkerInfo]) -> str:
    """Return the embedding model that all living workers report; '' if they differ or report none."""
    names = {worker.models[1] for worker in workers if len(worker.models) > 1}
    return names.pop() if len(names) == 1 else ""


def _sandboxes(workers: Iterable[WorkerInfo]) -> Iterator[Line]:
    for worker in workers:
        if worker.sandbox not in {"", "on"}:
            text = f"worker {worker.name} on {worker.host} runs pages without the browser's sandbox: {worker.sandbox}"
            yield warning("sandbox", text, "do not run it as root; in a container use ops/seccomp.json")


def _differing(workers: Sequence[WorkerInfo], what: str, of: Callable[[WorkerInfo], str]) -> Iterator[Line]:
    names: dict[str, list[str]] = {}
    for worker in workers:
        names.setdefault(of(worker), []).append(worker.name)
    if len(names) > 1:
        text = "; ".join(f"{value or 'not reported'}: {', '.join(known[:3])}" for value, known in sorted(names.items()))
        yield warning(what, f"the workers' {what} differ: {text}", "restart the older ones with the others' settings")


def _clocks(workers: Iterable[WorkerInfo], now_ms: int) -> Iterator[Line]:
    for worker in workers:
        off_s = (worker.at_ms - now_ms) / 1000
        if worker.at_ms and abs(off_s) > CLOCK_OFF_S:
            way = "ahead of" if off_s > 0 else "behind"
            text = f"worker {worker.name} on {worker.host} has its clock {abs(off_s):,.0f} s {way} Redis's"
            yield warning("clock", text, "set it by NTP; jobs use Redis's clock, but logs and certificates do not")


def _host(host: GpuHost, *, others: int) -> Iterator[Line]:
    if not host.is_up:
        text = f"model host {host.name} fails its health check: {host.reason}"
        meanwhile = "the other hosts do its work meanwhile" if others else "no other is up: model calls wait or fail"
        yield warning("model host", text, f"start Ollama there; {meanwhile}")
    for name in host.missing:
        yield warning("model host", f"model host {host.name} lacks {name!r}", f"run there: ollama pull {name}")
    for note in host.notes:
        text, is_old, reason = note.rpartition(f": {UPDATE}")
        todo = f"{UPDATE}{reason}"
        if not is_old:
            text, _, todo = note.rpartition(": ")
        text = text.replace(f"{host.name} is ", "Ollama ", 1)
        yield warning(
            "model host", f"model host {host.name}: {text or note}", todo if text else "see docs/questions.md"
        )
