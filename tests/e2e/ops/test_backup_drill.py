"""The drill: a backup under load, loss of the server and its data, a restore, and work continues."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from producer.client.client import Client
from producer.contract import JobState, QueryResult, ScanResult
from producer.errors import JobDead
from producer.keys import Keys
from tests.support.command_line import run_sightline
from tests.support.queue import settings_for, until
from tests.support.redis_server import StartServer
from tests.support.scan_worker import environment_for, need_browser, start_scan_worker
from tests.support.small_site import SmallSite

WAIT_S = 60
WORST = "Which page has the worst barriers?"


async def test_everything_acknowledged_before_a_backup_is_there_after_the_restore_and_work_continues(
    redis_server: StartServer, keys: Keys, site: SmallSite, tmp_path: Path, children: list[subprocess.Popen[bytes]]
):
    need_browser()
    lost, log = redis_server(), tmp_path / "workers.log"
    first = start_scan_worker(children, log, lost.url, keys)
    async with Client(settings_for(lost.url, keys)) as client:
        scanned = await scan(client, site)
        asked = await ask(client)
        dead = await a_dead_letter(client)
        async with load(client) as acknowledged:
            site.gate.clear()
            held = (await client.submit("scan", {"url": f"{site.url}/guilty"})).job_id
            await until(lambda: is_running(client, held), what="a scan in the middle of its page")
            await until(lambda: len(acknowledged) > 50, what="some load")
            promised = list(acknowledged)
            made = await sightline(lost.url, keys, "backup", str(tmp_path / "backup"))
    first.kill()
    lost.kill()
    shutil.rmtree(lost.data_dir)
    found = redis_server()

    restored = await sightline(found.url, keys, "restore", str(tmp_path / "backup"))

    assert made.returncode == restored.returncode == 0, made.stderr + restored.stderr
    async with Client(settings_for(found.url, keys)) as client:
        states = [(await client.job(job_id)).state for job_id in promised]
        assert states == [JobState.SCHEDULED] * len(promised)
        assert await client.result(scanned.job_id) == scanned
        assert (await client.job(dead)).state is JobState.DEAD
        assert (await client.queue()).dead == 1

        site.gate.set()
        start_scan_worker(children, log, found.url, keys)
        assert (await client.wait(held, timeout_s=WAIT_S)).state is JobState.SUCCEEDED
        again = await scan(client, site)
        assert again.scan_id == scanned.scan_id, "the history knows the page: an unchanged one is the same record"
        assert again.changes is not None
        assert (again.changes.unchanged, again.changes.new, again.changes.fixed) == (1, (), ())
        more = await ask(client, thread_id=asked.thread_id)
        assert more.sources == asked.sources
        said = await sightline(found.url, keys, "history", "--search", "images without a text alternative", "--json")
        assert [json.loads(line)["scan_id"] for line in said.stdout.splitlines()] == [scanned.scan_id]


async def scan(client: Client, site: SmallSite) -> ScanResult:
    job = await client.submit("scan", {"url": f"{site.url}/guilty"})
    result = await client.wait(job.job_id, timeout_s=WAIT_S)
    assert isinstance(result, ScanResult)
    return result


async def ask(client: Client, **about: str) -> QueryResult:
    job = await client.submit("query", {"question": WORST, "use_cache": False, **about})
    result = await client.wait(job.job_id, timeout_s=WAIT_S)
    assert isinstance(result, QueryResult)
    return result


async def a_dead_letter(client: Client) -> str:
    job = await client.submit("scan", {"html": "<p>x</p>", "include": [":no-such-state"]})
    with suppress(JobDead):
        await client.wait(job.job_id, timeout_s=WAIT_S)
    return job.job_id


async def is_running(client: Client, job_id: str) -> bool:
    return (await client.job(job_id)).state is JobState.RUNNING


@asynccontextmanager
async def load(client: Client) -> AsyncGenerator[list[str]]:
    """Submit jobs for later without a pause; the list is of those that were acknowledged."""
    acknowledged: list[str] = []

    async def submit() -> None:
        while True:
            job = await client.submit("scan", {"url": "https://example.org/"}, defer_s=3600)
            acknowledged.append(job.job_id)

    task = asyncio.create_task(submit())
    try:
        yield acknowledged
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def sightline(url: str, keys: Keys, *words: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(run_sightline, environment_for(url, keys), *words)
