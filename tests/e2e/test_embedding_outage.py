"""A real worker whose embedder reads 512 tokens, becomes unreachable, returns, and is replaced."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable
from pathlib import Path
from typing import cast

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import ScanResult
from producer.keys import Keys
from tests.e2e.conftest import GUILTY
from tests.support.command_line import run_sightline
from tests.support.ollama_protocol import EMBED, StubModel
from tests.support.ollama_server import OllamaServer
from tests.support.queue import until
from tests.support.scan_worker import ROOT, environment_for, need_browser
from tests.support.small_site import SmallSite

WAIT_S = 90.0
SMALL = StubModel(EMBED.name, family="bert", context=512, dims=384, size=46_000_000)
THIRD = StubModel("mxbai-embed-large:latest", family="bert", context=256, dims=1024, size=670_000_000)
OFTEN = """
import functools, runpy
from worker import resources
resources.keep_backfilled = functools.partial(resources.keep_backfilled, every_s=3.0)
runpy.run_module("worker", run_name="__main__", alter_sys=True)
"""
"""A worker that backfills every three seconds instead of every minute."""
POISON = GUILTY.replace(b"Guilty", b"3f2b8c6e5a7d4e1f90ab" * 120)


@pytest.fixture
async def ollama() -> AsyncGenerator[OllamaServer]:
    server = OllamaServer(SMALL, THIRD)
    async with server:
        yield server


def start(variables: dict[str, str], log_file: Path) -> subprocess.Popen[bytes]:
    with log_file.open("wb") as log:
        return subprocess.Popen([sys.executable, "-c", OFTEN], cwd=ROOT, env=variables, stdout=log, stderr=log)


async def scanned(client: Client, url: str) -> str:
    job = await client.submit("scan", {"url": url})
    result = await client.wait(job.job_id, timeout_s=WAIT_S)
    assert isinstance(result, ScanResult)
    return result.scan_id


async def fields_of(redis: Redis, keys: Keys, scan_id: str) -> dict[str, bytes]:
    found = await cast("Awaitable[dict[bytes, bytes]]", redis.hgetall(keys.scan(scan_id)))
    return {name.decode(): value for name, value in found.items()}


async def test_a_text_too_long_and_an_outage_cost_no_page_its_vector_and_no_reindex_its_end(
    children: list[subprocess.Popen[bytes]],
    client: Client,
    site: SmallSite,
    ollama: OllamaServer,
    redis: Redis,
    redis_url: str,
    keys: Keys,
    tmp_path: Path,
):
    need_browser()
    site.files["/poison"] = POISON
    models = {"OLLAMA_BASE_URL": ollama.url, "EMBEDDING_MODEL": SMALL.name}
    variables = environment_for(redis_url, keys, **models)
    worker = start(variables, tmp_path / "workers.log")
    children.append(worker)

    async def has_vector(scan_id: str) -> bool:
        return "vector" in await fields_of(redis, keys, scan_id)

    poison = await scanned(client, f"{site.url}/poison")
    await until(lambda: has_vector(poison), what="the vector of the long text")
    await ollama.stop()
    later = await scanned(client, f"{site.url}/guilty")
    had_one = await has_vector(later)
    async with ollama:
        await until(lambda: has_vector(later), what="the vector of the later scan")
        noted = (await fields_of(redis, keys, poison)).get("vector_note", b"")
        moved = await asyncio.to_thread(run_sightline, variables, "reindex", "--to", THIRD.name)

    kept = [await fields_of(redis, keys, scan_id) for scan_id in (poison, later)]
    assert not had_one
    assert b"characters" in noted
    assert moved.returncode == 0, moved.stderr
    assert [len(fields["vector_2"]) for fields in kept] == [THIRD.dims * 2] * 2
    assert b"characters" in kept[0]["vector_2_note"]
    assert worker.poll() is None
