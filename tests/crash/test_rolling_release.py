"""Three workers of the previous commit are replaced by current ones, one after the other, under load."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import JobState
from producer.keys import Keys
from tests.support.processes import ROOT, StartWorker, environment_of, start_program
from tests.support.queue import events_of, until

WAIT_S = 60
WORKERS = 3


@pytest.fixture
def previous(tmp_path: Path) -> Path:
    """The files of the previous commit."""
    packed = subprocess.run(["git", "archive", "HEAD~1"], cwd=ROOT, capture_output=True, check=False)
    if packed.returncode:
        pytest.skip(f"NO PREVIOUS COMMIT HERE (a shallow clone?), NOT TESTED: {packed.stderr.decode().strip()}")
    tree = tmp_path / "previous"
    tree.mkdir()
    subprocess.run(["tar", "--extract"], input=packed.stdout, cwd=tree, check=True)
    # Their program, too: it is compiled once, not by three workers at the same time.
    where = "import tests.support.worker_program, worker; print(worker.__file__)"
    told = subprocess.run(
        [sys.executable, "-c", where], cwd=tree, env=environment_of(tree), capture_output=True, check=True
    )
    assert told.stdout.decode().startswith(str(tree)), "these must be the previous commit's own files"
    return tree


async def test_a_rolling_release_under_load_loses_no_job_and_fails_none(
    client: Client,
    redis: Redis,
    redis_url: str,
    keys: Keys,
    previous: Path,
    start_worker: StartWorker,
    children: list[subprocess.Popen[bytes]],
    tmp_path: Path,
):
    old = [
        start_program(children, tmp_path / "old.log", redis_url, keys.environment, "lease=5", "grace=0", tree=previous)
        for _ in range(WORKERS)
    ]
    gates = [tmp_path / f"gate{number}" for number in range(WORKERS)]
    submitted = [(await client.submit("held_by_file", {"path": str(gate)})).job_id for gate in gates]
    enough = asyncio.Event()
    load = asyncio.create_task(keep_submitting(client, submitted, enough))
    old_log = tmp_path / "old.log"
    await until(lambda: old_log.read_text().count("worker.started") == WORKERS, what="three old workers")
    await until(lambda: _have_run(redis, keys, 50), what="the old workers under load")

    for number, worker in enumerate(old):
        before = len(submitted)
        start_worker("lease=5", "grace=0")
        worker.send_signal(signal.SIGTERM)
        await until(lambda worker=worker: worker.poll() is not None, what=f"the end of old worker {number}")
        await until(lambda before=before: len(submitted) > before + 20, what="more load")
    enough.set()
    await load
    for gate in gates:
        gate.touch()

    results = [result async for result in client.as_completed(submitted, timeout_s=WAIT_S)]

    assert [worker.returncode for worker in old] == [0] * WORKERS
    assert {result.state for result in results} == {JobState.SUCCEEDED}
    assert len(results) == len(submitted)
    assert await redis.xlen(keys.dead) == 0
    ended = [line for line in await events_of(redis, keys) if '"job.succeeded"' in line]
    assert len(ended) == len(submitted), "each job is committed exactly once"


async def keep_submitting(client: Client, submitted: list[str], enough: asyncio.Event) -> None:
    """Submit without a pause; cancelling a submission would leave an uncounted job."""
    while not enough.is_set():
        submitted.append((await client.submit("quick", {"n": len(submitted)})).job_id)


async def _have_run(redis: Redis, keys: Keys, count: int) -> bool:
    return await redis.llen(f"{keys.prefix}runs") >= count  # pyright: ignore[reportGeneralTypeIssues]  # redis-py types it as sync
