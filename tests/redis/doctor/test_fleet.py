"""The doctor judges the fleet by what its workers report, from a machine without their settings."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from redis.asyncio import Redis

from producer.client.gpu_view import GpuView, read_gpu
from producer.client.queue_info import QueueInfo, WorkerInfo
from producer.keys import GROUP, Keys
from worker.doctor.examination import examine
from worker.doctor.fleet import fleet_lines
from worker.doctor.line import Level
from worker.memory.history.history import History
from worker.memory.memories import Memories
from worker.memory.vectors.embeddings import Embeddings
from worker.models.builtin.models import BuiltinEmbedder
from worker.settings import WorkerSettings

TOLD: dict[str, Any] = {"release": "1", "models": ["qwen3.5:4b", "nomic-embed-text"], "sandbox": "on", "max_jobs": 3}
"""What the heartbeats of workers say besides their name."""


async def beat(redis: Redis, keys: Keys, name: str, **told: Any) -> None:
    """Write a current heartbeat of a worker."""
    await redis.xgroup_createconsumer(keys.lane("batch"), GROUP, name)
    about = {**TOLD, "name": name, "host": f"host of {name}", "at_ms": int(time.time() * 1000), **told}
    await redis.set(keys.worker(name), json.dumps(about), ex=30)


async def host(redis: Redis, keys: Keys, name: str, *, state: str = "up", reason: str = "", **seen: Any) -> None:
    """A model host as the workers' health checks have left it."""
    about = {"chat": 1, "embed": 1, "state": state, "reason": reason, "since_ms": 1, "fails": 0}
    await redis.execute_command("HSET", keys.gpu_hosts, name, json.dumps(about))
    await redis.execute_command("HSET", keys.gpu_loaded, name, json.dumps({"loaded": [], "missing": [], **seen}))


async def test_a_dead_host_an_old_ollama_and_a_worker_without_a_sandbox_are_three_warnings_by_name(
    redis_url: str, redis: Redis, keys: Keys
):
    await redis.xgroup_create(keys.lane("batch"), GROUP, id="0", mkstream=True)
    await beat(redis, keys, "w1")
    await beat(redis, keys, "w2", sandbox="off: it runs as root")
    await host(redis, keys, "http://gpu-1:11434", state="down", reason="connection refused")
    await host(redis, keys, "http://gpu-2:11434", notes=["it is 0.3.0, which drops the schema: update Ollama to 0.5.0"])

    lines = await examine(
        WorkerSettings(redis_url=redis_url, environment=keys.environment, browser_path=sys.executable)
    )

    found = [line.text for line in lines if line.subject in {"sandbox", "model host"} and line.level is Level.WARNING]
    assert len(found) == 3
    for text, name in zip(found, ("w2", "gpu-1", "gpu-2"), strict=True):
        assert name in text
    assert "the other hosts do its work" in next(line.todo for line in lines if "gpu-1" in line.text)
    assert not [line for line in lines if line.subject in {"ollama", "CHAT_MODEL", "EMBEDDING_MODEL"}]


async def test_what_the_caller_cannot_reach_is_no_error_beside_a_fleet_that_can(
    redis_url: str, redis: Redis, keys: Keys
):
    own = WorkerSettings(
        redis_url=redis_url,
        environment=keys.environment,
        browser_path=sys.executable,
        ollama_base_url="http://127.0.0.1:9",
    )
    alone = {line.subject: line for line in await examine(own)}
    await redis.xgroup_create(keys.lane("batch"), GROUP, id="0", mkstream=True)
    await beat(redis, keys, "w1")

    beside = {line.subject: line for line in await examine(own)}

    assert alone["ollama"].level is Level.ERROR
    assert beside["ollama"].level is Level.WARNING
    assert beside["ollama"].text.startswith("seen from here, not by the workers")


async def test_a_fleet_with_another_embedding_model_is_healthy_for_a_caller_without_settings_or_browser(
    redis_url: str, redis: Redis, keys: Keys
):
    await redis.xgroup_create(keys.lane("batch"), GROUP, id="0", mkstream=True)
    embeddings = Embeddings(redis, keys, BuiltinEmbedder())
    await History(embeddings).ensure_index()
    await Memories(embeddings).ensure_index()
    await beat(redis, keys, "w1", models=["builtin", "builtin"])
    note = "http://gpu:1 is 0.22, which drops the schema: prompts contain it: update Ollama to 0.31.2: fewer repairs"
    await host(redis, keys, "http://gpu:1", notes=[note])

    lines = await examine(
        WorkerSettings(redis_url=redis_url, environment=keys.environment, browser_path="/nowhere/chromium")
    )

    found = {line.subject: line for line in lines}
    assert not [line for line in lines if line.level is Level.ERROR and line.subject not in {"eviction", "disk"}]
    assert found["vectors"].level is Level.OK
    assert found["browser"].level is Level.WARNING
    assert found["browser"].text.startswith("on this machine, not a worker's: ")
    assert found["model host"].text == (
        "model host http://gpu:1: Ollama 0.22, which drops the schema: prompts contain it"
    )
    assert found["model host"].todo == "update Ollama to 0.31.2: fewer repairs"


async def test_no_worker_is_a_warning_and_strictly_an_error(redis_url: str, keys: Keys):
    settings = WorkerSettings(redis_url=redis_url, environment=keys.environment, chat_model="builtin")

    levels = [
        next(line.level for line in await examine(settings, strict=strict) if line.subject == "workers")
        for strict in (False, True)
    ]

    assert levels == [Level.WARNING, Level.ERROR]


def test_releases_models_and_clocks_that_differ_are_named_and_those_that_agree_are_not():
    def worker(name: str, **told: Any) -> WorkerInfo:
        return WorkerInfo.of({**TOLD, "name": name, "host": "h", "at_ms": 1_000_000, **told})

    def subjects(*workers: WorkerInfo) -> list[str]:
        return [line.subject for line in fleet_lines(QueueInfo({}, 0, 0, workers), GpuView(1_010_000, (), (), (), {}))]

    alike = subjects(worker("w1"), worker("w2"))
    mixed = subjects(worker("w1"), worker("w2", release="0", at_ms=1_310_000), worker("w3", models=["builtin"]))

    assert alike == []
    assert mixed == ["releases", "models", "clock"]


async def test_where_no_model_host_is_up_no_other_is_said_to_do_the_work(redis: Redis, keys: Keys):
    for name in ("http://gpu-1:11434", "http://gpu-2:11434"):
        await host(redis, keys, name, state="down", reason="connection refused")

    lines = fleet_lines(QueueInfo({}, 0, 0, ()), await read_gpu(redis, keys))

    assert ["no other is up" in line.todo for line in lines] == [True, True]
