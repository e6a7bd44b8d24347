"""A change of the embedding model while scans and memories are written: nothing is lost, searches always work."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from producer.errors import IndexMoved, InputError, ModelError, ServiceError, SettingsError
from producer.keys import Keys
from tests.support.queue import until
from tests.support.scans import placed
from tests.support.two_models import NAMES, NEW, OLD, Environment, OtherEmbedder
from worker.memory.cache import AnswerCache, Scope
from worker.memory.history.history import ScanFilter
from worker.memory.vectors.backfill import backfill_in_turn
from worker.memory.vectors.embeddings import Embedded, Embeddings
from worker.memory.vectors.generations import Generation, Record
from worker.memory.vectors.reindex import Progress, reindex
from worker.models.builtin.models import BuiltinEmbedder, hash_text


async def test_all_vectors_are_rebuilt_and_the_old_ones_deleted(place: Environment):
    told: list[Progress] = []

    done = await place.reindex(tell=told.append)

    assert (done.what, done.model, done.dims, done.written, done.documents) == ("moved", "other", 64, 6, 6)
    assert await place.record() == Record(NEW, previous="builtin")
    for key in [*(place.keys.scan(name) for name in NAMES)]:
        fields = await place.fields(key)
        assert len(fields["vector_2"]) == 64 * 2
        assert "vector" not in fields
    assert [one.record.scan_id for one in await place.history.search("form", limit=1)] == ["form"]
    assert [item.key for item in await place.memories.search(("user",), query="green cups")] == ["tea", "coffee"]
    assert await place.indexes() == {f"{place.keys.scans_index}:2", f"{place.keys.memories_index}:2"}
    assert [one.step for one in told] == ["embedding", "embedding", "cleaning", "cleaning"]
    assert (told[0].done, told[0].total) == (4, 6)


async def test_vectors_of_32_bits_are_read_until_a_reindex_to_the_same_model_halves_them(redis: Redis, keys: Keys):
    await redis.execute_command("HSET", keys.embedding, "active", "1:256:builtin", "count", "1")
    place = Environment(redis, keys, OtherEmbedder())
    await place.history.ensure_index()
    for name in NAMES:
        await place.scan(name)
    before = await place.fields(keys.scan("form"))
    found = await place.history.search("form", limit=1)

    done = await place.reindex(BuiltinEmbedder())

    after = await place.fields(keys.scan("form"))
    again = await place.history.search("form", limit=1)
    assert (done.what, await place.record()) == ("moved", Record(Generation(2, "builtin", 256), previous="builtin"))
    assert (len(before["vector"]), len(after["vector_2"]), "vector" in after) == (1_024, 512, False)
    assert [one.record.scan_id for one in (*found, *again)] == ["form", "form"]
    assert again[0].distance == pytest.approx(found[0].distance, abs=1e-3)


async def test_searches_go_on_and_what_is_written_meanwhile_has_vectors_of_both(place: Environment):
    place.other.hold.clear()
    moving = asyncio.create_task(place.reindex())
    await until(lambda: place.other.calls, what="the first batch being embedded")

    during = [one.record.scan_id for one in await place.history.search("cart", limit=1)]
    writing = asyncio.create_task(place.scan("late"))
    remembering = asyncio.create_task(place.memories.put(("user",), "late", {"text": "late words"}))
    await asyncio.sleep(0)
    record = await place.record()
    place.other.hold.set()
    await asyncio.gather(moving, writing, remembering)

    assert during == ["cart"]
    assert record == Record(OLD, coming=NEW)
    late = await place.fields(place.keys.scan("late"))
    assert {"1", "2"} >= set(late["embedded"].decode().split(",")) >= {"2"}
    assert [one.record.scan_id for one in await place.history.search("late", limit=1)] == ["late"]
    assert [item.key for item in await place.memories.search(("user",), query="late words", limit=1)] == ["late"]


async def test_a_reindex_that_failed_half_way_goes_on_where_it_was(place: Environment):
    for number in range(70):
        await place.scan(f"more-{number}")
    place.other.down = 1

    with pytest.raises(ModelError):
        await place.reindex()
    still = await place.record()
    found = [one.record.scan_id for one in await place.history.search("form", limit=1)]
    place.other.down, place.other.calls = -1, 0
    done = await place.reindex()

    assert still == Record(OLD, coming=NEW)
    assert found == ["form"]
    assert done.written == 4 + 70 + 2 - 32
    assert (await place.record()).active == NEW


async def test_what_a_worker_commits_with_the_old_vector_alone_is_found_before_and_after_the_switch(
    place: Environment,
):
    old_only = Embedded("slow text", {1: OLD.blob(hash_text("slow text"))})

    committed: dict[str, asyncio.Task[None]] = {}

    def commit_late(progress: Progress) -> None:
        if progress.step not in committed:
            committed[progress.step] = asyncio.create_task(place.scan(f"during-{progress.step}", old_only))

    await place.reindex(tell=commit_late)
    await asyncio.gather(*committed.values())
    await place.scan("after", old_only)
    before = await place.history.search("slow text", limit=3)

    backfilled = await backfill_in_turn(place.embeddings)

    assert "during-embedding" in {one.record.scan_id for one in before if one.distance < 0.01}
    assert "after" not in {one.record.scan_id for one in before}
    assert backfilled >= 1
    assert await place.is_whole(NEW)
    near = await place.history.search("slow text", limit=3)
    assert {one.record.scan_id for one in near if one.distance < 0.01} == {
        "during-embedding", "during-cleaning", "after",
    }  # fmt: skip


async def test_naming_the_model_in_use_gives_a_change_up_and_leaves_nothing_of_it(place: Environment):
    await place.broken_off_reindex()

    done = await place.reindex(BuiltinEmbedder())

    assert (done.what, done.model) == ("given up", "builtin")
    assert await place.record() == Record(OLD)
    assert "vector_2" not in await place.fields(place.keys.scan("cart"))
    assert await place.indexes() == {place.keys.scans_index, place.keys.memories_index}
    assert await place.is_whole(OLD)
    # Not by asking for the nearest: forty pages that differ in a number hide the others from an HNSW graph.
    found = await place.redis.execute_command("FT.SEARCH", place.keys.scans_index, "*", "LIMIT", 0, 0)
    assert found == [40 + len(NAMES)]


async def test_there_and_back_again_uses_no_number_twice(place: Environment):
    await place.reindex()

    done = await place.reindex(BuiltinEmbedder())

    assert (done.what, (await place.record()).active) == ("moved", Generation(3, "builtin", 256))
    assert {name for name in await place.fields(place.keys.scan("cart")) if name.startswith("vector")} == {"vector_3"}
    assert [one.record.scan_id for one in await place.history.search("help", limit=1)] == ["help"]


async def test_two_commands_at_once_come_to_the_same_end(place: Environment):
    done = await asyncio.gather(*(place.reindex() for _ in range(3)))

    assert {one.model for one in done} == {"other"}
    assert await place.record() == Record(NEW, previous="builtin")
    assert await place.is_whole(NEW)


async def test_a_third_model_is_refused_while_a_change_is_under_way(place: Environment):
    place.other.down = 0
    with pytest.raises(ModelError):
        await place.reindex()

    with pytest.raises(InputError, match="finish it with: sightline reindex --to other"):
        await place.reindex(OtherEmbedder("third"))


async def test_a_change_to_a_third_model_needs_neither_the_one_in_use_nor_one_whose_cleaning_was_killed(
    place: Environment,
):
    await place.reindex()
    await place.redis.execute_command("HSET", place.keys.embedding, "retired", OLD.pack())  # killed while it cleaned
    await place.scan("lost", Embedded("a text that has no vector", {}))
    place.other.down = 0  # and gone for good

    done = await place.reindex(BuiltinEmbedder())

    assert (done.what, done.model, (await place.record()).retired) == ("moved", "builtin", None)
    assert await place.is_whole((await place.record()).active)


async def test_a_change_is_given_up_without_the_model_in_use(place: Environment):
    await place.reindex()
    place.other.down = place.other.calls  # the model in use is gone, and what is scanned has no vector
    await place.scan("lost", Embedded("a text that has no vector", {}))
    third = place.further["third"] = OtherEmbedder("third", down=0)
    with pytest.raises(ModelError):
        await place.reindex(third)

    done = await place.reindex(place.other)

    assert (done.what, done.model) == ("given up", "other")
    assert await place.record() == Record(NEW, previous="builtin")


async def test_a_reindex_counts_what_it_shortened_and_what_was_refused(place: Environment):
    await place.scan("poison", Embedded("a text of poison", {}))
    place.other.takes, place.other.refuses = 10, "poison"

    done = await place.reindex()

    assert (done.what, done.refused, done.shortened > 0) == ("moved", 1, True)


async def test_without_any_vectors_there_is_nothing_to_move(redis: Redis, keys: Keys):
    with pytest.raises(SettingsError, match="set EMBEDDING_MODEL=other, and start a worker"):
        await reindex(Embeddings(redis, keys), OtherEmbedder())
    with pytest.raises(ServiceError, match="start a worker"):
        await Embeddings(redis, keys).record()


async def test_a_changed_setting_is_refused_with_the_command_to_type_unless_a_reindex_explains_it(place: Environment):
    place.other.down = 0
    with pytest.raises(SettingsError, match=r"run: sightline reindex --to other; .*set EMBEDDING_MODEL=builtin"):
        await place.worker(OtherEmbedder()).claim()
    with pytest.raises(ModelError):
        await place.reindex()

    await place.worker(OtherEmbedder()).claim()
    place.other.down = -1
    await place.reindex()

    await place.worker(OtherEmbedder()).claim()
    await place.worker(BuiltinEmbedder()).claim()
    with pytest.raises(SettingsError, match="reindex --to third"):
        await place.worker(OtherEmbedder("third")).claim()
    with pytest.raises(SettingsError, match=r"'other' \(64 dimensions\)"):
        await place.worker(OtherEmbedder(dims=128)).claim()


async def test_a_search_in_a_generation_that_has_ended_says_so_and_builds_nothing(place: Environment):
    await place.reindex()

    with pytest.raises(IndexMoved, match="moved from 'builtin'"):
        await place.history.similar(placed("cart"))
    assert await place.indexes() == {f"{place.keys.scans_index}:2", f"{place.keys.memories_index}:2"}
    # A filter needs no vector: it goes to the index there is.
    assert len(await place.history.find(ScanFilter(host="shop.example"))) == len(NAMES)


async def test_an_index_dropped_during_a_reindex_is_made_again(place: Environment):
    place.other.down = 0
    with pytest.raises(ModelError):
        await place.reindex()
    for name in await place.indexes():
        await place.redis.execute_command("FT.DROPINDEX", name)
    place.other.down = -1

    found = [one.record.scan_id for one in await place.history.search("form", limit=1)]
    await place.reindex()

    assert found == ["form"]
    assert [one.record.scan_id for one in await place.history.search("form", limit=1)] == ["form"]


async def test_a_memory_written_again_during_a_reindex_keeps_no_vector_of_its_old_words(place: Environment):
    await place.broken_off_reindex()
    place.other.down = -1

    await place.memories.put(("user",), "tea", {"text": "hates tea"})
    await place.reindex()

    (item,) = await place.memories.search(("user",), query="hates tea", limit=1)
    assert (item.value, round(item.score or 0, 3)) == ({"text": "hates tea"}, 1.0)


async def test_an_answer_kept_before_the_change_is_not_given_by_the_new_model(place: Environment):
    scope = Scope(site="", generation=0, model="m", prompt="p")
    cache = AnswerCache(place.embeddings)
    await cache.ensure_index()
    asked = await cache.look_up("what is WCAG?", scope)
    await cache.keep("what is WCAG?", "A standard.", asked.placed, scope)
    await place.reindex()

    after = await cache.look_up("what is WCAG?", scope)
    await cache.keep("what is WCAG?", "A standard.", after.placed, scope)
    again = await cache.look_up("what is WCAG?", scope)

    assert after.found is None
    assert again.found is not None
    # A question that was asked before the change and is answered after it: kept where nobody looks, and no error.
    await cache.keep("what is WCAG?", "A standard.", asked.placed, scope)
