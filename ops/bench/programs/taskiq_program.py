"""Runs taskiq on Redis streams in a separate environment, with its defaults except for concurrency and tries."""
# pyright: reportMissingImports=false, reportUntypedFunctionDecorator=false
# taskiq is not among the project's dependencies.

from __future__ import annotations

import os
import sys
from typing import Any

from measure import AT_ONCE, hold, main, note_mark, note_started, one_by_one, take_nap
from taskiq import SimpleRetryMiddleware, TaskiqEvents
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

URL = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1")
broker = (
    RedisStreamBroker(URL)
    .with_result_backend(RedisAsyncResultBackend(URL))
    .with_middlewares(SimpleRetryMiddleware(default_retry_count=3))
)


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def _started(_: Any) -> None:
    await note_started(URL)


@broker.task(task_name="noop", retry_on_error=True)
async def _noop(n: int) -> int:
    return n


@broker.task(task_name="mark", retry_on_error=True)
async def _mark(sent_at: float) -> None:
    await note_mark(sent_at)


@broker.task(task_name="nap", retry_on_error=True)
async def _nap() -> None:
    await take_nap()


@broker.task(task_name="hold", retry_on_error=True)
async def _held(whose: str) -> None:
    await hold(whose)


TASKS: dict[str, Any] = {"noop": _noop, "mark": _mark, "nap": _nap, "hold": _held}


class _Taskiq:
    def work(self, url: str) -> None:
        options = ["--workers", "1", "--max-async-tasks", str(AT_ONCE), "--log-level", "WARNING"]
        command = [sys.executable, "-m", "taskiq", "worker", "taskiq_program:broker", *options]
        os.execve(sys.executable, command, {**os.environ, "BENCH_REDIS_URL": url})  # noqa: S606  its own program

    async def open(self, url: str) -> None:
        del url
        await broker.startup()

    async def enqueue(self, kind: str, **arguments: Any) -> None:
        await TASKS[kind].kiq(**arguments)

    async def enqueue_many(self, count: int) -> None:
        await one_by_one(self, count)

    async def close(self) -> None:
        await broker.shutdown()


if __name__ == "__main__":
    main(_Taskiq())
