"""``sightline up``: workers on a Redis that answers, stopped by one signal with nothing left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from producer.client.client import Client
from producer.contract import ScanResult
from producer.errors import RedisUnsuitable
from producer.keys import Keys
from producer.settings import ClientSettings
from tests.support.command_line import StartProgram
from tests.support.queue import until
from tests.support.redis_server import StartServer
from tests.support.scan_worker import ROOT, environment_for, need_browser
from tests.support.small_site import SmallSite
from worker.cli.processes import keep_processes
from worker.cli.up import SHORT_LIVES, KeptRedis
from worker.cli.worker import run_worker
from worker.own_redis.server import EmbeddedRedis


async def test_up_runs_workers_until_sigterm_and_leaves_none(
    client: Client, program: StartProgram, site: SmallSite, tmp_path: Path
):
    need_browser()
    with (tmp_path / "up.log").open("wb") as log:
        up = program("up", "--workers", "2", stdout=log, stderr=log)
    await until(lambda: _has_workers(client, 2), what="two workers")
    job = await client.submit("scan", {"url": f"{site.url}/guilty"})
    result = await client.wait(job.job_id, timeout_s=60)

    up.send_signal(signal.SIGTERM)
    code = up.wait(40)

    assert isinstance(result, ScanResult)
    assert code == 0
    assert (await client.queue()).workers == ()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
async def test_no_worker_outlives_up(client: Client, program: StartProgram, tmp_path: Path, number: signal.Signals):
    need_browser()
    with (tmp_path / "up.log").open("wb") as log:
        up = program("up", stdout=log, stderr=log)
    await until(lambda: _has_workers(client, 1), what="a worker")

    up.send_signal(number)

    assert up.wait(40) == (0 if number is signal.SIGINT else -number)
    await until(lambda: _has_workers(client, 0), what="the worker's end")


async def test_up_hands_the_password_of_a_file_to_its_workers(
    redis_server: StartServer, program: StartProgram, keys: Keys, tmp_path: Path
):
    need_browser()
    server = redis_server(config={"requirepass": "of-a-file"})
    (tmp_path / "password").write_text("of-a-file\n")
    url = f"redis://127.0.0.1:{server.url.rpartition(':')[2]}"
    variables = {"REDIS_URL": url, "REDIS_PASSWORD_FILE": str(tmp_path / "password")}
    with (tmp_path / "up.log").open("wb") as log:
        up = program("up", variables=variables, stdout=log, stderr=log)

    async with Client(ClientSettings(redis_url=server.url, environment=keys.environment)) as client:
        await until(lambda: _has_workers(client, 1), what="a worker")
    up.send_signal(signal.SIGTERM)

    assert up.wait(40) == 0


def test_a_redis_of_its_own_that_was_killed_runs_again_on_its_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with EmbeddedRedis(tmp_path) as server, Redis.from_url(server.url) as redis:
        redis.set("kept", "1")

        def crash() -> object:
            killed = server.pid or 0
            os.kill(killed, signal.SIGKILL)
            try:
                return kept_by_another_than(killed, server.url)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)

        with ThreadPoolExecutor(1) as others:
            kept: list[Future[object]] = []
            keeper = KeptRedis(server)

            def look() -> None:
                if not kept:
                    kept.append(others.submit(crash))
                keeper.look()

            code = keep_processes(partial(run_worker, burst=True), 0, look=look)

    assert (code, kept[0].result()) == (0, b"1")
    assert "was restarted" in capsys.readouterr().err


async def test_up_restarts_a_worker_that_was_killed(client: Client, program: StartProgram, tmp_path: Path):
    need_browser()
    with (tmp_path / "up.log").open("wb") as log:
        up = program("up", stdout=log, stderr=log)
    await until(lambda: _has_workers(client, 1), what="a worker")
    (first,) = (await client.queue()).workers

    os.kill(first.pid, signal.SIGKILL)

    await until(lambda: _has_another(client, first.pid), what="another worker")
    up.send_signal(signal.SIGTERM)
    assert up.wait(40) == 0


async def _has_another(client: Client, pid: int) -> bool:
    return any(worker.pid != pid for worker in (await client.queue()).workers)


def test_a_redis_that_ended_on_a_full_disk_runs_again_once_there_is_room(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    free = [3.0]
    with EmbeddedRedis(tmp_path) as server:
        kept = KeptRedis(server, free_mb=lambda _: free[0])
        os.kill(server.pid or 0, signal.SIGKILL)
        wait_until_ended(server)

        kept.look()
        kept.look()
        said_full, was = capsys.readouterr().err, server.pid
        free[0] = 100.0
        kept.look()

        assert said_full.count("is full (3 MB free): free some space") == 1
        assert was is None
        assert server.pid is not None
        assert "was restarted" in capsys.readouterr().err


def test_a_redis_whose_folder_was_removed_runs_again_empty(tmp_path: Path):
    with EmbeddedRedis(tmp_path / "data") as server:
        kept = KeptRedis(server)
        shutil.rmtree(tmp_path / "data")
        os.kill(server.pid or 0, signal.SIGKILL)
        wait_until_ended(server)

        kept.look()

        assert server.pid is not None


def test_a_redis_that_ends_again_and_again_is_given_up_with_its_last_words(tmp_path: Path):
    with EmbeddedRedis(tmp_path) as server:
        kept = KeptRedis(server)

        def end_it() -> None:
            os.kill(server.pid or 0, signal.SIGTERM)
            wait_until_ended(server)
            kept.look()

        for _ in range(SHORT_LIVES - 1):
            end_it()
        with pytest.raises(RedisUnsuitable, match=r"exited 5 times, each within 10 s.*ready to exit"):
            end_it()


def test_a_worker_keeps_what_stays_out_of_its_garbage_collections(redis_url: str, keys: Keys):
    need_browser()
    code = """import gc
runs = []
gc.callbacks.append(lambda phase, _: runs.append(phase))
import worker.__main__ as program
print(len(runs), gc.get_freeze_count())
program.main(burst=True)
print(int(gc.isenabled()), gc.get_freeze_count(), len(gc.get_objects()))"""

    said = subprocess.check_output(
        [sys.executable, "-c", code], cwd=ROOT, env=environment_for(redis_url, keys), stderr=subprocess.DEVNULL
    )

    while_importing, frozen_at_once, is_collecting, frozen, others = map(int, said.split())
    assert while_importing < 20, "hundreds if it collects while it imports"
    assert is_collecting
    assert min(frozen_at_once, frozen) > 50_000
    assert others < frozen / 10


def wait_until_ended(server: EmbeddedRedis) -> None:
    deadline = time.monotonic() + 20
    while server.pid is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def kept_by_another_than(killed: int, url: str) -> object:
    """What the server that took its place has of ``kept``."""
    deadline = time.monotonic() + 60
    with Redis.from_url(url) as redis:
        while time.monotonic() < deadline:
            with contextlib.suppress(RedisConnectionError, ResponseError):
                info: Any = redis.info("server")
                if info["process_id"] != killed:
                    return redis.get("kept")
            time.sleep(0.05)
    return "no other server came"


async def _has_workers(client: Client, count: int) -> bool:
    return len((await client.queue()).workers) == count
