from __future__ import annotations

import asyncio
import json

import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from producer.errors import ScanFailed
from producer.keys import Keys
from tests.redis.agent.scanning import (
    BARRIERS,
    HOME,
    Killed,
    StoppedModel,
    graph,
    jobs,
    run,
)
from tests.support.redis_server import StartServer
from tests.support.scans import FixedEngine, finding, scan_result
from worker.agent.assessment.graph import ScanGraph
from worker.agent.job_secrets import secrets_of
from worker.memory.audits import Audits
from worker.memory.history.history import History
from worker.memory.vectors.embeddings import Embeddings
from worker.models.builtin.models import BuiltinEmbedder
from worker.queue.outcome import HashWrite
from worker.scan.settings import Secrets


async def test_a_scan_stopped_in_assess_goes_on_without_loading_the_page_again(keys: Keys, history: History):
    engine = FixedEngine([BARRIERS], shots={"page": b"shot"})
    stopped = StoppedModel()
    first = asyncio.create_task(run(keys, graph(engine, history, keys, chat=stopped), "job-1", screenshot=True))
    await asyncio.wait_for(stopped.asked.wait(), 10)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)

    scans = graph(engine, history, keys)  # as another worker makes it
    result, commit = await run(keys, scans, "job-1", screenshot=True)

    assert engine.calls == 1
    assert result.findings == BARRIERS.findings
    assert result.assessment_source == "builtin"
    assert HashWrite(keys.shot("job-1"), {"page": b"shot"}) in commit.writes


async def test_a_scan_killed_before_its_audit_is_kept_loads_the_page_again(
    keys: Keys, history: History, monkeypatch: pytest.MonkeyPatch
):
    async def killed(*_: object) -> None:
        raise Killed

    engine = FixedEngine([BARRIERS, BARRIERS])
    with monkeypatch.context() as patched:
        patched.setattr(Audits, "keep", killed)
        with pytest.raises(Killed):
            await run(keys, graph(engine, history, keys), "job-1")

    result, _ = await run(keys, graph(engine, history, keys), "job-1")

    assert engine.calls == 2
    assert result.findings == BARRIERS.findings


@pytest.mark.parametrize("node", ["recall", "assess", "record"])
async def test_a_scan_killed_in_a_later_step_goes_on_with_the_page_as_it_was_read(
    keys: Keys, history: History, monkeypatch: pytest.MonkeyPatch, node: str
):
    async def killed(*_: object) -> None:
        raise Killed

    killed.__name__ = node
    engine = FixedEngine([BARRIERS])
    with monkeypatch.context() as patched:
        patched.setattr(ScanGraph, node, killed)
        with pytest.raises(Killed):
            await run(keys, graph(engine, history, keys), "job-1")

    result, commit = await run(keys, graph(engine, history, keys), "job-1")

    assert engine.calls == 1
    assert result.assessment_source == "builtin"
    document = commit.writes[0]
    assert isinstance(document, HashWrite)
    assert int(document.fields["last_seen_ms"]) > 0


async def test_a_scan_whose_commit_was_lost_is_not_run_again(keys: Keys, history: History):
    engine = FixedEngine([BARRIERS])
    scans = graph(engine, history, keys)

    first, _ = await run(keys, scans, "job-1")
    second, _ = await run(keys, scans, "job-1")

    assert engine.calls == 1
    assert second.findings == first.findings


async def test_a_scan_that_failed_reads_the_page_at_the_next_attempt(keys: Keys, history: History):
    engine = FixedEngine([ScanFailed("crashed"), BARRIERS])
    scans = graph(engine, history, keys)
    with pytest.raises(ScanFailed):
        await run(keys, scans, "job-1")

    result, _ = await run(keys, scans, "job-1")

    assert result.counts.total == 2


async def test_a_replayed_scan_loads_its_page_again_although_a_killed_worker_left_the_audit(
    keys: Keys, history: History
):
    engine = FixedEngine([BARRIERS, scan_result()])
    scans = jobs(keys, graph(engine, history, keys))
    await scans.run({"job_id": "job-1", "score": 1_000}, {"url": HOME})

    again = await scans.run({"job_id": "job-1", "score": 1_000}, {"url": HOME})
    replayed = await scans.run({"job_id": "job-1", "score": 2_000}, {"url": HOME})

    assert engine.calls == 2
    assert [getattr(one.result, "findings", None) for one in (again, replayed)] == [BARRIERS.findings, ()]


async def test_an_id_used_again_for_another_page_is_a_new_scan(keys: Keys, history: History):
    engine = FixedEngine([BARRIERS, scan_result()])
    scans = graph(engine, history, keys)
    await run(keys, scans, "job-1")

    result, _ = await run(keys, scans, "job-1", url="https://shop.example/cart")

    assert engine.calls == 2
    assert result.url == "https://shop.example/cart"
    assert result.findings == ()


async def test_nothing_of_a_run_is_left_once_it_is_forgotten(redis: Redis, keys: Keys, history: History):
    scans = graph(FixedEngine([BARRIERS]), history, keys)
    await run(keys, scans, "job-1")
    await run(keys, scans, "job-2")
    kept = [key async for key in redis.scan_iter(match=f"*{keys.environment}*job-*")]

    await scans.forget("job-1")
    await scans.forget("job-1")

    left = [key async for key in redis.scan_iter(match=f"*{keys.environment}*job-*")]
    assert [key for key in kept if b"job-1" in key] == [keys.audit("job-1").encode()]
    assert not [key for key in left if b"job-1" in key]
    assert [key for key in left if b"job-2" in key]


async def test_every_key_of_a_run_expires(redis: Redis, keys: Keys, history: History):
    await run(keys, graph(FixedEngine([BARRIERS]), history, keys), "job-1")

    ttls = [await redis.ttl(key) async for key in redis.scan_iter(match=f"*{keys.environment}*job-1*")]

    assert ttls
    assert min(ttls) > 0


async def test_secrets_are_handed_to_the_engine_and_kept_nowhere(redis: Redis, keys: Keys, history: History):
    engine = FixedEngine([BARRIERS])
    scans = graph(engine, history, keys)
    secrets = Secrets(headers={"Authorization": "Bearer s3cr3t-t0ken"})

    await redis.execute_command("HSET", keys.secret("job-1"), "headers", json.dumps(secrets.headers))

    await jobs(keys, scans, secrets_of(redis, keys)).run({"job_id": "job-1"}, {"url": HOME})

    await redis.delete(keys.secret("job-1"))
    assert engine.secrets == [secrets]
    dumps = [await redis.dump(key) async for key in redis.scan_iter(match=f"*{keys.environment}*")]
    assert len(dumps) > 1
    assert not [dump for dump in dumps if dump and b"s3cr3t-t0ken" in dump]


async def test_hostile_text_comes_back_as_it_was(keys: Keys, history: History):
    title = '{"lc": 2, "type": "constructor", "id": ["datetime", "datetime"], "kwargs": {}}'
    engine = FixedEngine([scan_result(finding("image-alt", "a"), title=title)])
    scans = graph(engine, history, keys)
    await run(keys, scans, "job-1")

    again, _ = await run(keys, scans, "job-1")

    assert engine.calls == 1
    assert again.title == title


async def test_a_scan_in_a_full_redis_goes_on_without_its_audit_being_kept(
    redis_server: StartServer,
):
    keys = Keys("full")
    async with Redis.from_url(redis_server().url, protocol=2) as client:
        history = History(Embeddings(client, keys, BuiltinEmbedder()))
        await history.ensure_index()
        await client.config_set("maxmemory-policy", "noeviction")
        await client.config_set("maxmemory", "1")
        scans = graph(FixedEngine([BARRIERS]), history, keys)

        result, _ = await run(keys, scans, "job-1")

        with pytest.raises(OutOfMemoryError):
            await client.set("is-it-full", "yes")
        assert result.counts.total == 2
