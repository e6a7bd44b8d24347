"""Makes a worker's model calls in a separate process, to be killed, frozen and measured.

``python -m tests.support.gpu_worker --redis URL --environment E --ollama URL --name w1 --calls 10 --at-once 2`` prints
``ready`` once it listens, begins at the first line of its standard input, and prints a JSON line at every call's end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Any

import structlog
from redis.asyncio import Redis

from producer.errors import ModelError
from producer.keys import Keys
from worker.models.job_context import serving
from worker.models.protocols import Message
from worker.models.routing import Models, open_models
from worker.settings import WorkerSettings
from worker.telemetry import configure_logging

ASK = [Message("user", "What is wrong with this page?")]


def tell(**fields: Any) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


async def make_calls(models: Models, numbers: list[int], *, name: str, lane: str) -> None:
    while numbers:
        number = numbers.pop(0)
        try:
            with serving(f"{name}-{number}", lane):
                reply = await models.chat.chat(ASK)
        except ModelError as error:
            tell(event="failed", number=number, error=type(error).__name__, message=str(error))
        else:
            tell(event="answered", number=number, calls=reply.usage.calls, wait_ms=reply.usage.gpu_wait_ms)


async def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("redis", "environment", "ollama", "name"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--calls", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--lane", default="batch")
    options = parser.parse_args()
    configure_logging(level="warning", form="json")
    structlog.contextvars.bind_contextvars(worker=options.name)
    settings = WorkerSettings(ollama_base_url=options.ollama, embedding_model="builtin")
    async with (
        Redis.from_url(options.redis, protocol=2) as redis,
        open_models(settings, redis, Keys(options.environment), worker=options.name) as models,
    ):
        tell(event="ready")
        await asyncio.to_thread(sys.stdin.readline)
        numbers = list(range(options.calls))
        await asyncio.gather(
            *(make_calls(models, numbers, name=options.name, lane=options.lane) for _ in range(options.at_once))
        )
        tell(event="finished")


if __name__ == "__main__":
    asyncio.run(main())
