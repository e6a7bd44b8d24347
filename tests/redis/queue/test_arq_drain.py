"""``sightline arq drain``: jobs of a real arq pool are moved to the stream once; others stay and are named."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from arq.connections import ArqRedis, RedisSettings
from arq.connections import create_pool as create_arq_pool
from arq.constants import abort_jobs_ss, default_queue_name, in_progress_key_prefix, job_key_prefix, retry_key_prefix
from redis.exceptions import WatchError

from producer.contract import Lane
from producer.keys import Keys
from tests.support.arq_flavours import Streamed, enqueued, program
from tests.support.command_line import Call
from worker.queue.arq_drain import Drained, drain
from worker.queue.arq_pool import StreamPool

KILLED_AFTER = """
import asyncio, os, pickle, signal, sys
from arq.connections import RedisSettings
from worker.queue.arq_drain import drain
from worker.queue.arq_pool import create_pool

async def main(url, environment, moves):
    pool = await create_pool(RedisSettings.from_dsn(url), environment=environment)
    async for _ in drain(pool, "arq:queue", pickle.loads):
        moves -= 1
        if not moves:
            os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""
PROGRAM = """
import json
from arq.connections import RedisSettings

async def add(ctx, a, b):
    return a + b

class WorkerSettings:
    functions = [add]
    redis_settings = RedisSettings.from_dsn({url!r})

class WithJson(WorkerSettings):
    job_serializer = lambda about: json.dumps(about).encode()
    job_deserializer = json.loads
"""


@pytest.fixture
async def stock(redis_url: str) -> AsyncGenerator[ArqRedis]:
    """A pool of arq's own, on its default queue."""
    pool = await create_arq_pool(RedisSettings.from_dsn(redis_url))
    yield pool
    if left := await pool.keys("arq:*"):  # arq's own keys know no environment
        await pool.delete(*left)
    await pool.aclose()


@pytest.fixture
def pool(stock: ArqRedis, keys: Keys) -> StreamPool:
    return StreamPool.over(stock, environment=keys.environment)


async def drained(pool: StreamPool) -> dict[str, Drained]:
    return {job.job_id: job async for job in drain(pool, default_queue_name, pickle.loads)}


async def on_the_stream(stock: ArqRedis, keys: Keys) -> list[str]:
    return sorted(fields[b"id"].decode() for _, fields in await stock.xrange(keys.lane(Lane.BATCH)))


async def test_jobs_keep_id_arguments_and_tries_and_run_on_our_worker(
    stock: ArqRedis, pool: StreamPool, redis_url: str, keys: Keys
):
    await enqueued(stock, "add", 1, b=2, _job_id="plain")
    await enqueued(stock, "echo", "x", _job_id="cron:tick:1700000000000")
    await enqueued(stock, "third_time_lucky", _job_id="asked", _job_try=3)
    await enqueued(stock, "never_lucky", _job_id="tried")  # max_tries=2
    await stock.set(f"{retry_key_prefix}tried", 1)

    moved = await drained(pool)
    left = await stock.keys("arq:*")
    ours = program(Streamed(redis_url, keys), pool, burst=True)
    await ours.worker.async_run()

    assert all(job.is_moved for job in moved.values()), moved
    assert await pool.job("plain").result(timeout=60) == 3
    assert await pool.job("cron:tick:1700000000000").result(timeout=60) == {"args": ["x"]}
    assert [note for note in ours.of("asked") if note[0] == "third_time_lucky"] == [("third_time_lucky", 3)]
    assert [note for note in ours.of("tried") if note[0] == "never_lucky"] == [("never_lucky", 2)]
    assert left == []


async def test_a_delay_and_an_expiry_stay_to_the_millisecond(stock: ArqRedis, pool: StreamPool, keys: Keys):
    job = await enqueued(stock, "add", 1, _job_id="later", _defer_by=timedelta(hours=2), _expires=timedelta(hours=3))
    due_ms = (await stock.zscore(default_queue_name, job.job_id)) or 0.0

    moved = await drained(pool)

    assert moved["later"] == Drained("later", is_deferred=True)
    assert await stock.zscore(keys.scheduled, "later") == pytest.approx(due_ms, abs=500)
    expires_ms = int(await stock.hget(keys.job("later"), "expires_ms") or 0)  # pyright: ignore[reportGeneralTypeIssues]  redis-py 5 types it for both kinds of client
    assert expires_ms == pytest.approx(due_ms + 3_600_000, abs=500)
    assert await stock.zcard(default_queue_name) == 0


def killed_drain(redis_url: str, keys: Keys, moves: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", KILLED_AFTER, redis_url, keys.environment, str(moves)]
    return subprocess.run(command, check=False, timeout=60, capture_output=True, text=True)


@pytest.mark.parametrize("moves", [7, 20])
async def test_a_killed_drain_loses_and_doubles_nothing(
    stock: ArqRedis, pool: StreamPool, redis_url: str, keys: Keys, moves: int
):
    ids = sorted(f"job-{n:02}" for n in range(20))
    for job_id in ids:
        await enqueued(stock, "add", 1, _job_id=job_id)
    killed = killed_drain(redis_url, keys, moves)
    assert killed.returncode == -9, killed.stderr
    assert len(await on_the_stream(stock, keys)) == moves

    rest = await drained(pool)

    assert len(rest) == 20 - moves
    assert await on_the_stream(stock, keys) == ids
    assert await stock.keys("arq:*") == []


async def test_a_move_whose_reply_was_lost_is_repeated_without_a_second_job(
    stock: ArqRedis, pool: StreamPool, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    from worker.queue import arq_drain  # noqa: PLC0415  its name is patched

    sent = arq_drain.run_script

    async def twice(*call: Any) -> Any:
        assert await sent(*call) == [b"created"]
        return await sent(*call)

    monkeypatch.setattr(arq_drain, "run_script", twice)
    await enqueued(stock, "add", 1, _job_id="once")

    moved = await drained(pool)

    assert moved["once"].is_moved
    assert await on_the_stream(stock, keys) == ["once"]


async def test_what_cannot_go_stays_and_is_named(stock: ArqRedis, pool: StreamPool, keys: Keys):
    for job_id in ("running", "taken", "expired", "garbage", "aborted"):
        await enqueued(stock, "add", 1, _job_id=job_id)
    await enqueued(stock, "add", timedelta(1), _job_id="no-json")
    await stock.set(f"{in_progress_key_prefix}running", 1)
    await stock.delete(f"{job_key_prefix}expired")
    await stock.zadd(abort_jobs_ss, {"aborted": 1})
    await stock.set(f"{job_key_prefix}garbage", b"no pickle")
    await pool.enqueue_job("add", 5, _job_id="taken")

    left = {job_id: job.reason for job_id, job in (await drained(pool)).items()}

    assert "running on an arq worker" in left["running"]
    assert "a job with this id" in left["taken"]
    assert "has expired" in left["expired"]
    assert "unable to deserialize job: UnpicklingError" in left["garbage"]
    assert "abort was requested" in left["aborted"]
    assert "argument 1 is not JSON" in left["no-json"]
    assert await stock.zcard(default_queue_name) == 6
    assert await on_the_stream(stock, keys) == ["taken"]


@pytest.mark.parametrize(
    ("key", "what"), [(in_progress_key_prefix, "running on an arq worker"), (retry_key_prefix, "meanwhile")]
)
async def test_a_job_that_an_arq_worker_starts_meanwhile_is_left_to_it(
    stock: ArqRedis, pool: StreamPool, keys: Keys, key: str, what: str
):
    await enqueued(stock, "add", 1, _job_id="raced")

    def start_elsewhere(value: bytes) -> dict[str, Any]:
        with_blocking_client(stock, f"{key}raced")
        return pickle.loads(value)  # noqa: S301  ours

    left = [job async for job in drain(pool, default_queue_name, start_elsewhere)]

    assert what in left[0].reason
    assert await on_the_stream(stock, keys) == []
    assert await stock.zcard(default_queue_name) == 1


def with_blocking_client(stock: ArqRedis, key: str) -> None:
    from redis import Redis  # noqa: PLC0415  beside its only use

    about = stock.connection_pool.connection_kwargs
    with Redis(host=about["host"], port=about["port"], password=about["password"]) as client:
        client.set(key, 1)


async def test_arqs_worker_that_is_about_to_start_a_moved_job_does_not(stock: ArqRedis, pool: StreamPool):
    await enqueued(stock, "add", 1, _job_id="raced")
    async with stock.pipeline(transaction=True) as start:  # what arq 0.28 does in start_jobs
        await start.watch(f"{in_progress_key_prefix}raced")
        await drained(pool)
        start.multi()
        start.psetex(f"{in_progress_key_prefix}raced", 1000, b"1")
        with pytest.raises(WatchError):
            await start.execute()


def sightline(folder: Path, keys: Keys, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "producer.cli.main", "arq", "drain", *args]
    environment = {**os.environ, "ENVIRONMENT": keys.environment}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def folder(tmp_path: Path, redis_url: str) -> Path:
    (tmp_path / "drained_tasks.py").write_text(PROGRAM.format(url=redis_url))
    return tmp_path


async def test_pickle_is_read_only_where_it_is_trusted(stock: ArqRedis, folder: Path, keys: Keys, call: Call):
    await enqueued(stock, "add", 1, b=2, _job_id="plain")
    await enqueued(stock, "add", 1, b=3, _job_id="later", _defer_by=60)

    of_program = ("--settings", "drained_tasks.WorkerSettings")
    for refused in (call("arq", "drain"), sightline(folder, keys, *of_program)):
        assert refused.returncode == 64
        assert "--trust-pickle" in refused.stderr
    assert await stock.zcard(default_queue_name) == 2
    await stock.set(f"{in_progress_key_prefix}plain", 1)
    first = call("arq", "drain", "--trust-pickle")
    await stock.delete(f"{in_progress_key_prefix}plain")
    second = sightline(folder, keys, *of_program, "--trust-pickle")

    assert first.returncode == 3, first.stderr
    named, counts = map(json.loads, first.stdout.splitlines())
    assert named == {"v": 1, "left": "plain", "reason": "it is running on an arq worker"}
    assert counts == {"v": 1, "moved": 1, "deferred": 1, "left": 1}
    assert second.returncode == 0, second.stderr
    assert json.loads(second.stdout) == {"v": 1, "moved": 1, "deferred": 0, "left": 0}


async def test_the_programs_deserializer_reads_and_its_serializer_writes(stock: ArqRedis, folder: Path, keys: Keys):
    def as_json(about: dict[str, Any]) -> bytes:
        return json.dumps(about).encode()

    stock.job_serializer = as_json
    await enqueued(stock, "add", 1, b=2, _job_id="custom")

    done = sightline(folder, keys, "--settings", "drained_tasks.WithJson")

    assert done.returncode == 0, done.stderr
    pool = StreamPool.over(stock, environment=keys.environment)
    pool.job_deserializer = json.loads
    info = await pool.job("custom").info()
    assert info is not None
    assert (info.function, info.args, info.kwargs) == ("add", (1,), {"b": 2})
