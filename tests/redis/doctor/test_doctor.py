"""The doctor's checks on a real Redis, in every state that they should detect."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from redis.asyncio import Redis

import producer.redis.connection
from producer.keys import GROUP, Keys
from tests.support.command_line import Call
from tests.support.ollama_server import OllamaServer
from tests.support.queue import until
from tests.support.redis_server import StartServer
from tests.support.scan_worker import need_browser
from worker.doctor.examination import examine
from worker.doctor.lifetimes import lifetime_line, take_sample
from worker.doctor.line import Level, Line
from worker.doctor.paraphrases import measure, use
from worker.memory.cache import AnswerCache, Scope
from worker.memory.history.history import History
from worker.memory.memories import Memories
from worker.memory.vectors.embeddings import Embeddings
from worker.models.builtin.models import BuiltinEmbedder
from worker.settings import WorkerSettings


def settings_of(url: str, keys: Keys, **fields: Any) -> WorkerSettings:
    fields = {"chat_model": "builtin", "embedding_model": "builtin", "browser_path": sys.executable, **fields}
    return WorkerSettings(redis_url=url, environment=keys.environment, **fields)


async def lines_of(settings: WorkerSettings) -> dict[str, Line]:
    return {line.subject: line for line in await examine(settings)}


async def test_a_service_in_order_has_no_error(redis_url: str, redis: Redis, keys: Keys):
    async def is_built(index: str) -> bool:
        return not int((await redis.ft(index).info())["indexing"])

    await History(Embeddings(redis, keys, BuiltinEmbedder())).ensure_index()
    await Memories(Embeddings(redis, keys, BuiltinEmbedder())).ensure_index()
    for index in (keys.scans_index, keys.memories_index, keys.barriers_index):
        await until(lambda index=index: is_built(index), what=f"{index} being built: Redis looks at all tests' keys")
    await redis.xgroup_create(keys.lane("batch"), GROUP, id="0", mkstream=True)
    await redis.xgroup_createconsumer(keys.lane("batch"), GROUP, "w1")
    await redis.set(keys.worker("w1"), json.dumps({"name": "w1", "host": "h", "max_jobs": 3}), ex=30)

    lines = await lines_of(settings_of(redis_url, keys))

    memory = lines.pop("memory")
    assert memory.level is Level.WARNING
    assert {subject: line for subject, line in lines.items() if line.level is not Level.OK}.keys() == {"browser"}
    assert {"redis", "modules", "eviction", "disk", "lifetimes", "workers", "dead letters", "browser"} < lines.keys()
    assert lines["vectors"].text == "made by 'builtin' (256 dimensions)"
    assert "no Ollama is needed" in lines["CHAT_MODEL"].text


async def test_another_model_a_dropped_index_and_dead_letters_are_noticed(redis_url: str, redis: Redis, keys: Keys):
    await History(Embeddings(redis, keys, BuiltinEmbedder())).ensure_index()
    await Memories(Embeddings(redis, keys, BuiltinEmbedder())).ensure_index()
    await redis.execute_command("FT.DROPINDEX", keys.memories_index)
    await redis.execute_command("FT.DROPINDEX", keys.barriers_index)
    await redis.execute_command("HSET", keys.embedding, "active", "1:256:nomic-embed-text")
    await redis.xadd(keys.dead, {"id": "j1"})

    lines = await lines_of(settings_of(redis_url, keys))

    assert lines["vectors"].level is Level.ERROR
    assert lines["vectors"].todo == (
        "set EMBEDDING_MODEL=nomic-embed-text; to change the model: sightline reindex --to builtin"
    )
    assert lines["index of scans"].level is Level.OK
    assert lines["index of memories"].level is Level.ERROR
    assert lines["index of component barriers"].level is Level.ERROR
    assert "restart a worker" in lines["index of component barriers"].todo
    assert "dead list" in lines["dead letters"].todo


async def test_a_redis_that_evicts_and_keeps_nothing_on_disk_is_an_error(redis_server: StartServer, keys: Keys):
    server = redis_server(config={"maxmemory-policy": "allkeys-lru", "maxmemory": "64mb", "appendonly": "no"})

    lines = await lines_of(settings_of(server.url, keys))

    assert lines["eviction"].level is lines["disk"].level is Level.ERROR
    assert "allkeys-lru" in lines["eviction"].text
    assert lines["memory"].level is Level.OK


async def test_a_user_who_may_not_ask_for_the_configuration_gets_a_warning_and_no_failure(
    redis_server: StartServer, keys: Keys
):
    server = redis_server()
    async with Redis.from_url(server.url) as admin:
        await admin.execute_command("ACL SETUSER", "lea", "on", ">pw", "~*", "&*", "+@all", "-config")

    lines = await lines_of(settings_of(server.url.replace("redis://", "redis://lea:pw@"), keys))

    assert lines["disk"].level is Level.WARNING
    assert "permit CONFIG GET" in lines["disk"].todo
    assert lines["workers"].level is Level.WARNING


async def test_without_redis_the_rest_is_examined_all_the_same(keys: Keys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(producer.redis.connection, "ATTEMPTS", 1)

    lines = await lines_of(settings_of("redis://127.0.0.1:1/0", keys))

    assert lines["redis"].level is Level.ERROR
    assert "sightline up" in lines["redis"].todo
    assert lines["browser"].level is Level.ERROR
    assert "does not start" in lines["browser"].text, "it is no browser"


async def test_keys_without_the_ttl_they_should_have_are_counted_by_kind(redis: Redis, keys: Keys):
    await redis.set(keys.result("good"), "{}", ex=60)
    await redis.set(keys.result("bad"), "{}")
    await redis.set(keys.scan("kept"), "{}")
    for job_id, state in (("ended", "succeeded"), ("runs", "running")):
        await redis.execute_command("HSET", keys.job(job_id), "state", state)

    sample = await take_sample(redis, keys)

    assert sample.is_whole
    assert (sample.seen, dict(sample.lasting)) == (4, {"result": 1, "job": 1})
    assert set(sample.examples.values()) == {keys.result("bad"), keys.job("ended")}
    line = lifetime_line(sample)
    assert line.level is Level.WARNING
    assert "1 of job, 1 of result" in line.text


async def test_a_large_redis_is_not_walked_whole(redis: Redis, keys: Keys):
    async with redis.pipeline(transaction=False) as pipe:
        for number in range(5_000):
            pipe.set(keys.result(str(number)), "{}", ex=60)
        await pipe.execute()

    sample = await take_sample(redis, keys, calls=1)

    assert not sample.is_whole
    assert 0 < sample.seen < 5_000
    assert "a sample" in lifetime_line(sample).text


async def test_ollama_and_its_models_are_looked_for(redis_url: str, keys: Keys):
    async with OllamaServer() as ollama:
        chat = next(iter(ollama.models))
        hosts = f"{ollama.url},http://127.0.0.1:1"
        settings = settings_of(redis_url, keys, chat_model=chat, embedding_model="not-pulled", ollama_base_url=hosts)

        found = await examine(settings)

    lines = {line.subject: line for line in found}
    assert lines["CHAT_MODEL"].level is Level.OK
    assert lines["EMBEDDING_MODEL"].level is Level.ERROR
    assert lines["EMBEDDING_MODEL"].todo == "run there: ollama pull not-pulled"
    assert [line.level for line in found if line.subject == "ollama"] == [Level.OK, Level.ERROR]


async def test_the_distances_of_the_model_in_use_are_measured_and_the_cache_s_use_is_told(
    redis_url: str, redis: Redis, keys: Keys
):
    cache = AnswerCache(Embeddings(redis, keys, BuiltinEmbedder()))
    await cache.ensure_index()
    await cache.look_up("what is WCAG?", Scope(site="", generation=0, model="m", prompt="p"))

    measured = await measure(settings_of(redis_url, keys))

    assert [pair.asks_the_same for pair in measured.pairs] == [True, True, True, False, False]
    assert all(0 < pair.distance < 2 for pair in measured.pairs)
    assert use(measured.counts) == "the cache was used 1 time so far: 0 hits; 0 near misses; 1 miss"


@pytest.mark.parametrize(("model", "code"), [("builtin", 0), ("another", 3)])
def test_the_command_exits_by_what_it_found(call: Call, model: str, code: int):
    need_browser()

    done = call("doctor", "--json", EMBEDDING_MODEL=model, OLLAMA_BASE_URL="http://127.0.0.1:1")

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == code
    assert {line["subject"] for line in lines} > {"redis", "eviction", "indexes", "browser"}
    assert all(set(line) == {"v", "level", "subject", "text", "todo"} for line in lines)


async def test_a_failed_snapshot_is_an_error_although_writes_are_accepted(redis_server: StartServer, keys: Keys):
    server = redis_server(config={"stop-writes-on-bgsave-error": "no"})
    (server.data_dir / "dump.rdb").mkdir()
    async with Redis.from_url(server.url) as client:
        await client.bgsave()

        async def has_failed() -> bool:
            return (await client.info("persistence"))["rdb_last_bgsave_status"] == "err"

        await until(has_failed, what="the snapshot's failure")

    lines = await lines_of(settings_of(server.url, keys))

    assert lines["disk"].level is Level.ERROR
    assert lines["disk"].text == "the last write failed: snapshot"
