from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from producer.contract import JsonObject, ScanRequest, ScanResult
from producer.errors import InvalidJob, ModelError, ScanFailed
from producer.keys import Keys
from tests.support.redis_server import StartServer
from tests.support.scans import FixedEngine, finding, scan_result
from worker.agent.handlers import SHOT_TTL_S, scan
from worker.agent.scan_graph import ScanGraph
from worker.agent.state import Engine, ScanContext
from worker.memory.checkpoints import ScanSaver, scan_saver
from worker.memory.history import History
from worker.models.builtin import BuiltinChat, BuiltinEmbedder
from worker.models.protocols import ChatModel, ChatReply, Embedder, EmbedReply, Message
from worker.outcome import Commit, CounterWrite, HashWrite, StringWrite
from worker.scan.settings import Secrets

HOME = "https://shop.example/home"
BARRIERS = scan_result(finding("image-alt", "a", "b"), finding("label", "c"))


@dataclass(frozen=True)
class Resources:
    keys: Keys
    scan_graph: ScanGraph
    embedding_model: str = "builtin"


@pytest.fixture
async def history(redis: Redis, keys: Keys) -> History:
    history = History(redis, keys, BuiltinEmbedder())
    await history.ensure_index()
    return history


@pytest.fixture
async def saver(redis: Redis, keys: Keys) -> ScanSaver:
    return await scan_saver(redis, keys)


def graph(
    engine: Engine,
    history: History,
    keys: Keys,
    *,
    chat: ChatModel | None = None,
    embedder: Embedder | None = None,
    saver: ScanSaver | None = None,
) -> ScanGraph:
    return ScanGraph(
        engine=engine,
        chat=chat or BuiltinChat(),
        embedder=embedder or BuiltinEmbedder(),
        history=history,
        environment=keys.environment,
        checkpointer=saver,
    )


async def run(keys: Keys, scans: ScanGraph, job_id: str, **payload: Any) -> tuple[ScanResult, Commit]:
    commit = await scan({"resources": Resources(keys, scans), "job_id": job_id}, **{"url": HOME, **payload})
    assert isinstance(commit.result, ScanResult)
    return commit.result, commit


async def apply(redis: Redis, commit: Commit) -> None:
    """Write what finish.lua would."""
    for write in commit.writes:
        match write:
            case HashWrite(key, fields):
                await redis.execute_command("HSET", key, *chain.from_iterable(fields.items()))
            case CounterWrite(key, field, by):
                await redis.execute_command("HINCRBY", key, field, by)
            case StringWrite(key, value, ttl_s):
                await redis.set(key, value, ex=ttl_s)


async def hash_of(redis: Redis, key: str) -> dict[str, str]:
    fields: dict[bytes, bytes] = await cast("Awaitable[Any]", redis.hgetall(key))
    return {name.decode(): value.decode("utf-8", "replace") for name, value in fields.items()}


class StoppedModel(BuiltinChat):
    """Says that it was asked, and never answers."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def chat(self, messages: Sequence[Message], *, schema: JsonObject | None = None) -> ChatReply:
        del messages, schema
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError


class FailingEmbedder(BuiltinEmbedder):
    async def embed_documents(self, texts: Sequence[str]) -> EmbedReply:
        msg = f"nothing answers at the model server, asked for {len(texts)}"
        raise ModelError(msg)


async def test_a_scan_commits_its_result_its_document_and_the_site_s_counts(redis: Redis, keys: Keys, history: History):
    result, commit = await run(keys, graph(FixedEngine([BARRIERS]), history, keys), "job-1", group="shop")

    await apply(redis, commit)
    record = await history.get("job-1")
    site = await hash_of(redis, keys.site("shop.example"))
    assert (result.scan_id, result.assessment_source, result.group) == ("job-1", "builtin", "shop")
    assert result.assessment is not None
    assert record is not None
    assert (record.url, record.group, record.times_seen, record.summary) == (
        HOME, "shop", 1, result.assessment.summary,
    )  # fmt: skip
    assert site["generation"] == "1"
    assert site == await hash_of(redis, keys.site(""))
    assert {name.partition(":")[2]: value for name, value in site.items() if ":" in name} == {
        "scans": "1",
        "critical": "3",
    }
    assert commit.event["status"] == "scanned"
    assert commit.event["barriers"] == 3
    assert {"recall", "assess"} <= result.timings_ms.keys()


async def test_the_second_scan_tells_what_is_new_and_what_is_fixed(redis: Redis, keys: Keys, history: History):
    later = scan_result(finding("image-alt", "b", "d"), finding("label", "c"))
    scans = graph(FixedEngine([BARRIERS, later]), history, keys)
    first, commit = await run(keys, scans, "job-1")
    await apply(redis, commit)

    second, _ = await run(keys, scans, "job-2")

    assert first.changes is None
    assert second.changes is not None
    assert (second.changes.previous, second.changes.new, second.changes.fixed, second.changes.unchanged) == (
        "job-1", ("d",), ("a",), 2,
    )  # fmt: skip


async def test_an_unchanged_page_adds_no_document(redis: Redis, keys: Keys, history: History):
    scans = graph(FixedEngine([BARRIERS]), history, keys)
    scan_ids: list[str] = []
    for number in range(4):
        result, commit = await run(keys, scans, f"job-{number}")
        await apply(redis, commit)
        scan_ids.append(result.scan_id)

    (record,) = await history.find()
    assert scan_ids == [record.scan_id] * 4 == ["job-0"] * 4
    assert record.times_seen == 4
    assert record.last_seen_ms > record.at_ms
    assert (await hash_of(redis, keys.site("shop.example")))["generation"] == "4"


async def test_a_page_that_cannot_be_read_fixes_nothing_and_the_next_is_compared_with_the_last_that_was(
    redis: Redis, keys: Keys, history: History
):
    down = scan_result(status="unreachable").model_copy(update={"reason": "refused"})
    scans = graph(FixedEngine([BARRIERS, down, BARRIERS]), history, keys)
    results: list[ScanResult] = []
    for number in range(3):
        result, commit = await run(keys, scans, f"job-{number}")
        await apply(redis, commit)
        results.append(result)

    assert results[1].changes is None
    assert results[1].assessment_source == "none: the page is unreachable"
    assert results[2].changes is not None
    assert (results[2].changes.previous, results[2].changes.unchanged) == ("job-0", 3)
    assert [record.status for record in await history.find()] == ["scanned", "unreachable", "scanned"]


async def test_the_same_rule_on_a_similar_page_is_told_to_the_model(redis: Redis, keys: Keys, history: History):
    scans = graph(FixedEngine([BARRIERS]), history, keys)
    _, commit = await run(keys, scans, "job-1")
    await apply(redis, commit)

    result, _ = await run(keys, scans, "job-2", url="https://shop.example/home-2")

    assert result.changes is None
    assert result.assessment is not None
    assert "1 similar page" in result.assessment.priorities[0].why


async def test_without_an_embedding_model_the_findings_are_delivered_and_kept(
    redis: Redis, keys: Keys, history: History
):
    result, commit = await run(keys, graph(FixedEngine([BARRIERS]), history, keys, embedder=FailingEmbedder()), "job-1")

    await apply(redis, commit)
    assert result.counts.total == 2
    assert [record.scan_id for record in await history.find()] == ["job-1"]
    assert "vector" not in await hash_of(redis, keys.scan("job-1"))


async def test_a_screenshot_is_committed_with_the_result(keys: Keys, history: History):
    engine = FixedEngine([BARRIERS], screenshot=b"\x89PNG\x00\xff")

    asked, commit = await run(keys, graph(engine, history, keys), "job-1", screenshot=True)
    not_asked, _ = await run(keys, graph(engine, history, keys), "job-2")

    assert asked.screenshot == keys.shot("job-1")
    assert StringWrite(keys.shot("job-1"), b"\x89PNG\x00\xff", SHOT_TTL_S) in commit.writes
    assert not_asked.screenshot is None


async def test_html_without_an_address_is_scanned_and_counted_for_all_sites_alone(
    redis: Redis, keys: Keys, history: History
):
    page = scan_result(finding("image-alt", "a"), url="")
    scans = graph(FixedEngine([page]), history, keys)

    _, commit = await run(keys, scans, "job-1", url=None, html="<p>Hi")
    await apply(redis, commit)
    again, _ = await run(keys, scans, "job-2", url=None, html="<p>Hi")

    assert {write.key for write in commit.writes if write.key.startswith(keys.site(""))} == {keys.site("")}
    assert (await hash_of(redis, keys.site("")))["generation"] == "1"
    assert again.scan_id == "job-1"


@pytest.mark.parametrize("payload", [{"url": "file:///etc/passwd"}, {"url": HOME, "html": "x"}, {"url": 7}])
async def test_a_payload_that_is_no_scan_request_is_an_invalid_job(keys: Keys, history: History, payload: JsonObject):
    with pytest.raises(InvalidJob, match="not a scan request"):
        await run(keys, graph(FixedEngine([BARRIERS]), history, keys), "job-1", **payload)


async def test_a_failing_browser_is_raised_on(keys: Keys, history: History):
    with pytest.raises(ScanFailed, match="crashed"):
        await run(keys, graph(FixedEngine([ScanFailed("crashed")]), history, keys), "job-1")


async def test_a_scan_stopped_in_assess_goes_on_without_loading_the_page_again(
    redis: Redis, keys: Keys, history: History, saver: ScanSaver
):
    engine = FixedEngine([BARRIERS], screenshot=b"shot")
    stopped = StoppedModel()
    first = asyncio.create_task(
        run(keys, graph(engine, history, keys, chat=stopped, saver=saver), "job-1", screenshot=True)
    )
    await asyncio.wait_for(stopped.asked.wait(), 10)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)

    # Another worker: a saver and a graph of its own.
    scans = graph(engine, history, keys, saver=await scan_saver(redis, keys))
    result, commit = await run(keys, scans, "job-1", screenshot=True)

    assert engine.calls == 1
    assert result.findings == BARRIERS.findings
    assert result.assessment_source == "builtin"
    assert StringWrite(keys.shot("job-1"), b"shot", SHOT_TTL_S) in commit.writes


async def test_a_scan_whose_commit_was_lost_is_not_run_again(keys: Keys, history: History, saver: ScanSaver):
    engine = FixedEngine([BARRIERS])
    scans = graph(engine, history, keys, saver=saver)

    first, _ = await run(keys, scans, "job-1")
    second, _ = await run(keys, scans, "job-1")

    assert engine.calls == 1
    assert second == first


async def test_a_scan_that_failed_reads_the_page_at_the_next_attempt(keys: Keys, history: History, saver: ScanSaver):
    engine = FixedEngine([ScanFailed("crashed"), BARRIERS])
    scans = graph(engine, history, keys, saver=saver)
    with pytest.raises(ScanFailed):
        await run(keys, scans, "job-1")

    result, _ = await run(keys, scans, "job-1")

    assert result.counts.total == 2


async def test_an_id_used_again_for_another_page_is_a_new_scan(keys: Keys, history: History, saver: ScanSaver):
    engine = FixedEngine([BARRIERS, scan_result()])
    scans = graph(engine, history, keys, saver=saver)
    await run(keys, scans, "job-1")

    result, _ = await run(keys, scans, "job-1", url="https://shop.example/cart")

    assert engine.calls == 2
    assert result.url == "https://shop.example/cart"
    assert result.findings == ()


async def test_nothing_of_a_run_is_left_once_it_is_forgotten(
    redis: Redis, keys: Keys, history: History, saver: ScanSaver
):
    scans = graph(FixedEngine([BARRIERS]), history, keys, saver=saver)
    await run(keys, scans, "job-1")
    await run(keys, scans, "job-2")
    kept = [key async for key in redis.scan_iter(match=f"*{keys.environment}*job-*")]

    await scans.forget("job-1")
    await scans.forget("job-1")

    left = [key async for key in redis.scan_iter(match=f"*{keys.environment}*job-*")]
    assert len([key for key in kept if b"job-1" in key]) > 3
    assert not [key for key in left if b"job-1" in key]
    assert [key for key in left if b"job-2" in key]


async def test_every_key_of_a_run_expires(redis: Redis, keys: Keys, history: History, saver: ScanSaver):
    await run(keys, graph(FixedEngine([BARRIERS]), history, keys, saver=saver), "job-1")

    for_ever = [key async for key in redis.scan_iter(match=f"*{keys.environment}*job-1*") if await redis.ttl(key) < 0]

    assert for_ever == []


async def test_secrets_are_handed_to_the_engine_and_kept_nowhere(
    redis: Redis, keys: Keys, history: History, saver: ScanSaver
):
    engine = FixedEngine([BARRIERS])
    scans = graph(engine, history, keys, saver=saver)
    secrets = Secrets(headers={"Authorization": "Bearer s3cr3t-t0ken"})

    await scans.run("job-1", ScanRequest(url=HOME), ScanContext(secrets=secrets))

    assert engine.secrets == [secrets]
    dumps = [await redis.dump(key) async for key in redis.scan_iter(match=f"*{keys.environment}*")]
    assert len(dumps) > 3
    assert not [dump for dump in dumps if dump and b"s3cr3t-t0ken" in dump]


async def test_each_step_is_told_as_it_begins(keys: Keys, history: History):
    steps: list[str] = []
    resources = Resources(keys, graph(FixedEngine([BARRIERS]), history, keys))

    await scan({"resources": resources, "job_id": "job-1", "progress": steps.append}, url=HOME)

    assert steps == ["loading", "recalling", "assessing"]


async def test_eight_workers_may_set_up_their_savers_at_once(redis: Redis, keys: Keys, history: History):
    savers = await asyncio.gather(*(scan_saver(redis, keys) for _ in range(8)))

    results = await asyncio.gather(
        *(
            run(keys, graph(FixedEngine([BARRIERS]), history, keys, saver=saver), f"job-{number}")
            for number, saver in enumerate(savers)
        )
    )

    assert [result.counts.total for result, _ in results] == [2] * 8


async def test_hostile_text_comes_back_from_the_checkpoints_as_it_was(keys: Keys, history: History, saver: ScanSaver):
    title = '{"lc": 2, "type": "constructor", "id": ["datetime", "datetime"], "kwargs": {}}'
    engine = FixedEngine([scan_result(finding("image-alt", "a"), title=title)])
    scans = graph(engine, history, keys, saver=saver)
    await run(keys, scans, "job-1")

    again, _ = await run(keys, scans, "job-1")

    assert engine.calls == 1
    assert again.title == title


async def test_a_scan_in_a_full_redis_goes_on_without_its_steps_being_kept(
    redis_server: StartServer,
):
    keys = Keys("full")
    async with Redis.from_url(redis_server().url, protocol=2) as client:
        history = History(client, keys, BuiltinEmbedder())
        await history.ensure_index()
        saver = await scan_saver(client, keys)
        await client.config_set("maxmemory-policy", "noeviction")
        await client.config_set("maxmemory", "1")
        scans = graph(FixedEngine([BARRIERS]), history, keys, saver=saver)

        result, _ = await run(keys, scans, "job-1")

        with pytest.raises(OutOfMemoryError):
            await client.set("is-it-full", "yes")
        assert result.counts.total == 2
