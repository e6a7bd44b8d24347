"""What Sentry's and OpenTelemetry's integrations for arq wrap is called on both flavours, with the same arguments."""

from __future__ import annotations

from typing import Any

import arq.worker
import pytest
from arq.connections import ArqRedis, RedisSettings
from arq.worker import Worker

from tests.support.arq_flavours import Flavour, Streamed, burst
from worker.queue.arq_pool import StreamPool
from worker.queue.arq_worker import ArqWorker, create_worker

Ctx = dict[str, Any]


async def works(ctx: Ctx, n: int, **options: Any) -> list[Any]:
    ctx["notes"].append(n)
    return [n, options]


async def fails(ctx: Ctx) -> None:
    ctx["notes"].append("fails")
    msg = "a bug"
    raise ValueError(msg)


async def test_submissions_and_runs_pass_through_arqs_methods(
    flavour: Flavour, pool: ArqRedis, monkeypatch: pytest.MonkeyPatch
):
    enqueue, run, seen = ArqRedis.enqueue_job, Worker.run_job, list[Any]()

    async def wrapped_enqueue(self: ArqRedis, function: str, *args: Any, **options: Any) -> Any:
        seen.append(("enqueue", function, args, sorted(options)))
        return await enqueue(self, function, *args, _carrier={"traceparent": "00-1"}, **options)

    async def wrapped_run(self: Worker, job_id: str, score: int) -> Any:
        seen.append(("run", job_id, type(score)))
        return await run(self, job_id, score)

    monkeypatch.setattr(ArqRedis, "enqueue_job", wrapped_enqueue)
    monkeypatch.setattr(Worker, "run_job", wrapped_run)

    job = await pool.enqueue_job("works", 1, _job_id="a:1", b=2)
    await pool.enqueue_job("fails", _job_id="b:2")
    assert job is not None
    done = await burst(flavour, works, fails)

    assert await job.result(timeout=60) == [1, {"b": 2, "_carrier": {"traceparent": "00-1"}}]
    assert (done.worker.jobs_complete, done.worker.jobs_failed) == (1, 1)
    assert seen[:2] == [("enqueue", "works", (1,), ["_job_id", "b"]), ("enqueue", "fails", (), ["_job_id"])]
    assert sorted(seen[2:]) == [("run", "a:1", int), ("run", "b:2", int)]


def test_a_worker_is_made_by_arqs_create_worker(monkeypatch: pytest.MonkeyPatch):
    create, seen = arq.worker.create_worker, list[Any]()

    def wrapped(settings: dict[str, Any], **options: Any) -> Worker:
        seen.append((settings["functions"], options))
        return create(settings, **options)

    monkeypatch.setattr(arq.worker, "create_worker", wrapped)

    class Base:
        functions = (works,)

    class WorkerSettings(Base):
        redis_settings = RedisSettings()
        handle_signals = False

    made = create_worker(WorkerSettings, burst=True, environment="test")

    assert isinstance(made, ArqWorker)
    assert (made.burst, made.environment) == (True, "test")
    assert seen == [((works,), {"burst": True, "environment": "test"})]
    assert arq.worker.Worker is Worker


@pytest.mark.parametrize("flavour", [Streamed], indirect=True)
async def test_arqs_own_pool_and_worker_stay_arqs(pool: ArqRedis):
    assert isinstance(pool, StreamPool)
    assert not isinstance(Worker([works], redis_pool=pool, handle_signals=False), ArqWorker)
