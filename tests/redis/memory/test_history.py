from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import numpy as np
import pytest
from redis.asyncio import Redis

from producer.contract import Impact, ScanResult
from producer.errors import ModelError, RedisUnsuitable, SettingsError
from producer.keys import Keys
from tests.support.queue import until
from tests.support.scans import GENERATION, finding, placed, scan_result, write_scan, wrong_vector
from tests.support.two_models import OLD, Environment
from worker.memory.history.history import History, ScanFilter
from worker.memory.vectors.backfill import all_documents
from worker.memory.vectors.embeddings import Embeddings, Placed
from worker.models.builtin.models import DIMS, BuiltinEmbedder
from worker.models.protocols import Vectors


class OtherEmbedder(BuiltinEmbedder):
    """Another model by name and dimensions; it is never asked for a vector."""

    name = "nomic-embed-text"
    dims = 768


async def keep(
    redis: Redis, keys: Keys, scan_id: str, result: ScanResult, *, page: str = "p1", seen_ms: int = 1_000
) -> None:
    await write_scan(redis, keys, result.model_copy(update={"scan_id": scan_id}), page=page, at_ms=seen_ms)


async def test_eight_workers_may_create_the_index_at_once(redis: Redis, keys: Keys):
    histories = [History(Embeddings(redis, keys, BuiltinEmbedder())) for _ in range(8)]

    await asyncio.gather(*(history.ensure_index() for history in histories))
    await histories[0].ensure_index()

    await keep(redis, keys, "j1", scan_result())
    found = [await history.previous("p1", before_job="j2") for history in histories]
    assert [record and record.scan_id for record in found] == ["j1"] * 8


async def test_the_previous_scan_is_the_newest_of_the_page_that_is_not_the_job_s_own(
    redis: Redis, keys: Keys, history: History
):
    await keep(redis, keys, "old", scan_result(title="old"), seen_ms=1_000)
    await keep(redis, keys, "new", scan_result(title="new"), seen_ms=3_000)
    await keep(redis, keys, "down", scan_result(status="unreachable"), seen_ms=3_500)
    await keep(redis, keys, "own", scan_result(title="own"), seen_ms=4_000)
    await keep(redis, keys, "else", scan_result(title="else"), page="p2", seen_ms=5_000)

    newest = await history.previous("p1", before_job="own")
    read = await history.previous("p1", before_job="own", status="scanned")

    assert newest is not None
    assert newest.scan_id == "down"
    assert read is not None
    assert (read.scan_id, read.title, read.last_seen_ms) == ("new", "new", 3_000)
    assert await history.previous("p3", before_job="own") is None


async def test_job_ids_are_told_apart_by_case(redis: Redis, keys: Keys, history: History):
    await keep(redis, keys, "Job-A", scan_result())

    assert await history.previous("p1", before_job="job-a") is not None
    assert await history.previous("p1", before_job="Job-A") is None


async def test_similar_scans_come_nearest_first(redis: Redis, keys: Keys, history: History):
    await keep(redis, keys, "images", scan_result(finding("image-alt", "a"), title="Gallery of pictures"))
    await keep(redis, keys, "forms", scan_result(finding("label", "b"), title="Order form for shoes"), page="p2")

    near = await history.similar(placed("an order form with labels"))
    others = await history.similar(placed("an order form with labels"), ScanFilter(not_page="p2"))

    assert [one.record.scan_id for one in near] == ["forms", "images"]
    assert near[0].distance < near[1].distance
    assert [one.record.scan_id for one in others] == ["images"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (ScanFilter(), {"a", "b"}),
        (ScanFilter(host="shop.example"), {"a"}),
        (ScanFilter(host="example"), set[str]()),
        (ScanFilter(group="Shop, new | all"), {"b"}),
        (ScanFilter(group="Shop"), set[str]()),
        (ScanFilter(group=""), set[str]()),
        (ScanFilter(rule="label"), {"b"}),
        (ScanFilter(impact="serious"), {"b"}),
        (ScanFilter(criterion="1.1.1"), {"a", "b"}),
        (ScanFilter(criterion="1.1"), set[str]()),
        (ScanFilter(status="scanned", since_ms=2_000), {"b"}),
        (ScanFilter(until_ms=1_500), {"a"}),
    ],
)
async def test_scans_are_found_by_exact_filters(
    redis: Redis, keys: Keys, history: History, wanted: ScanFilter, expected: set[str]
):
    await keep(redis, keys, "a", scan_result(finding("image-alt", "x")), seen_ms=1_000)
    other = scan_result(
        finding("image-alt", "x"),
        finding("label", "y", impact=Impact.SERIOUS),
        url="https://blog.example/",
        group="Shop, new | all",
    )
    await keep(redis, keys, "b", other, page="p2", seen_ms=2_000)

    assert {record.scan_id for record in await history.find(wanted)} == expected
    assert {one.record.scan_id for one in await history.similar(placed("x"), wanted)} == expected


async def test_a_scan_is_got_by_its_id(redis: Redis, keys: Keys, history: History):
    await keep(redis, keys, "j1", scan_result(finding("label", "a"), title="Übersicht"))

    record = await history.get("j1")

    assert record is not None
    assert (record.title, record.findings[0].nodes) == ("Übersicht", ("a",))
    assert await history.get("none") is None


async def test_another_embedding_model_is_refused_with_what_to_set(redis: Redis, keys: Keys, history: History):
    with pytest.raises(SettingsError, match=r"'builtin'.*set EMBEDDING_MODEL=builtin"):
        await History(Embeddings(redis, keys, OtherEmbedder())).ensure_index()

    assert await redis.execute_command("HGET", keys.embedding, "active") == b"1:256f16:builtin"
    await history.ensure_index()


async def test_pages_that_are_nearly_the_same_do_not_hide_each_other(redis: Redis, keys: Keys, history: History):
    random = np.random.default_rng(1)

    def near_to(centre: Vectors, count: int, apart: float) -> Vectors:
        rows = centre + apart * random.normal(size=(count, DIMS)) / np.sqrt(DIMS)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    template = near_to(np.zeros((1, DIMS), dtype=np.float32), 1, 1.0)
    twins, queries = near_to(template, 4_000, 0.05), near_to(template, 20, 0.3)
    async with redis.pipeline(transaction=False) as pipe:
        for number, vector in enumerate(twins):
            pipe.hset(keys.scan(f"s{number}"), mapping={"page": f"p{number}", "vector": GENERATION.blob(vector)})
        await pipe.execute()

    found = 0
    for query in queries:
        near = await history.similar(Placed(query, GENERATION), limit=10)
        nearest = {f"s{number}" for number in np.argsort(-(twins @ query))[:10]}
        found += len(nearest & {one.record.scan_id for one in near})

    assert found >= 0.9 * 20 * 10


async def test_a_vector_of_the_wrong_length_is_refused(history: History):
    with pytest.raises(ModelError, match="float32"):
        await history.similar(Placed(wrong_vector(768), GENERATION))


async def test_an_index_dropped_under_a_running_worker_is_built_again(redis: Redis, keys: Keys, history: History):
    await keep(redis, keys, "j1", scan_result())
    await redis.execute_command("FT.DROPINDEX", keys.scans_index)

    found = await history.previous("p1", before_job="j2")

    assert found is not None
    assert found.scan_id == "j1"


async def test_an_index_of_an_earlier_release_gets_the_fields_it_lacks(redis: Redis, keys: Keys):
    index = ("ON", "HASH", "PREFIX", "1", keys.scan_prefix)
    await redis.execute_command("FT.CREATE", keys.scans_index, *index, "SCHEMA", "job", "TAG", "page", "TAG")
    await keep(redis, keys, "j1", scan_result(finding("label", "a")))

    histories = [History(Embeddings(redis, keys, BuiltinEmbedder())) for _ in range(4)]
    await asyncio.gather(*(history.ensure_index() for history in histories))

    wanted = ScanFilter(rule="label", status="scanned")
    await until(partial(histories[0].find, wanted), what="the fields being indexed")
    assert [one.record.scan_id for one in await histories[0].similar(placed("x"), wanted)] == ["j1"]


class WithoutSearch(Redis):
    """Answers as a Redis without RediSearch does: it sends FT commands under a name that no server knows."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        name = str(args[0])
        return await super().execute_command(name.replace("FT.", "NOFT."), *args[1:], **options)


async def test_a_redis_without_search_is_called_unsuitable(redis_url: str, keys: Keys):
    async with WithoutSearch.from_url(redis_url, protocol=2) as client:
        with pytest.raises(RedisUnsuitable, match="search module"):
            await History(Embeddings(client, keys, BuiltinEmbedder())).ensure_index()


async def test_a_search_module_without_vectors_of_16_bits_is_called_unsuitable(redis_url: str, keys: Keys):
    # Redis' own words, for a kind of vector that none knows: what an older one says of FLOAT16.
    class Older(Redis):
        async def execute_command(self, *args: Any, **options: Any) -> Any:
            return await super().execute_command(*("FLOAT8" if one == "FLOAT16" else one for one in args), **options)

    async with Older.from_url(redis_url, protocol=2) as client:
        with pytest.raises(RedisUnsuitable, match=r"older than 2\.10"):
            await History(Embeddings(client, keys, BuiltinEmbedder())).ensure_index()
        await client.delete(keys.embedding)


async def test_database_one_is_called_unsuitable(redis_url: str, keys: Keys):
    async with Redis.from_url(redis_url.removesuffix("/0") + "/1", protocol=2) as client:
        with pytest.raises(RedisUnsuitable, match="database 0"):
            await History(Embeddings(client, keys, BuiltinEmbedder())).ensure_index()
        await client.delete(keys.embedding)


async def test_no_search_returns_the_part_that_redis_found_in_half_a_second(
    redis: Redis, place: Environment, monkeypatch: pytest.MonkeyPatch
):
    send, asked = redis.execute_command, list[tuple[Any, ...]]()

    async def noted(*words: Any, **options: Any) -> Any:
        asked.append(words)
        return await send(*words, **options)

    monkeypatch.setattr(redis, "execute_command", noted)
    await place.history.search("a form")
    await place.history.find()
    await place.history.newest_of_pages()
    await place.history.barriers.find()
    await place.memories.search(("user",))
    await place.memories.search(("user",), query="tea")
    for kind in all_documents(place.embeddings):
        assert await kind.count_lacking(OLD) == len(await kind.lacking(OLD, limit=9))

    searches = [words for words in asked if words[0] in {"FT.SEARCH", "FT.AGGREGATE"}]
    assert len(searches) == 10
    assert [words for words in searches if "TIMEOUT" not in words] == []
