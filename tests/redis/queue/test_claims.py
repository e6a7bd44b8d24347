"""When a worker claims and when it reads: never both of one lane. Only a loop that is awake trusts what was started."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from arq.worker import func
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import FunctionResult, Lane
from producer.keys import Keys
from tests.support.queue import job_fields, pending, running_worker, steal_entry, submitted, until
from tests.support.queue_loop import Begun, running_loop
from worker.queue.delivery import Entry
from worker.queue.lane_reader import LaneReader
from worker.queue.leases import FROZEN_S
from worker.queue.stream import JobStream

JOBS = 150
WAIT_S = 60


async def brief(ctx: dict[Any, Any]) -> int:
    await asyncio.sleep(0.002)
    return ctx["job_try"]


class Watch:
    """Which lanes are read and claimed from now, and whether ever both."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, keys: Keys) -> None:
        self.read: set[str] = set()
        self.claimed: set[str] = set()
        self.reads = self.claims = 0
        self.both: list[str] = []
        read, take, claim = LaneReader.read, LaneReader._take, JobStream.claim

        async def watched_read(reader: LaneReader, **about: Any) -> bool:
            lane = reader._key
            self.reads += 1
            self.both += {lane} & self.claimed
            self.read.add(lane)
            try:
                return await read(reader, **about)
            finally:
                self.read.discard(lane)

        def watched_take(reader: LaneReader, *replies: Any) -> None:
            self.read.discard(reader._key)
            take(reader, *replies)

        async def watched_claim(stream: JobStream, **wants: Any) -> list[Entry]:
            lanes = {Lane.INTERACTIVE: wants["for_interactive"], Lane.BATCH: wants["for_batch"]}
            asked = {keys.lane(lane) for lane, places in lanes.items() if places}
            self.claims += 1
            self.both += asked & self.read
            self.claimed |= asked
            try:
                return await claim(stream, **wants)
            finally:
                self.claimed -= asked

        monkeypatch.setattr(LaneReader, "read", watched_read)
        monkeypatch.setattr(LaneReader, "_take", watched_take)
        monkeypatch.setattr(JobStream, "claim", watched_claim)


async def test_no_lane_is_claimed_from_while_it_is_read(
    client: Client, redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    watch = Watch(monkeypatch, keys)
    async with running_worker(redis_url, keys, [func(brief, name="brief", keep_result=60)], max_jobs=4):
        await until(lambda: len(watch.read) == 2, what="both lanes read")
        jobs: list[str] = []
        for n in range(JOBS):
            jobs.append((await client.submit("brief", {}, lane=list(Lane)[n % 3 == 0])).job_id)
            await asyncio.sleep(0.02 if n % 10 == 0 else 0)
        results = [await client.wait(job_id, timeout_s=WAIT_S) for job_id in jobs]

    assert watch.both == []
    assert min(watch.reads, watch.claims) > 5
    assert [result.value for result in results if isinstance(result, FunctionResult)] == [1] * JOBS


async def test_a_claim_takes_no_more_batch_jobs_than_the_lane_has_slots(
    client: Client, stream: JobStream, redis_url: str, keys: Keys, redis: Redis
):
    for _ in range(3):
        await submitted(client)
    async with running_loop(stream, redis_url, keys, Begun, max_jobs=2, lease_s=600) as (_, executor, _):
        await until(lambda: executor.entries, what="the first claim")
        claimed = await pending(redis, keys)

    assert claimed == 1, "the other slot is reserved for interactive jobs"


@pytest.mark.parametrize("is_stolen", [False, True])
async def test_what_was_started_for_a_loop_that_was_frozen_is_run_only_if_it_is_still_its(
    is_stolen: bool, client: Client, redis: Redis, redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    take = LaneReader._take
    held: list[Callable[[], None]] = []

    def takes_later(reader: LaneReader, *replies: Any) -> None:
        held.append(lambda: take(reader, *replies))

    options: dict[str, Any] = {"lease_s": 60}
    async with running_worker(redis_url, keys, [func(brief, name="brief", keep_result=60)], **options) as worker:
        await until(lambda: worker.job_loop._readers[Lane.BATCH]._client_id, what="the lane read")
        monkeypatch.setattr(LaneReader, "_take", takes_later)
        job = await client.submit("brief", {})
        await until(lambda: held, what="the read")
        monkeypatch.undo()
        if is_stolen:
            entry = (await job_fields(redis, keys, job.job_id))["entry"]
            await steal_entry(redis, keys, Lane.BATCH, entry, by="other")
        worker.leases._ticked_at -= 2 * FROZEN_S
        worker.leases.tick()
        held[0]()
        await until(lambda: not worker.executor.tasks, what="the end of the delivery")
        fields = await job_fields(redis, keys, job.job_id)

    assert (fields["state"], fields["attempt"]) == ("running" if is_stolen else "succeeded", "1")


async def test_a_bug_that_ends_a_reader_ends_the_worker(
    client: Client, redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise LookupError("a bug")

    async def work() -> None:
        async with running_worker(redis_url, keys, [func(brief, name="brief")]) as worker:
            await until(lambda: worker.job_loop._readers[Lane.BATCH]._client_id, what="the lane read")
            monkeypatch.setattr(LaneReader, "_decoded", fail)
            await client.submit("brief", {})
            await until(lambda: worker.main_task and worker.main_task.done(), what="the end of the worker")

    with pytest.raises(LookupError, match="a bug"):
        await work()


async def test_an_arq_program_whose_connections_speak_resp3_reads_lanes_and_results(redis_url: str, keys: Keys):
    async with running_worker(f"{redis_url}?protocol=3", keys, [func(brief, name="brief", keep_result=60)]) as worker:
        await until(lambda: worker.job_loop._readers[Lane.BATCH]._client_id, what="the lane read")
        job = await worker.ctx["redis"].enqueue_job("brief")

        assert await job.result(timeout=WAIT_S) == 1
