"""Waiting for many jobs at once: one reader, few connections, and no ended job is missed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

import producer.client.event_stream
from producer.client.client import Client
from producer.client.queue_info import JobInfo
from producer.contract import FunctionResult, JobState
from producer.errors import RedisUnsuitable, ResultExpired, ServiceError, UnknownJob, WaitTimeout
from producer.keys import Keys
from tests.support.queue import running_worker, until

WAIT_S = 60
MANY = 1_200
"""More than are checked, and more events than are read, at once."""
TOO_DEEP = "[" * 200_000
"""JSON that Python's decoder refuses with a RecursionError."""


async def double(_: object, n: int) -> int:
    return 2 * n


async def test_a_thousand_jobs_are_awaited_over_a_handful_of_connections(
    client: Client, redis_url: str, keys: Keys, redis: Redis
) -> None:
    ids = [job.job_id async for job in client.submit_many("double", ({"n": n} for n in range(MANY)))]
    before: Any = await redis.client_list()
    values: dict[str, object] = {}
    most = 0
    async with running_worker(redis_url, keys, [double], max_jobs=50):
        async for result in client.as_completed(ids, timeout_s=WAIT_S):
            if not len(values) % 500:
                now: Any = await redis.client_list()
                most = max(most, len(now))
            assert isinstance(result, FunctionResult)
            values[result.job_id] = result.value

    assert values == {job_id: 2 * n for n, job_id in enumerate(ids)}
    assert most - len(before) < 20  # the worker's own among them


async def test_a_wait_for_a_new_job_is_not_answered_with_the_kept_result_of_an_earlier_one_with_its_id(
    client: Client, redis_url: str, keys: Keys, redis: Redis
) -> None:
    await client.submit("double", {"n": 1}, job_id="weekly")
    async with running_worker(redis_url, keys, [double]):
        await client.wait("weekly", timeout_s=WAIT_S)
    await redis.delete(keys.job("weekly"))  # it expires after 7 days, the result after RESULT_TTL_S
    assert (await client.submit("double", {"n": 2}, job_id="weekly")).created

    assert await client.result("weekly") is None
    with pytest.raises(WaitTimeout):
        await client.wait("weekly", timeout_s=0)
    async with running_worker(redis_url, keys, [double]):
        result = await client.wait("weekly", timeout_s=WAIT_S)

    assert isinstance(result, FunctionResult)
    assert result.value == 4


async def test_a_timeout_of_0_yields_all_ended_jobs_however_slowly_they_are_checked(
    redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producer.client.event_stream, "CHECKED_AT_ONCE", 1)
    monkeypatch.setattr(producer.client.event_stream, "GRACE_S", 0.1)

    async def checked(job_ids: Iterable[str]) -> Iterable[str]:
        await asyncio.sleep(0.05)
        return job_ids

    waiters = producer.client.event_stream.Waiters(redis, keys.events, check=checked)
    try:
        ended = [job_id async for job_id in waiters.ends("abcd", timeout_s=0)]
    finally:
        await waiters.close()

    assert ended == ["a", "b", "c", "d"]


async def test_a_job_that_ends_while_its_result_is_looked_for_has_not_expired(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a failover that lost an end which was announced: the job runs, and ends, again."""
    job_id = (await client.submit("double", {"n": 1})).job_id
    look = client.job

    async def ends_first(asked: str) -> JobInfo:
        await client.cancel(asked)
        return await look(asked)

    monkeypatch.setattr(client, "job", ends_first)

    result = await client._ended(job_id)

    assert result is not None
    assert (result.state, result.is_expired) == (JobState.CANCELLED, False)


async def test_a_result_that_has_expired_is_an_error_of_its_own(client: Client, keys: Keys, redis: Redis) -> None:
    ids = [job.job_id async for job in client.submit_many("double", ({"n": n} for n in range(2)))]
    for job_id in ids:
        await client.cancel(job_id)
    await redis.delete(keys.result(ids[0]))

    with pytest.raises(ResultExpired, match=f"job '{ids[0]}' ended as cancelled, but its result is no longer kept"):
        await client.wait(ids[0], timeout_s=WAIT_S)

    results = {result.job_id: result async for result in client.as_completed(ids, timeout_s=WAIT_S)}
    assert {job_id: result.is_expired for job_id, result in results.items()} == {ids[0]: True, ids[1]: False}
    assert (results[ids[0]].kind, results[ids[0]].state) == ("double", JobState.CANCELLED)


async def test_a_job_whose_end_a_failover_lost_after_its_event_is_awaited_again(
    client: Client, redis_url: str, keys: Keys, redis: Redis
) -> None:
    job_id = (await client.submit("double", {"n": 4})).job_id
    waiting = asyncio.create_task(client.wait(job_id, timeout_s=WAIT_S))
    lost = json.dumps({"v": 1, "event": "job.succeeded", "job_id": job_id})
    for _ in range(3):  # the first one may come before the client reads
        await redis.xadd(keys.events, {"event": lost})
        await asyncio.sleep(0.1)

    async with running_worker(redis_url, keys, [double]):
        result = await waiting

    assert isinstance(result, FunctionResult)
    assert result.value == 8


async def test_ended_jobs_are_yielded_before_the_time_out(client: Client) -> None:
    ids = [job.job_id async for job in client.submit_many("double", ({"n": n} for n in range(3)))]
    await client.cancel(ids[1])

    seen: list[str] = []
    said = ""
    try:
        async for result in client.as_completed(ids, timeout_s=0.2):
            seen += [result.job_id]
    except WaitTimeout as error:
        said = str(error)

    assert seen == [ids[1]]
    assert said == "2 jobs have not ended within 0.2 s; they continue"


async def test_a_job_named_twice_is_yielded_once(client: Client) -> None:
    job = await client.submit("double", {"n": 1})
    await client.cancel(job.job_id)

    states = [result.state async for result in client.as_completed([job.job_id] * 3, timeout_s=WAIT_S)]

    assert states == [JobState.CANCELLED]


async def test_an_unknown_job_among_awaited_ones_is_reported(client: Client) -> None:
    job = await client.submit("double", {"n": 1})

    with pytest.raises(UnknownJob, match="nobody"):
        async for _ in client.as_completed([job.job_id, "nobody"], timeout_s=WAIT_S):
            pass


async def ended_unheard(redis: Redis, keys: Keys, job_id: str) -> None:
    """End the job as a client finds it that slept while its event came, and was trimmed."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.hset(keys.job(job_id), "state", "succeeded")
        pipe.set(keys.result(job_id), f'{{"v":1,"job_id":"{job_id}","kind":"double","state":"succeeded","value":2}}')
        await pipe.execute()


@pytest.fixture
def checks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer.client.event_stream, "CHECK_EVERY_S", 0.1)
    monkeypatch.setattr(producer.client.event_stream, "BLOCK_MS", 50)


@pytest.mark.usefixtures("checks_often")
async def test_an_end_without_an_event_is_still_noticed(client: Client, redis: Redis, keys: Keys) -> None:
    job = await client.submit("double", {"n": 1})
    waiting = asyncio.create_task(client.wait(job.job_id, timeout_s=WAIT_S))
    await until(lambda: job.job_id in client._waiters._waiting, what="a client that waits")

    await ended_unheard(redis, keys, job.job_id)

    assert (await asyncio.wait_for(waiting, WAIT_S)).state is JobState.SUCCEEDED


@pytest.mark.usefixtures("checks_often")
async def test_a_waiter_for_a_job_that_redis_has_lost_is_notified_and_no_other(
    client: Client, redis: Redis, keys: Keys
) -> None:
    lost, kept = [(await client.submit("double", {"n": n})).job_id for n in range(2)]
    waiting = [asyncio.create_task(client.wait(job_id, timeout_s=WAIT_S)) for job_id in (lost, kept)]
    await until(lambda: len(client._waiters._waiting) == 2, what="a client that waits for both")

    await redis.delete(keys.job(lost))
    with pytest.raises(UnknownJob, match=lost):
        await asyncio.wait_for(waiting[0], WAIT_S)
    await client.cancel(kept)

    assert (await asyncio.wait_for(waiting[1], WAIT_S)).state is JobState.CANCELLED


async def test_a_reader_of_events_goes_on_over_what_others_wrote_by_hand(client: Client, keys: Keys) -> None:
    for line in ("[1]", "7", "no JSON", TOO_DEEP, '{"at_ms": "soon"}', '{"event": "job.queued", "job_id": "j"}'):
        await client.redis.xadd(keys.events, {"event": line})

    events = [event async for event in client.events(since="0", follow_new=False)]

    assert [(event.event, event.job_id) for event in events] == [("job.queued", "j")]


async def test_an_event_that_cannot_be_decoded_ends_no_wait(client: Client, keys: Keys) -> None:
    job_id = (await client.submit("double", {"n": 1})).job_id
    waiting = asyncio.create_task(client.wait(job_id, timeout_s=WAIT_S))
    await until(lambda: client._waiters._has_position is not None, what="a client that reads")
    await client._waiters._ensure_reading()

    await client.redis.xadd(keys.events, {"event": TOO_DEEP})
    await client.cancel(job_id)

    assert (await asyncio.wait_for(waiting, WAIT_S)).state is JobState.CANCELLED


@pytest.mark.usefixtures("checks_often")
async def test_a_waiter_gets_whatever_error_ends_the_reader(
    client: Client, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = (await client.submit("double", {"n": 1})).job_id
    waiters = client._waiters
    look = waiters._check

    async def written_by_hand_meanwhile(job_ids: Iterable[str]) -> Iterable[str]:
        if asyncio.current_task() is waiters._reader:  # after the caller's own look
            await redis.execute_command("HSET", keys.job(job_id), "state", "resting")
        return await look(job_ids)

    monkeypatch.setattr(waiters, "_check", written_by_hand_meanwhile)

    with pytest.raises(RedisUnsuitable, match="'resting' is not a valid JobState"):
        await asyncio.wait_for(client.wait(job_id), WAIT_S)


@pytest.mark.usefixtures("checks_often")
async def test_a_poll_during_an_outage_ends_no_wait(
    client: Client, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await client.submit("double", {"n": 1})
    waiters, met = client._waiters, asyncio.Event()
    look = waiters._check

    async def fail_once(job_ids: Iterable[str]) -> Iterable[str]:
        if met.is_set() or asyncio.current_task() is not waiters._reader:  # the caller's own first look may raise
            return await look(job_ids)
        met.set()
        raise RedisConnectionError

    monkeypatch.setattr(waiters, "_check", fail_once)
    waiting = asyncio.create_task(client.wait(job.job_id, timeout_s=WAIT_S))
    await asyncio.wait_for(met.wait(), WAIT_S)
    await ended_unheard(redis, keys, job.job_id)

    assert (await asyncio.wait_for(waiting, WAIT_S)).state is JobState.SUCCEEDED


async def test_closing_the_client_ends_its_waits(client: Client) -> None:
    job = await client.submit("double", {"n": 1}, defer_s=600)
    waiting = asyncio.create_task(client.wait(job.job_id))
    assert (await client.job(job.job_id)).state is JobState.SCHEDULED

    await client.close()

    with pytest.raises(ServiceError, match="the client was closed"):
        await asyncio.wait_for(waiting, WAIT_S)
