"""embed.lua, delete_retired.lua and reindex_*.lua, each on its own: writes and refusals."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from producer.keys import Keys
from producer.redis.scripts import run_script
from tests.support.two_models import NEW
from worker.memory.vectors.backfill import DELETE, EMBED
from worker.memory.vectors.embeddings import Embeddings
from worker.memory.vectors.generations import Generation, Record, read_record
from worker.memory.vectors.reindex import BEGIN, END, SWITCH
from worker.models.builtin.models import BuiltinEmbedder


async def embed(redis: Redis, key: str, text: str, number: str = "2") -> int:
    return int(
        await run_script(redis, EMBED, [key], [text, number, f"vector_{number}", b"new", f"vector_{number}_note", ""])
    )


async def test_a_vector_is_written_to_the_text_it_was_made_of_alone(redis: Redis, keys: Keys):
    key = keys.scan("s")
    await redis.execute_command("HSET", key, "text", "a", "embedded", "1", "vector", "old")

    wrong = await embed(redis, key, "b")
    gone = await embed(redis, keys.scan("none"), "a")
    right = [await embed(redis, key, "a") for _ in range(2)]
    other = await embed(redis, key, "a", "12")

    assert (wrong, gone, right, other) == (0, 0, [1, 1], 1)
    fields = await cast("Awaitable[dict[bytes, bytes]]", redis.hgetall(key))
    assert fields == {
        b"text": b"a", b"embedded": b"1,2,12", b"vector": b"old", b"vector_2": b"new", b"vector_12": b"new",
    }  # fmt: skip
    assert not await redis.exists(keys.scan("none"))


async def test_a_key_of_another_type_is_refused_before_anything_is_written(redis: Redis, keys: Keys):
    await redis.set(keys.scan("s"), "x")
    await redis.set(keys.embedding, "x")

    for script, args in (
        (DELETE, ["9"]),
        (EMBED, ["a", "2", "v", "x", "n", ""]),
        (BEGIN, ["1:m"]),
        (SWITCH, ["2:1:m", "m"]),
        (END, ["1:1:m"]),
    ):
        key = keys.scan("s") if script is EMBED else keys.embedding
        with pytest.raises(ResponseError, match="expected a hash"):
            await run_script(redis, script, [key], args)
        assert await redis.get(key) == b"x"


async def test_the_record_moves_only_along_its_transitions(redis: Redis, keys: Keys):
    async def run(script: Any, *args: str) -> Any:
        reply = await run_script(redis, script, [keys.embedding], args)
        return [one.decode() for one in reply] if isinstance(reply, list) else reply

    assert await run(BEGIN, "64f16:other") == ["none", ""]
    await Embeddings(redis, keys, BuiltinEmbedder()).claim()

    assert await run(BEGIN, "256f16:builtin") == ["same", "1:256f16:builtin"]
    assert await run(BEGIN, "64f16:other") == ["begun", "2:64f16:other"]
    assert await run(BEGIN, "64f16:other") == ["going on", "2:64f16:other"]
    # The same model in numbers of 32 bits is another generation.
    assert await run(BEGIN, "64:other") == ["busy", "2:64f16:other"]
    assert await run(SWITCH, "3:64f16:other", "builtin") == b"moved"
    assert await run(SWITCH, "2:64f16:other", "builtin") == b"switched"
    assert await run(SWITCH, "2:64f16:other", "builtin") == b"already"
    assert await run(BEGIN, "1f16:third") == ["retired", "1:256f16:builtin"]
    assert await run(END, "2:64f16:other") == 0
    assert await run(END, "1:256f16:builtin") == 1
    assert await run(END, "1:256f16:builtin") == 0
    assert await run(BEGIN, "1f16:third") == ["begun", "3:1f16:third"]
    assert await run(BEGIN, "64f16:other") == ["given up", "3:1f16:third"]
    assert await read_record(redis, keys) == Record(NEW, retired=Generation(3, "third", 1), previous="builtin")
