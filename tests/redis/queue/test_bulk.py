"""Many deliveries in one script call: each is handled and answered separately."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from producer.client.client import Client
from producer.contract import FunctionResult
from producer.keys import Keys
from producer.redis.bulk import MOST_AT_ONCE, MOST_BYTES, BulkScript
from producer.redis.raw_connection import ReplyLost
from producer.redis.script_pipe import ScriptPipe
from producer.redis.scripts import Arg, Script
from tests.support.queue import DEADLINE_S, events_of, job_fields, pending, steal, steal_entry
from worker.queue.arq_pool import connections_of
from worker.queue.delivery import Delivery, NotStarted
from worker.queue.outcome import Commit, CounterWrite, HashWrite
from worker.queue.stream import JobStream

TEXT = """local answers = {}
for i = 2, #ARGV do
  answers[i - 1] = ARGV[i] == 'bad' and redis.error_reply('NOPE ' .. ARGV[i]) or ARGV[1] .. ARGV[i]
end
return answers"""
PREFIXED = Script("prefixed", TEXT, hashlib.sha1(TEXT.encode()).hexdigest())  # noqa: S324  EVALSHA's own digest


class CountingPipe(ScriptPipe):
    calls = 0

    def send(self, *args: Any, **options: Any) -> None:
        self.calls += 1
        super().send(*args, **options)


@pytest.fixture
async def pipe(redis: Redis) -> AsyncGenerator[CountingPipe]:
    pipe = CountingPipe(connections_of(redis))
    yield pipe
    await pipe.close()


@pytest.fixture
def bulk(pipe: CountingPipe) -> BulkScript:
    return BulkScript(pipe, PREFIXED, args=("p",))


async def started(client: Client, stream: JobStream, count: int, **options: Any) -> list[Delivery]:
    for _ in range(count):
        await client.submit("add", {"a": 1}, **options)
    entries = await stream.claim(slots=count, for_batch=count, turns=0)
    deliveries = await asyncio.gather(*(stream.start(entry, tries=3) for entry in entries))
    assert all(isinstance(delivery, Delivery) for delivery in deliveries)
    return [delivery for delivery in deliveries if isinstance(delivery, Delivery)]


async def gathered(*acts: Any) -> list[Any]:
    return await asyncio.gather(*acts, return_exceptions=True)


# ---------------------------------------------------------------------------------------------- the gathering


async def test_calls_of_one_tick_are_one_call_and_each_gets_its_own_answer(pipe: CountingPipe, bulk: BulkScript):
    first = await asyncio.gather(*(bulk.call((), (n,)) for n in range(MOST_AT_ONCE)))

    assert first == [f"p{n}".encode() for n in range(MOST_AT_ONCE)]
    assert pipe.calls == 1


async def test_a_call_holds_no_more_than_its_share(pipe: CountingPipe, bulk: BulkScript):
    many = await asyncio.gather(*(bulk.call((), (n,)) for n in range(2 * MOST_AT_ONCE + 1)))
    by_number = pipe.calls
    await asyncio.gather(*(bulk.call((), (n,), size=MOST_BYTES) for n in range(3)))

    assert len(many) == 2 * MOST_AT_ONCE + 1
    assert by_number == 3
    assert pipe.calls - by_number == 3


async def test_an_error_in_an_answer_is_its_callers_alone(bulk: BulkScript):
    good, bad, late = await gathered(*(bulk.call((), (word,)) for word in ("good", "bad", "late")))

    assert (good, late) == (b"pgood", b"plate")
    assert isinstance(bad, ResponseError)


async def test_an_error_that_nobody_awaits_is_not_logged(bulk: BulkScript):
    logged: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context))

    abandoned = bulk.call((), ("bad",))  # its task was cancelled before its first step
    assert await bulk.call((), ("good",)) == b"pgood"
    assert abandoned.done()
    del abandoned
    gc.collect()

    assert logged == []


async def test_an_argument_redis_has_no_form_for_spoils_no_other_call(bulk: BulkScript):
    no_form: Arg = {"no": "form"}  # pyright: ignore[reportAssignmentType]  # the mistake that is tested
    answers = await gathered(*(bulk.call((), (word,)) for word in ("good", no_form, "\ud800", "late")))

    assert (answers[0], answers[3]) == (b"pgood", b"plate")
    assert isinstance(answers[1], TypeError)
    assert isinstance(answers[2], UnicodeEncodeError)


async def test_a_lost_connection_is_every_callers_error(pipe: CountingPipe, bulk: BulkScript):
    await bulk.call((), ("first",))
    assert pipe._connection is not None
    calls = [bulk.call((), (n,)) for n in range(MOST_AT_ONCE)]  # sent at once: the call is full
    pipe._connection.lose("cut")

    assert {type(error) for error in await gathered(*calls)} == {ReplyLost}
    assert await bulk.call((), ("again",)) == b"pagain"


# ---------------------------------------------------------------------------------------------- start.lua


async def test_entries_started_together_are_judged_each_by_itself(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    ids = [(await client.submit("add", {})).job_id for _ in range(4)]
    await redis.xadd(keys.lane("batch"), {"id": "ghost", "kind": "add"})
    entries = await stream.claim(slots=5, for_batch=5, turns=0)
    await steal_entry(redis, keys, entries[1].lane, entries[1].id, by="other")
    await client.cancel(ids[2])
    await redis.delete(keys.job(ids[3]))
    await redis.set(keys.job(ids[3]), "in the way")

    answers = await gathered(*(stream.start(entry, tries=3) for entry in entries))

    assert isinstance(answers[0], Delivery)
    assert answers[1:3] == [NotStarted("lost"), NotStarted("dropped")]
    assert isinstance(answers[3], ResponseError)
    assert str(answers[3]).startswith("WRONGKEY")
    assert answers[4] == NotStarted("missing")
    assert (await job_fields(redis, keys, ids[0]))["state"] == "running"
    assert (await job_fields(redis, keys, ids[1]))["state"] == "queued"


async def test_a_group_that_is_gone_is_the_error_of_its_own_lanes_entries(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    for lane in ("interactive", "batch"):
        await client.submit("add", {}, lane=lane)
    interactive, batch = await stream.claim(slots=2, for_batch=1, turns=0)
    await redis.xgroup_destroy(keys.lane("batch"), "workers")

    answers = await gathered(stream.start(batch, tries=3), stream.start(interactive, tries=3))

    assert isinstance(answers[0], ResponseError)
    assert isinstance(answers[1], Delivery)


# ---------------------------------------------------------------------------------------------- finish.lua


async def test_deliveries_finished_together_are_fenced_each_by_itself(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    good, stolen, hindered, again, late = await started(client, stream, 5)
    await steal(redis, keys, stolen, by="other")
    await redis.hset(keys.site("x"), "generation", "many")  # pyright: ignore[reportGeneralTypeIssues]  # redis-py types it as sync
    await stream.finish(again, commit=None)
    writes = (HashWrite(keys.scan("s"), {"a": 1}), CounterWrite(keys.site("x"), {"generation": 1}))
    told = Commit(FunctionResult(value="late"), writes=(CounterWrite(keys.site("y"), {"n": 2}),))

    answers = await gathered(
        stream.finish(good, commit=None, value_json='"good"'),
        stream.finish(stolen, commit=None),
        stream.finish(hindered, commit=Commit(FunctionResult(), writes=writes)),
        stream.finish(again, commit=None),
        stream.finish(late, commit=told),
    )

    assert [str(answer)[:9] for answer in answers] == ["committed", "lost", "WRONGKEY ", "already", "committed"]
    values = [json.loads(await redis.get(keys.result(d.job_id)))["value"] for d in (good, late)]
    ended = [json.loads(line)["job_id"] for line in await events_of(redis, keys)]
    assert values == ["good", "late"]
    assert ended == [again.job_id, good.job_id, late.job_id]
    assert not await redis.exists(keys.scan("s"), keys.result(hindered.job_id), keys.result(stolen.job_id))
    assert await redis.hget(keys.site("y"), "n") == b"2"  # pyright: ignore[reportGeneralTypeIssues]  # the same
    assert (await pending(redis, keys), await redis.xlen(keys.lane("batch"))) == (2, 2)


async def test_a_delivery_finished_twice_in_one_call_is_committed_once(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    (delivery,) = await started(client, stream, 1)

    answers = await gathered(*(stream.finish(delivery, commit=None, value_json=f"{n}") for n in range(2)))

    assert answers == ["committed", "already"]
    assert json.loads(await redis.get(keys.result(delivery.job_id)))["value"] == 0
    assert len(await events_of(redis, keys)) == 1


async def test_the_last_jobs_of_a_batch_finished_together_complete_it_once(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    deliveries = await started(client, stream, 3, batch="b")
    await client.seal_batch("b")
    async with redis.pubsub(ignore_subscribe_messages=True) as listener:
        await listener.subscribe(keys.events_live)
        await listener.get_message(timeout=DEADLINE_S, ignore_subscribe_messages=False)

        await asyncio.gather(*(stream.finish(delivery, commit=None) for delivery in deliveries))
        heard: list[Any] = [await listener.get_message(timeout=DEADLINE_S) for _ in range(4)]

    lines = await events_of(redis, keys)
    names = [json.loads(line)["event"] for line in lines]
    assert names == ["job.succeeded", "job.succeeded", "job.succeeded", "batch.finished"]
    assert [message["data"].decode() for message in heard] == lines


async def test_the_last_200_sealed_batches_are_listed(client: Client, redis: Redis, keys: Keys):
    await redis.zadd(keys.batches, {f"b{number}": number for number in range(200)})

    await client.seal_batch("new", create=True)

    assert [await redis.zcard(keys.batches), await redis.zrank(keys.batches, "b1")] == [200, 0]


async def test_the_events_stream_stays_capped(client: Client, stream: JobStream, redis: Redis, keys: Keys):
    fill = "for _ = 1, 100200 do redis.call('XADD', KEYS[1], '*', 'event', '{}') end"
    await redis.eval(fill, 1, keys.events)  # pyright: ignore[reportGeneralTypeIssues]  # redis-py types it as sync
    (delivery,) = await started(client, stream, 1)

    await stream.finish(delivery, commit=None)

    assert await redis.xlen(keys.events) <= 100_100  # nodes of 100 entries go whole
