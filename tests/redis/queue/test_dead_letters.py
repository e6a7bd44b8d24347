"""Dead letters can be listed, shown, replayed and dropped."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

import producer.stored.dead_letters
from producer.client.client import Client
from producer.contract import JobState
from producer.errors import InvalidJob, UnknownJob
from producer.keys import Keys
from producer.redis.scripts import run_script
from producer.stored.dead_letters import DeadLetters
from tests.support.queue import BOOM, DEADLINE_S, claim_one, start_one
from worker.queue.stream import JobStream


async def buried(client: Client, stream: JobStream, *, batch: str | None = None) -> str:
    job = await client.submit("add", {"a": 1}, args=[2], batch=batch)
    await stream.bury(await start_one(stream), BOOM)
    return job.job_id


async def test_letters_are_listed_newest_first(client: Client, stream: JobStream):
    ids = [await buried(client, stream) for _ in range(3)]

    letters = [letter async for letter in DeadLetters(client).newest_first()]

    assert [letter.job_id for letter in letters] == ids[::-1]
    assert letters[0].reason == "it broke"
    assert letters[0].attempts == 1


async def test_a_replayed_job_runs_again_with_its_attempts_at_zero(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    job_id = await buried(client, stream, batch="b")
    letters = DeadLetters(client)

    await letters.replay(await letters.find(job_id))
    delivery = await start_one(stream)
    await stream.finish(delivery, commit=None)

    assert (delivery.job_id, delivery.attempt, delivery.fence, delivery.batch) == (job_id, 1, 2, "")
    assert (delivery.payload, delivery.args) == (b'{"a":1}', b"[2]")
    assert (await client.wait(job_id, timeout_s=DEADLINE_S)).state is JobState.SUCCEEDED
    assert await redis.xlen(keys.dead) == 0
    assert (await client.batch("b")).done == 1


async def test_a_letter_is_replayed_once(client: Client, stream: JobStream):
    letters = DeadLetters(client)
    letter = await letters.find(await buried(client, stream))
    await letters.replay(letter)

    with pytest.raises(UnknownJob, match="is gone"):
        await letters.replay(letter)


async def test_a_replay_that_the_client_sends_again_after_a_lost_answer_is_one_replay(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    async def sent_twice(*given: Any) -> Any:
        await run_script(*given)
        return await run_script(*given)

    monkeypatch.setattr(producer.stored.dead_letters, "run_script", sent_twice)
    letters = DeadLetters(client)
    letter = await letters.find(await buried(client, stream))

    assert await letters.replay(letter) == letter.job_id
    assert await redis.xlen(keys.lane("batch")) == 1


async def test_a_job_that_lives_again_is_not_replayed_over(client: Client, stream: JobStream, redis: Redis, keys: Keys):
    letters = DeadLetters(client)
    letter = await letters.find(await buried(client, stream))
    await redis.delete(keys.job(letter.job_id))
    await client.submit("add", {"a": 9}, job_id=letter.job_id)

    with pytest.raises(InvalidJob, match="is not dead"):
        await letters.replay(letter)


async def test_a_dropped_letter_is_gone(client: Client, stream: JobStream):
    letters = DeadLetters(client)
    job_id = await buried(client, stream)

    await letters.drop(await letters.find(job_id))

    with pytest.raises(UnknownJob, match=job_id):
        await letters.find(job_id)


async def test_garbage_is_listed_with_its_fields(client: Client, stream: JobStream, redis: Redis, keys: Keys):
    await redis.xadd(keys.lane("batch"), {b"colour\xff": b"blue"})
    await stream.reject(await claim_one(stream), BOOM)

    letter = await anext(DeadLetters(client).newest_first())

    assert letter.raw == {"colour�": "blue"}


async def test_garbage_is_not_replayed_and_keeps_its_fields(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    await redis.xadd(keys.lane("batch"), {b"colour": b"blue"})
    await stream.reject(await claim_one(stream), BOOM)
    letters = DeadLetters(client)
    letter = await anext(letters.newest_first())

    with pytest.raises(InvalidJob, match="is of no job"):
        await letters.replay(letter)

    assert (await letters.find(letter.entry)).raw == {"colour": "blue"}
    assert await redis.xlen(keys.lane("batch")) == 0
