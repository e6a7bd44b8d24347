"""All checks, as a list of named steps. A step that fails becomes a line and does not end the run."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from producer.client.gpu_view import read_gpu
from producer.client.queue_info import WorkerInfo
from producer.client.queue_view import queue_info
from producer.errors import ServiceError
from producer.keys import Keys
from producer.redis.connection import open_redis, redis_errors
from producer.stored.schedules import read_schedules
from worker.doctor.abilities import pace_lines
from worker.doctor.browser import started_browser_lines
from worker.doctor.fallback import fallback_lines
from worker.doctor.fleet import embedding_model, fleet_lines, of_this_machine, seen_from_here
from worker.doctor.index_health import index_lines
from worker.doctor.lane_health import lane_lines, read_lanes
from worker.doctor.lifetimes import lifetime_line, take_sample
from worker.doctor.line import Line, error, warning
from worker.doctor.schedule_health import schedule_lines
from worker.doctor.server import read_facts, server_lines
from worker.doctor.workers_and_models import browser_line, look_at_models, queue_lines
from worker.settings import WorkerSettings


async def examine(settings: WorkerSettings, *, misspelt: Iterable[str] = (), strict: bool = False) -> list[Line]:
    """Return the lines of all subjects; ``misspelt`` are hints about environment variables.

    With ``strict``, no worker alive is an error.
    """
    lines = [warning("settings", hint, "rename it, or ignore this if another program needs it") for hint in misspelt]
    models, dims = await look_at_models(settings)
    of_redis, workers = await _redis_lines(settings, dims=dims, strict=strict)
    lines += of_redis
    browser = await started_browser_lines(settings.browser_path, sandbox=settings.scan_sandbox)
    return [
        *lines,
        *of_this_machine([browser_line(settings.browser_path), *browser], workers),
        *seen_from_here(models, settings, workers),
        *await fallback_lines(settings),
    ]


async def _redis_lines(
    settings: WorkerSettings, *, dims: int, strict: bool
) -> tuple[list[Line], tuple[WorkerInfo, ...]]:
    keys = Keys(settings.environment)
    lines: list[Line] = []
    workers: tuple[WorkerInfo, ...] = ()
    try:
        with redis_errors(settings, None):
            async with open_redis(settings, gives_up=True) as redis:
                lines += server_lines(await read_facts(redis))
                queue = await queue_info(redis, keys)
                workers = queue.workers
                model = embedding_model(workers) or settings.embedding_model
                dims = dims if model == settings.embedding_model else 0
                lines += await index_lines(redis, keys, model=model, dims=dims)
                lines.append(lifetime_line(await take_sample(redis, keys)))
                lines += queue_lines(queue, strict=strict)
                lines += fleet_lines(queue, await read_gpu(redis, keys))
                lines += lane_lines(await read_lanes(redis, keys))
                lines += schedule_lines(await read_schedules(redis, keys))
                lines += await pace_lines(settings, redis, keys, today=datetime.now(UTC).date())
    except ServiceError as failure:
        text, _, todo = str(failure).partition(": ")
        lines.append(error("redis", text, todo))
    return lines, workers
