"""Health of workers, dead letters, browser and model hosts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from producer.client.queue_info import QueueInfo
from producer.errors import DependencyMissing, ModelError
from producer.reports.plain_text import counted
from worker.doctor.abilities import ability_lines
from worker.doctor.line import Line, error, ok, warning
from worker.gpu.hosts import Host
from worker.scan.browser import find_browser
from worker.settings import WorkerSettings

BUILTIN: Final = "builtin"


def queue_lines(queue: QueueInfo, *, strict: bool = False) -> list[Line]:
    """Return the lines of workers and dead letters."""
    return [_workers(queue, strict=strict), _dead(queue)]


def _workers(queue: QueueInfo, *, strict: bool) -> Line:
    waiting = sum(lane.queued for lane in queue.lanes.values())
    if queue.workers:
        running = sum(len(worker.jobs) for worker in queue.workers)
        text = f"{counted(len(queue.workers), 'worker')} alive, {running:,} jobs running, {waiting:,} waiting"
        return ok("workers", text)
    if waiting:
        return error("workers", f"none is alive, and {counted(waiting, 'job')} waiting", "start one: sightline worker")
    return (error if strict else warning)("workers", "none is alive", "start one: sightline worker")


def _dead(queue: QueueInfo) -> Line:
    if not queue.dead:
        return ok("dead letters", "none")
    todo = "see why: sightline dead list; then sightline dead replay, or drop"
    return warning("dead letters", counted(queue.dead, "job") + " failed for good", todo)


def browser_line(wanted: str) -> Line:
    """Return the line of the browser; ``wanted`` is BROWSER_PATH."""
    try:
        return ok("browser", str(find_browser(wanted or None)))
    except DependencyMissing as missing:
        text, _, todo = str(missing).partition(": ")
        return error("browser", text, todo)


async def look_at_models(settings: WorkerSettings) -> tuple[list[Line], int]:
    """Query the model hosts, if any model needs one; return lines, and the embedder's dimensions or 0."""
    chosen = {"CHAT_MODEL": settings.chat_model, "EMBEDDING_MODEL": settings.embedding_model}
    told = [_builtin(setting) for setting, name in chosen.items() if name == BUILTIN]
    wanted = {setting: name for setting, name in chosen.items() if name != BUILTIN}
    dims = settings.embedding_dims
    if "EMBEDDING_MODEL" not in wanted:
        from worker.models.builtin.models import DIMS  # noqa: PLC0415  numpy: a tenth of a second

        dims = DIMS
    if not wanted:
        return told, dims
    has, failures = await _ask_hosts(settings.ollama_hosts)
    told += [_host(host, has.get(host.name), failures.get(host.name)) for host in settings.ollama_hosts]
    told += [model_line(setting, name, has) for setting, name in wanted.items()] if has else []
    told += await ability_lines(settings, wanted, has)
    return told, dims


def _builtin(setting: str) -> Line:
    means = {
        "CHAT_MODEL": "assessments and answers come from rules, and say so; no Ollama is needed",
        "EMBEDDING_MODEL": "searches use shared words, not meaning; no Ollama is needed",
    }
    return ok(setting, f"{BUILTIN}: {means[setting]}")


async def _ask_hosts(hosts: tuple[Host, ...]) -> tuple[dict[str, frozenset[str]], dict[str, str]]:
    """Return the models each host has, in lower case, and why the others did not answer."""
    from worker.models.ollama.http import OllamaClient  # noqa: PLC0415  only where Ollama is used

    async def ask(host: Host) -> frozenset[str] | str:
        client = OllamaClient(host)
        try:
            return frozenset(name.lower() for name in await client.names())
        except ModelError as failure:
            return str(failure)
        finally:
            await client.close()

    answers = await asyncio.gather(*(ask(host) for host in hosts))
    by_host = {host.name: answer for host, answer in zip(hosts, answers, strict=True)}
    has = {name: answer for name, answer in by_host.items() if isinstance(answer, frozenset)}
    return has, {name: answer for name, answer in by_host.items() if isinstance(answer, str)}


def _host(host: Host, models: frozenset[str] | None, failure: str | None) -> Line:
    if models is not None:
        return ok("ollama", f"{host.name} answers and has {counted(len(models), 'model')}")
    # Such a message ends in advice, after its last colon.
    text, _, todo = (failure or "").rpartition(": ")
    return error("ollama", text or f"{host.name}: {failure}", todo or "start it: ollama serve")


def model_line(setting: str, name: str, has: Mapping[str, frozenset[str]]) -> Line:
    """Return the line of one model; ``has`` are the models of each host that answers."""
    from worker.models.ollama.http import full_name  # noqa: PLC0415  only where Ollama is used

    lacking = [host for host, models in has.items() if full_name(name).lower() not in models]
    todo = f"run there: ollama pull {name}"
    if len(lacking) == len(has):
        return error(setting, f"{name!r} is on no host that answers", todo)
    if lacking:
        return warning(setting, f"{name!r} is not on {', '.join(lacking)}, which get no such calls", todo)
    return ok(setting, f"{name!r} is available")
