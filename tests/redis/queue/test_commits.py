"""From a start to its commit: lost replies, held slots, and results that Redis cannot represent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from arq.worker import func
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from producer.client.client import Client
from producer.contract import FunctionResult, JobState
from producer.keys import Keys
from tests.support.queue import running_worker, until
from worker.queue.delivery import Entry
from worker.queue.outcome import Commit, HashWrite
from worker.queue.stream import JobStream

WAIT_S = 60


async def counted(ctx: dict[Any, Any]) -> int:
    ctx["runs"].append(ctx["job_id"])
    return len(ctx["runs"])


async def half_a_pair(_: dict[Any, Any]) -> str:
    return "\ud83d"


async def returns_a_set(_: dict[Any, Any]) -> set[int]:
    return {1}


async def raises_half_a_pair(_: dict[Any, Any]) -> None:
    msg = "broken \ud83d"
    raise RuntimeError(msg)


async def writes_nothing_redis_knows(ctx: dict[Any, Any]) -> Commit:
    nothing: Any = None
    return Commit(FunctionResult(), writes=(HashWrite(ctx["key"], {"field": nothing}),))


async def results_half_a_pair(_: dict[Any, Any]) -> Commit:
    return Commit(FunctionResult(value="\ud83d"))


async def attempt(ctx: dict[Any, Any]) -> int:
    return ctx["job_try"]


async def test_a_start_whose_answer_is_lost_costs_the_job_no_attempt(
    client: Client, redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    start, lost = JobStream.start, asyncio.Event()

    async def lose(answer: asyncio.Future[Any]) -> None:
        await answer
        msg = "Redis closed the connection"
        raise RedisConnectionError(msg)

    def lost_once(self: JobStream, entry: Entry, **options: Any) -> asyncio.Future[Any]:
        answer = start(self, entry, **options)
        if lost.is_set():
            return answer
        lost.set()
        return asyncio.ensure_future(lose(answer))

    monkeypatch.setattr(JobStream, "start", lost_once)
    async with running_worker(redis_url, keys, [func(attempt, name="attempt", max_tries=1, keep_result=60)]):
        job = await client.submit("attempt", {})
        result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert lost.is_set()
    assert isinstance(result, FunctionResult)
    assert (result.state, result.value) == (JobState.SUCCEEDED, 1)


@pytest.fixture
def held_commits(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Commits of successes wait for this."""
    may_commit, finish = asyncio.Event(), JobStream.finish

    async def later(self: JobStream, *args: Any, **options: Any) -> Any:
        await may_commit.wait()
        return await finish(self, *args, **options)

    monkeypatch.setattr(JobStream, "finish", later)
    return may_commit


@pytest.mark.parametrize("function", [half_a_pair, returns_a_set, writes_nothing_redis_knows, results_half_a_pair])
async def test_a_result_that_redis_cannot_store_makes_the_job_dead_with_that_reason(
    function: Any, client: Client, redis_url: str, keys: Keys, redis: Redis
):
    ctx = {"key": keys.scan("s")}
    async with running_worker(redis_url, keys, [function], ctx=ctx):
        job = await client.submit(function.__name__, {})
        result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert result.state is JobState.DEAD
    assert result.error is not None
    assert result.error.type == "InvalidResult"
    assert not await redis.exists(keys.scan("s"))


async def test_an_error_that_is_not_text_is_still_reported(client: Client, redis_url: str, keys: Keys):
    async with running_worker(redis_url, keys, [raises_half_a_pair]):
        job = await client.submit("raises_half_a_pair", {})
        result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert result.error is not None
    assert result.error.message == "broken ?"


async def test_the_next_job_starts_while_a_commit_is_on_its_way(
    held_commits: asyncio.Event, client: Client, redis_url: str, keys: Keys
):
    ctx: dict[str, Any] = {"runs": []}
    jobs = [(await client.submit("counted", {})).job_id for _ in range(2)]
    async with running_worker(redis_url, keys, [counted], ctx=ctx, max_jobs=1, lease_s=10):
        await until(lambda: len(ctx["runs"]) == 2, what="the second run")
        states = [(await client.job(job_id)).state for job_id in jobs]
        held_commits.set()
        ends = [(await client.wait(job_id, timeout_s=WAIT_S)).state for job_id in jobs]

    assert states == [JobState.RUNNING] * 2
    assert ends == [JobState.SUCCEEDED] * 2


async def test_a_slot_is_held_until_the_hook_after_the_commit_has_run(client: Client, redis_url: str, keys: Keys):
    at_once: list[int] = []

    async def after(ctx: dict[Any, Any]) -> None:
        for _ in range(20):  # a single reply of Redis would fill a slot freed too early
            await ctx["redis"].ping()
        at_once.append(len(ctx["runs"]))

    ctx: dict[str, Any] = {"runs": []}
    jobs = [(await client.submit("counted", {})).job_id for _ in range(3)]
    options: dict[str, Any] = {"max_jobs": 1, "after_job_end": after, "lease_s": 10}
    async with running_worker(redis_url, keys, [counted], ctx=ctx, **options):
        for job_id in jobs:
            await client.wait(job_id, timeout_s=WAIT_S)
        await until(lambda: len(at_once) == 3, what="the last hook")

    assert at_once == [1, 2, 3]


async def test_jobs_whose_commits_are_refused_do_not_pile_up(client: Client, redis_url: str, keys: Keys, redis: Redis):
    await redis.set(keys.events, "in the way")
    ctx: dict[str, Any] = {"runs": []}
    jobs = [(await client.submit("counted", {})).job_id for _ in range(12)]
    async with running_worker(redis_url, keys, [counted], ctx=ctx, max_jobs=3, lease_s=10) as worker:
        await until(lambda: worker.executor.refusals >= 12, what="commits refused again and again")
        run_meanwhile = len(ctx["runs"])
        await redis.delete(keys.events)
        for job_id in jobs:
            assert (await client.wait(job_id, timeout_s=WAIT_S)).state is JobState.SUCCEEDED

    assert run_meanwhile <= 6  # the places, and what was claimed before the first refusal
    assert sorted(ctx["runs"]) == sorted(jobs)
