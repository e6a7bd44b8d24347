"""A worker whose jobs each make one model call: ``python gpu_program.py REDIS_URL OLLAMA_URL``."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from measure import note_started

from producer.contract import Lane
from producer.keys import Keys
from worker.models.job_context import serving
from worker.models.protocols import Message
from worker.models.routing import open_models
from worker.queue.arq_pool import StreamPool
from worker.queue.worker import StreamWorker, func
from worker.settings import WorkerSettings
from worker.telemetry import configure_logging

ENVIRONMENT = "bench"
QUESTION = [Message("user", "What is wrong with this page?")]


async def _ask(ctx: dict[Any, Any]) -> str:
    with serving(ctx["job_id"], Lane.BATCH):
        reply = await ctx["models"].chat.chat(QUESTION)
    return reply.text


def work(url: str, ollama: str) -> None:
    """Work until a signal comes."""
    opened = AsyncExitStack()
    settings = WorkerSettings(redis_url=url, ollama_base_url=ollama, embedding_model="builtin")

    async def start(ctx: dict[Any, Any]) -> None:
        models = open_models(settings, ctx["redis"], Keys(ENVIRONMENT), worker=worker.name)
        ctx["models"] = await opened.enter_async_context(models)
        await note_started(url)

    async def stop(_: dict[Any, Any]) -> None:
        await opened.aclose()

    configure_logging(level="warning", form="json")
    worker = StreamWorker(
        [func(_ask, name="ask")],
        environment=ENVIRONMENT,
        redis_pool=StreamPool.from_url(url),
        max_jobs=settings.max_jobs,
        on_startup=start,
        on_shutdown=stop,
    )
    worker.run()


if __name__ == "__main__":
    work(*sys.argv[1:])
