"""The users of ops/users.acl, on a server started by ops/redis-start.sh with ops/redis.conf, as Compose starts it."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from producer.client.client import Client
from producer.contract import JobState, ScanResult
from producer.errors import RedisUnsuitable
from producer.keys import Keys
from producer.settings import ClientSettings
from tests.support.command_line import run_sightline
from tests.support.queue import running_worker
from tests.support.started_redis import started_redis
from worker.queue.outcome import Commit
from worker.queue.worker import func

ROOT = Path(__file__).parents[2]
ADMIN, PRODUCER = "a:b/c@d?e", "p/w #1"
KEYS = Keys("prod")
WAIT_S = 60


@pytest.fixture(scope="module")
def port(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[int]:
    """A server with all users; ``redis_url`` sees to it that there is a build to start."""
    assert redis_url
    with started_redis(tmp_path_factory.mktemp("acl"), admin=ADMIN, producer=PRODUCER) as server:
        yield server.port


def url(port: int, user: str, password: str) -> str:
    return f"redis://{user}:{quote(password, safe='')}@127.0.0.1:{port}"


async def add(_: dict[Any, Any], a: int) -> int:
    return a + 1


async def test_a_producer_submits_waits_and_looks_and_a_worker_does_its_jobs(port: int) -> None:
    settings = ClientSettings(redis_url=url(port, "producer", PRODUCER), environment="prod")
    async with Client(settings) as client, running_worker(url(port, "", ADMIN), KEYS, [add]) as worker:
        one = await client.submit("add", {"a": 1}, batch="night")
        many = [job async for job in client.submit_many("add", [{"a": n} for n in range(5)], batch="night")]
        secret = await client.submit("add", {"a": 2}, secrets={"headers": {"x": "y"}}, defer_s=0.01)
        batch = await client.seal_batch("night")

        results = [await client.wait(job.job_id, timeout_s=WAIT_S) for job in (one, *many, secret)]

        assert {result.state for result in results} == {JobState.SUCCEEDED}
        assert batch.total == 6
        assert (await client.job(one.job_id)).state is JobState.SUCCEEDED
        queue = await client.queue()
        assert queue.dead == 0
        await worker.upkeep._heartbeat()
        assert [info.name for info in (await client.queue()).workers] == [worker.name]


async def test_a_producer_gets_a_clear_refusal(port: int) -> None:
    settings = ClientSettings(redis_url=url(port, "producer", PRODUCER), environment="prod")
    async with Client(settings) as client:
        job = await client.submit("add", {"a": 1}, defer_s=3600)

        with pytest.raises(RedisUnsuitable, match="does not permit this to the user in REDIS_URL"):
            await client.cancel(job.job_id)


async def scan(ctx: dict[Any, Any], **payload: Any) -> Commit:
    del ctx
    return Commit(result=ScanResult(url=payload["url"], status="scanned"), event={"url": payload["url"]})


async def test_a_pipelines_commands_need_no_more_than_the_producers_rights(port: int, tmp_path: Path) -> None:
    variables = {**os.environ, "REDIS_URL": url(port, "producer", PRODUCER), "ENVIRONMENT": "prod"}

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return run_sightline(variables, *words)

    known, html = str(tmp_path / "known.json"), str(tmp_path / "r.html")
    pages = ("https://shop.example/1", "https://shop.example/2", "--batch", "ci")
    looks = [("status", "ci"), ("top", "--once"), ("dead", "list"), ("waive", "--list"), ("schedule", "list")]
    async with running_worker(url(port, "", ADMIN), KEYS, [func(scan, name="scan")]):
        scanned = await asyncio.to_thread(
            call, "scan", *pages, "--timeout", "50", "--only-new", "--write-baseline", known
        )
        again = ("scan", *pages, "--resume", "--format", "html", "-o", html)
        later = (asyncio.to_thread(call, *words) for words in (again, *looks, ("result", "ci")))
        *done, refused = await asyncio.gather(*later)

    assert [(one.args[3:], one.stderr) for one in (scanned, *done) if one.returncode] == []
    assert refused.returncode == 3
    assert "may not list keys (SCAN)" in refused.stderr
    assert "repeat the scan with '--batch ci --resume'" in refused.stderr


LANE, ELSEWHERE = KEYS.lane("batch"), Keys("dev")


@pytest.mark.parametrize(
    "command",
    [
        ("GET", ELSEWHERE.result("j")),
        ("HGETALL", ELSEWHERE.job("j")),
        ("XRANGE", ELSEWHERE.lane("batch"), "-", "+"),
        ("SUBSCRIBE", ELSEWHERE.events_live),
        ("SCAN", "0"),
        ("KEYS", "*"),
        ("XACK", LANE, "workers", "1-1"),
        ("XREADGROUP", "GROUP", "workers", "me", "STREAMS", LANE, ">"),
        ("XCLAIM", LANE, "workers", "me", "0", "1-1"),
        ("XDEL", LANE, "1-1"),
        ("XTRIM", LANE, "MAXLEN", "0"),
        ("XGROUP", "DESTROY", LANE, "workers"),
        ("DEL", KEYS.job("j")),
        ("SET", KEYS.result("j"), "forged"),
        ("DEL", KEYS.events),
        ("EVAL", f"return redis.call('HGETALL', '{KEYS.secret('j')}')", "1", KEYS.secret("j")),
        ("HGETALL", KEYS.secret("j")),
        ("HSET", KEYS.gpu_hosts, "h", "1"),
        ("SET", KEYS.worker("w"), "{}"),
        ("EVAL", f"return redis.call('SET', '{KEYS.result('j')}', 'forged')", "0"),
        ("EVAL", f"return redis.call('GET', '{ELSEWHERE.result('j')}')", "0"),
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
        ("ACL", "LIST"),
        ("SYNC",),
        ("FT._LIST",),
    ],
    ids=lambda command: " ".join(command[:2])[:50],
)
def test_a_producer_may_not_reach_beyond_its_queue(port: int, command: tuple[str, ...]) -> None:
    refused = pytest.raises(ResponseError, match=r"[Nn]o permissions")
    with Redis.from_url(url(port, "producer", PRODUCER)) as producer, refused:
        producer.execute_command(*command)


def test_a_missing_password_and_a_strange_environment_are_named_before_anything_starts(tmp_path: Path) -> None:
    words = [ROOT / "ops/redis-start.sh", ROOT / "ops/redis.conf", ROOT / "ops/users.acl", tmp_path, tmp_path]
    missing, strange = (
        subprocess.run(
            words,
            env={"PATH": os.environ["PATH"], "ENVIRONMENT": environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        for environment in ("prod", "prod*")
    )

    assert (missing.returncode, strange.returncode) == (78, 78)
    assert "redis_password is missing or empty: write a password into it" in missing.stderr
    assert "ENVIRONMENT is 'prod*': expected 1 to 32 characters" in strange.stderr
    assert not (tmp_path / "users.acl").exists()
