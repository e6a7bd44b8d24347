"""Vectors of a retired generation that were committed after the reindex's pass are deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import cast

import numpy as np
from redis.asyncio import Redis

from producer.keys import Keys
from producer.redis.scripts import run_script
from tests.support.queue import until
from tests.support.two_models import NAMES, NEW, OLD, Environment
from worker.memory.vectors.backfill import BATCH, DELETE, delete_retired, delete_retired_in_turn, keep_backfilled
from worker.memory.vectors.embeddings import Embedded
from worker.models.builtin.models import hash_text


def of_both(text: str) -> Embedded:
    """What a worker has that embedded a text while OLD and NEW were live."""
    return Embedded(text, {1: OLD.blob(hash_text(text)), 2: NEW.blob(np.eye(1, 64, dtype=np.float32)[0])})


async def test_an_old_vector_committed_after_the_reindex_is_deleted_by_a_worker_within_a_minute(place: Environment):
    await place.reindex()
    await place.scan("late", of_both("late words"))
    before = await place.fields(place.keys.scan("late"))

    async with keep_backfilled(place.embeddings, every_s=60):
        await until(partial(place.lacks, place.keys.scan("late"), "vector"), what="the old vector being deleted")

    after = await place.fields(place.keys.scan("late"))
    assert after == {name: value for name, value in before.items() if name != "vector"}
    assert [one.record.scan_id for one in await place.history.search("form", limit=1)] == ["form"]


async def test_an_old_vector_committed_after_the_reindex_is_deleted_by_the_next_one(place: Environment):
    await place.reindex()
    await place.scan("late", of_both("late words"))

    again = await place.reindex()

    assert (again.what, again.written, again.documents) == ("unchanged", 0, 7)
    assert await place.lacks(place.keys.scan("late"), "vector")
    assert "vector_2" in await place.fields(place.keys.scan("late"))


async def test_one_worker_of_all_deletes_them_in_a_day_and_after_each_reindex(place: Environment):
    assert await delete_retired_in_turn(place.embeddings) == 0
    assert 0 < await place.redis.pttl(place.keys.retired) <= 86_400_000
    await place.reindex()
    for number in range(60):
        await place.scan(f"late-{number}", of_both("late words"))

    changed = await asyncio.gather(*(delete_retired_in_turn(place.worker()) for _ in range(6)))

    assert sorted(changed) == [0, 0, 0, 0, 0, 60]
    assert all([await place.lacks(place.keys.scan(f"late-{number}"), "vector") for number in range(60)])


async def test_deleting_beside_a_reindex_takes_no_vector_of_its_generations(place: Environment):
    await place.broken_off_reindex()
    names = [place.keys.scan(name) for name in (*NAMES, *(f"more-{number}" for number in range(40)))]
    before = [await place.fields(name) for name in names]

    changed = sum([count async for _, count in delete_retired(place.embeddings)])

    assert changed == 0
    assert [await place.fields(name) for name in names] == before
    assert sum("vector_2" in fields for fields in before) == BATCH


async def test_other_keys_do_not_block_the_deletion(place: Environment):
    await place.reindex()
    await place.scan("late", of_both("late words"))
    await place.redis.set(place.keys.scan("strange"), "x")

    await place.reindex()

    assert await place.redis.get(place.keys.scan("strange")) == b"x"
    assert await place.lacks(place.keys.scan("late"), "vector")


async def test_deleting_stops_at_its_most_and_says_where(redis: Redis, keys: Keys):
    documents = [keys.scan(f"s{number}") for number in range(5)]
    for key in documents:
        await redis.execute_command("HSET", key, "vector", "1", "vector_2", "2", "vector_12", "12", "vector_x", "x")
    await redis.execute_command("HSET", documents[1], "embedded", "1")
    await redis.execute_command("HDEL", documents[0], "vector", "vector_12")

    without_record = await run_script(redis, DELETE, [keys.embedding, *documents], [2])
    await redis.execute_command("HSET", keys.embedding, "active", "2:64:other", "retired", "1:256:builtin")
    first = await run_script(redis, DELETE, [keys.embedding, *documents], [2])
    rest = await run_script(redis, DELETE, [keys.embedding, *documents[3:]], [2])

    assert (without_record, first, rest) == ([5, 0], [3, 2], [2, 2])
    held = [set(await cast("Awaitable[list[bytes]]", redis.hkeys(key))) for key in documents]
    assert [names - {b"embedded"} for names in held] == [{b"vector_2", b"vector_x"}] * 5
