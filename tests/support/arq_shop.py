"""The background jobs and the API of a small shop, written for plain arq.

For Sightline, two lines change: ``types`` is ``sightline.arq.typed_json``; ``Worker`` and ``create_pool`` come from
``sightline.arq``. ``test_arq_shop.py`` runs both.
"""

from __future__ import annotations

import asyncio
import os
import pickle as types
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from arq import Worker, create_pool
from arq.connections import ArqRedis, RedisSettings
from arq.cron import cron
from arq.jobs import Job, JobResult, JobStatus
from arq.worker import JobExecutionFailed, Retry, func, get_kwargs
from pydantic import BaseModel

REDIS = RedisSettings.from_dsn(os.environ.get("SHOP_REDIS", "redis://localhost:6379"))
MAILS = "shop:mails"
DUE = datetime(2026, 12, 24, 18, 30, tzinfo=UTC)
Ctx = dict[str, Any]
counted: list[str] = []


class OutOfStock(Exception):
    """There is less in stock than requested."""

    def __init__(self, sku: str, left: int) -> None:
        super().__init__(sku, left)
        self.sku, self.left = sku, left


class Invoice(BaseModel):
    order_id: int
    total: float
    reminder: datetime


@dataclass
class Report:
    pages: int
    took: timedelta


# ---------------------------------------------------------------------------------------------- the jobs


async def startup(ctx: Ctx) -> None:
    ctx["started_at"] = datetime.now(UTC)


async def make_invoice(ctx: Ctx, order_id: int, total: float, *, due: datetime) -> Invoice:
    assert ctx["started_at"] <= datetime.now(UTC)
    return Invoice(order_id=order_id, total=total, reminder=due - timedelta(days=14))


async def checkout(ctx: Ctx, order_id: int, to: str) -> str:
    job = await ctx["redis"].enqueue_job("send_mail", to, _job_id=f"mail:{order_id}", _queue_name=MAILS)
    return job.job_id


async def send_mail(ctx: Ctx, to: str) -> dict[str, Any]:
    if ctx["job_try"] < 3:
        raise Retry(defer=0.05)
    return {"to": to, "tries": ctx["job_try"], "id": ctx["job_id"]}


async def reserve(_: Ctx, sku: str, count: int) -> int:
    if count > 10:
        raise OutOfStock(sku, 10)
    return count


async def sync_user(ctx: Ctx, user_id: int) -> None:
    del ctx
    counted.append(f"user {user_id}")


async def report(ctx: Ctx, seconds: float) -> Report:
    del ctx
    await asyncio.sleep(seconds)
    return Report(pages=12, took=timedelta(seconds=seconds))


async def count_stock(ctx: Ctx) -> None:
    counted.append(ctx["job_id"])


class WorkerSettings:
    functions = [make_invoice, checkout, reserve, func(sync_user, keep_result=0), func(report, timeout=60, max_tries=2)]  # noqa: RUF012  as arq users write it
    cron_jobs = [cron(count_stock, second=set(range(60)), job_id="stock", keep_result=0, run_at_startup=True)]  # noqa: RUF012  the same
    on_startup = startup
    redis_settings = REDIS
    allow_abort_jobs = True
    handle_signals = False
    max_jobs = 4
    poll_delay = 0.05
    job_serializer, job_deserializer = types.dumps, types.loads


class MailSettings:
    functions = [send_mail]  # noqa: RUF012  as arq users write it
    queue_name = MAILS
    redis_settings = REDIS
    handle_signals = False
    poll_delay = 0.05
    job_serializer, job_deserializer = types.dumps, types.loads


def workers() -> list[Worker]:
    both: tuple[Any, ...] = (WorkerSettings, MailSettings)
    return [Worker(**cast("dict[str, Any]", get_kwargs(settings))) for settings in both]


# ---------------------------------------------------------------------------------------------- the API

Answer = tuple[int, Any]
Route = Callable[..., Awaitable[Answer]]
Pool = Any  # ArqRedis, whose enqueue_job may return None
routes: list[tuple[re.Pattern[str], Route]] = []


def route(path: str) -> Callable[[Route], Route]:
    def add(handler: Route) -> Route:
        routes.append((re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path)), handler))
        return handler

    return add


async def call(pool: Pool, request: str, **query: Any) -> Answer:
    """Answer ``METHOD /path``, as a web framework would."""
    for pattern, handler in routes:
        if found := pattern.fullmatch(request):
            return await handler(pool, **found.groupdict(), **query)
    return 404, "no such page"


async def open_pool() -> ArqRedis:
    return await create_pool(REDIS, job_serializer=types.dumps, job_deserializer=types.loads)


@route("POST /orders/{order}/invoice")
async def invoice(pool: Pool, order: str, total: float) -> Answer:
    job = await pool.enqueue_job("make_invoice", int(order), total, due=DUE, _job_id=f"invoice:{order}")
    return 200, job and (await job.result(timeout=20, poll_delay=0.05)).model_dump(mode="json")


@route("POST /orders/{order}/checkout")
async def buy(pool: Pool, order: str, to: str) -> Answer:
    job = await pool.enqueue_job("checkout", int(order), to)
    mail = Job(await job.result(timeout=20, poll_delay=0.05), pool, MAILS, types.loads)
    return 200, await mail.result(timeout=20, poll_delay=0.05)


@route("POST /reserve/{sku}")
async def take(pool: Pool, sku: str, count: int) -> Answer:
    job = await pool.enqueue_job("reserve", sku, count)
    try:
        return 200, await job.result(timeout=20, poll_delay=0.05)
    except OutOfStock as error:
        return 409, f"{error.sku}: {error.left} left"


@route("POST /users/{user}/sync")
async def sync(pool: Pool, user: str, defer: float = 0) -> Answer:
    return 200, await pool.enqueue_job("sync_user", int(user), _job_id=f"sync-{user}", _defer_by=defer) is not None


@route("POST /reports")
async def order_report(pool: Pool, seconds: float) -> Answer:
    job = await pool.enqueue_job("report", seconds, _job_id=f"report of {seconds} s")
    return 202, job.job_id


@route("POST /offers")
async def offer(pool: Pool) -> Answer:
    job = await pool.enqueue_job("report", 0, _defer_by=0.5, _expires=0.1)
    try:
        return 200, await job.result(timeout=20, poll_delay=0.05)
    except JobExecutionFailed as error:
        return 410, str(error)


@route("GET /jobs/{job_id}")
async def show(pool: Pool, job_id: str) -> Answer:
    job = Job(job_id, pool, _deserializer=types.loads)
    status, info = await job.status(), await job.info()
    if info is None or status is JobStatus.not_found:
        return 404, "no such job"
    ended = (info.job_try, repr(info.result)) if isinstance(info, JobResult) else ()
    return 200, (status.value, info.function, info.args, info.kwargs, *ended)


@route("DELETE /jobs/{job_id}")
async def abort(pool: Pool, job_id: str) -> Answer:
    return 200, await Job(job_id, pool, _deserializer=types.loads).abort(timeout=20, poll_delay=0.05)


@route("GET /queue")
async def queue(pool: Pool) -> Answer:
    return 200, [(job.function, job.args, job.kwargs, job.job_id) for job in await pool.queued_jobs()]
