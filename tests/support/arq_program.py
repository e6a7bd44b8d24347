"""A program written for plain arq: functions, ``Retry``, hooks, a timeout, a cron job. It does not use Sightline.

All its actions are recorded in ``ctx["notes"]``, so that a test can compare two workers.
"""

from __future__ import annotations

import asyncio
from typing import Any

from arq import Retry, cron
from arq.worker import func

Ctx = dict[Any, Any]


async def add(ctx: Ctx, a: int, b: int = 0) -> int:
    note(ctx, "add", a, b)
    return a + b


async def echo(ctx: Ctx, *args: Any, **fields: Any) -> dict[str, Any]:
    note(ctx, "echo")
    return {"args": list(args), **fields}


async def third_time_lucky(ctx: Ctx) -> int:
    note(ctx, "third_time_lucky", ctx["job_try"])
    if ctx["job_try"] < 3:
        raise Retry(defer=0.05)
    return ctx["job_try"]


async def never_lucky(ctx: Ctx) -> None:
    note(ctx, "never_lucky", ctx["job_try"])
    raise Retry


async def breaks(ctx: Ctx) -> None:
    note(ctx, "breaks")
    msg = "a bug"
    raise ValueError(msg)


async def too_slow(ctx: Ctx) -> None:
    note(ctx, "too_slow")
    await asyncio.Event().wait()


async def endless(ctx: Ctx) -> None:
    note(ctx, "endless")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        note(ctx, "endless was cancelled")
        raise


async def parent(ctx: Ctx) -> str:
    note(ctx, "parent")
    job = await ctx["redis"].enqueue_job("add", 20, b=22, _job_id="child")
    return job.job_id


async def tick(ctx: Ctx) -> None:
    note(ctx, "tick")


async def startup(ctx: Ctx) -> None:
    ctx["notes"].append("startup")


async def shutdown(ctx: Ctx) -> None:
    ctx["notes"].append("shutdown")


async def on_job_start(ctx: Ctx) -> None:
    note(ctx, "start")


async def on_job_end(ctx: Ctx) -> None:
    note(ctx, "end")


async def after_job_end(ctx: Ctx) -> None:
    note(ctx, "after")


def note(ctx: Ctx, *what: Any) -> None:
    ctx["notes"].append((ctx["job_id"], *what))


FUNCTIONS = [
    add,
    echo,
    third_time_lucky,
    breaks,
    endless,
    parent,
    func(never_lucky, max_tries=2),
    func(too_slow, timeout=0.2),
    func(add, name="add_unkept", keep_result=0),
]
HOOKS = {
    "on_startup": startup,
    "on_shutdown": shutdown,
    "on_job_start": on_job_start,
    "on_job_end": on_job_end,
    "after_job_end": after_job_end,
}
EVERY_SECOND = cron(tick, second=set(range(60)))
