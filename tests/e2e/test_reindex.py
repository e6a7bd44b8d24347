"""The embedding model is changed while real workers commit scans, and the command is killed in the middle."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import ScanResult
from producer.keys import Keys
from tests.e2e.conftest import GUILTY
from tests.support.command_line import Call, run_module, run_sightline, start_sightline
from tests.support.ollama_server import Fault, OllamaServer
from tests.support.queue import until
from tests.support.scan_worker import StartScanWorker, environment_for
from tests.support.seeded_history import Nights, page
from tests.support.small_site import SmallSite
from worker.memory.history.history import History
from worker.memory.vectors.backfill import BATCH
from worker.memory.vectors.embeddings import Embeddings
from worker.memory.vectors.generations import Generation, Record, read_record
from worker.models.builtin.models import BuiltinEmbedder
from worker.models.routing import open_embedders
from worker.settings import WorkerSettings

WAIT_S = 60
SEEDED = 200
NOMIC = Generation(2, "nomic-embed-text", 768)


class Scans:
    """Commits scans one after the other until ``stop``, each followed by a search by meaning."""

    def __init__(self, client: Client, site: SmallSite, history: History) -> None:
        self.landed: list[str] = []
        self.missed: list[str] = []
        self._client, self._site, self._history = client, site, history
        self._task = asyncio.create_task(self._go_on())
        self._stopped = asyncio.Event()

    async def more(self, count: int) -> None:
        """Wait until so many more have landed."""
        wanted = len(self.landed) + count
        await until(lambda: len(self.landed) >= wanted or self._task.done(), what=f"{count} more scans")

    async def stop(self) -> None:
        self._stopped.set()
        await self._task

    async def _go_on(self) -> None:
        while not self._stopped.is_set():
            name = f"page-{len(self.landed)}"
            self._site.files[f"/{name}"] = GUILTY.replace(b"Guilty", name.encode())
            job = await self._client.submit("scan", {"url": f"{self._site.url}/{name}"}, job_id=name)
            result = await self._client.wait(job.job_id, timeout_s=WAIT_S)
            assert isinstance(result, ScanResult)
            self.landed.append(result.scan_id)
            found = await self._history.search("Seeded page 7", limit=5)
            if len(found) < 5:
                self.missed.append(f"{name}: {len(found)} found")


async def fields_of(redis: Redis, keys: Keys, scan_id: str) -> dict[str, bytes]:
    found = await cast("Awaitable[dict[bytes, bytes]]", redis.hgetall(keys.scan(scan_id)))
    return {name.decode(): value for name, value in found.items()}


@pytest.fixture
async def ollama() -> AsyncGenerator[OllamaServer]:
    async with OllamaServer() as server:
        yield server


@dataclass(frozen=True)
class Command:
    """``sightline`` with a shell's variables."""

    variables: dict[str, str]

    async def lines(self, *arguments: str) -> list[dict[str, Any]]:
        """What it prints, once it has ended well."""
        done = await asyncio.to_thread(run_sightline, self.variables, *arguments)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    async def killed_at(self, moment: Callable[[], bool], *arguments: str) -> None:
        """Start it, and SIGKILL it at that moment."""
        doomed = start_sightline(self.variables, *arguments)
        try:
            await until(moment, what="the moment to kill the command")
        finally:
            doomed.kill()
            doomed.communicate()


async def seed(redis: Redis, keys: Keys) -> list[str]:
    """Scans of the past, with vectors of the first generation."""
    nights = Nights(redis, keys, first_ms=1_000)
    pages = [page(f"https://seeded.example/p{n}", "shop", critical=1, title=f"Seeded page {n}") for n in range(SEEDED)]
    scan_ids = [nights.scan(0, one) for one in pages]
    await nights.commit()
    return scan_ids


async def test_the_model_is_changed_under_landing_scans_and_a_kill_loses_none(
    ollama: OllamaServer,
    start_worker: StartScanWorker,
    client: Client,
    site: SmallSite,
    redis: Redis,
    redis_url: str,
    keys: Keys,
):
    worker = start_worker(OLLAMA_BASE_URL=ollama.url)
    command = Command(environment_for(redis_url, keys, OLLAMA_BASE_URL=ollama.url))
    settings = WorkerSettings(redis_url=redis_url, environment=keys.environment, ollama_base_url=ollama.url)
    seeded = await seed(redis, keys)
    await until(lambda: read_record(redis, keys), what="a worker's record")
    async with open_embedders(settings, redis, keys, worker="test") as open_embedder:
        scans = Scans(client, site, History(Embeddings(redis, keys, open_embedder=open_embedder)))
        await scans.more(1)

        # Each call takes a while, so that the third is under way when the command is killed.
        ollama.faults.extend(Fault("load", seconds=0.3) for _ in range(8))
        await command.killed_at(lambda: batches(ollama) > 2, "reindex", "--to", NOMIC.model)
        record = await read_record(redis, keys)
        await scans.more(1)
        lines = await command.lines("reindex", "--to", NOMIC.model, "--json")
        await scans.more(1)
        await scans.stop()
    again = await command.lines("reindex", "--to", NOMIC.model)
    found = await command.lines("history", "--search", "Seeded page 7", "--limit", "5")

    assert record == Record(Generation(1, "builtin", 256), coming=NOMIC)
    assert scans.missed == []
    assert (lines[-1]["what"], lines[-1]["model"], lines[-1]["dims"]) == ("moved", NOMIC.model, 768)
    # The two batches that were whole when the command was killed are not made again.
    assert 0 < lines[-1]["written"] <= SEEDED - 2 * BATCH + len(scans.landed)
    assert (again[-1]["what"], again[-1]["written"]) == ("unchanged", 0)
    assert again[-1]["documents"] == SEEDED + len(scans.landed)
    assert worker.poll() is None
    for scan_id in [*seeded, *scans.landed]:
        fields = await fields_of(redis, keys, scan_id)
        assert (len(fields["vector_2"]), "vector" in fields) == (768 * 2, False), scan_id
    assert len(found) == 5


def batches(ollama: OllamaServer) -> int:
    """Return the number of calls with several texts; a worker's calls have one."""
    return sum(len(call.body["input"]) > 1 for call in ollama.calls("/api/embed"))


def test_a_worker_with_another_model_is_refused_with_the_command_to_type(redis_url: str, keys: Keys):
    async def begin() -> None:
        async with Redis.from_url(redis_url, protocol=2) as redis:
            await Embeddings(redis, keys, BuiltinEmbedder()).claim()

    asyncio.run(begin())
    variables = environment_for(
        redis_url, keys, EMBEDDING_MODEL="nomic-embed-text", OLLAMA_BASE_URL="http://127.0.0.1:1", LOG_LEVEL="error"
    )

    refused = run_module(variables, "worker")

    assert refused.returncode == 64
    assert refused.stderr.splitlines()[-1] == (
        "sightline: EMBEDDING_MODEL is 'nomic-embed-text' (768 dimensions), but the indexes were built with 'builtin' "
        "(256 dimensions), and vectors of two models cannot be compared: to change the model, run: "
        "sightline reindex --to nomic-embed-text; to keep it, set EMBEDDING_MODEL=builtin"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--to", "not a name"), 64, "expected a model's name"),
        (("--to", "builtin"), 64, "has no vectors yet: set EMBEDDING_MODEL=builtin, and start a worker"),
        ((), 64, "--to"),
    ],
)
def test_a_wrong_call_says_what_was_expected(arguments: tuple[str, ...], code: int, said: str, call: Call):
    done = call("reindex", *arguments)

    assert (done.returncode, said in done.stderr) == (code, True)
