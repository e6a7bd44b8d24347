"""Tries load pages again; on a batch's pages they give way to waiting or running scans."""

from __future__ import annotations

import time
from typing import Any

import pytest
from redis.asyncio import Redis

from producer.contract import AssessmentSource, Lane
from producer.contract.fixes import PENDING
from producer.errors import Busy, ModelUnreachable
from producer.keys import Keys
from tests.redis.agent.test_fix_jobs import TryingEngine, labelled
from tests.support.scans import scan_result
from worker.agent.assessment.job import AssessJobs
from worker.agent.fixes.job import FixJobs
from worker.agent.fixes.queueing import MOST_PUT_OFF_S
from worker.models.protocols import ChatReply


class Away:
    """A model whose host is unreachable."""

    name = "away"

    async def chat(self, *_: Any, **__: Any) -> ChatReply:
        raise ModelUnreachable("nobody there")


async def pending(redis: Redis, keys: Keys, *, source: str = "none: not requested") -> None:
    result = scan_result(labelled()).revised(fixes_state=PENDING, assessment_source=source)
    await redis.set(keys.result("s1"), result.model_dump_json())
    await redis.hset(keys.job("s1"), "payload", '{"url": "https://shop.example/"}')  # type: ignore[misc]  # redis-py's own


async def other_scan(redis: Redis, keys: Keys) -> Any:
    return await redis.xadd(keys.lane(Lane.BATCH), {"id": "s2", "kind": "scan"})


async def test_tries_on_a_page_of_a_batch_wait_until_no_batch_scan_waits_or_runs(redis: Redis, keys: Keys):
    engine = TryingEngine()
    fixes = FixJobs(engine, redis, keys)
    await pending(redis, keys)
    scan = await other_scan(redis, keys)

    with pytest.raises(Busy, match="scans have priority"):
        await fixes.run({"score": time.time() * 1000}, {"scan": "s1"})
    assert engine.asked == []
    await redis.xdel(keys.lane(Lane.BATCH), scan)
    commit = await fixes.run({"score": time.time() * 1000}, {"scan": "s1"})

    assert len(engine.asked) == 1
    assert commit.event["tried"] == 1


async def test_a_thousand_tries_that_waited_for_scans_have_all_looked_again_within_two_minutes(
    redis: Redis, keys: Keys
):
    fixes = FixJobs(TryingEngine(), redis, keys)
    await other_scan(redis, keys)

    delays: list[float] = []
    for _ in range(1_000):
        with pytest.raises(Busy, match="scans have priority") as busy:
            await fixes.run({"score": time.time() * 1000}, {"scan": "s1"})
        delays.append(busy.value.delay_s)

    assert max(delays) < 120
    assert sum(delay < 10 for delay in delays) < 150  # and few look at once


@pytest.mark.parametrize("case", ["interactive", "four hours", "burst"])
async def test_tries_that_a_client_waits_for_do_not_wait_for_scans(redis: Redis, keys: Keys, case: str):
    engine = TryingEngine()
    fixes = FixJobs(engine, redis, keys, is_patient=case != "burst")
    await pending(redis, keys)
    await other_scan(redis, keys)

    since_s = time.time() - (MOST_PUT_OFF_S + 60 if case == "four hours" else 0)
    payload = {"scan": "s1", "priority": "interactive" if case == "interactive" else "batch"}
    await fixes.run({"score": since_s * 1000}, payload)

    assert len(engine.asked) == 1


async def test_in_an_outage_no_tries_are_made_between_scans(redis: Redis, keys: Keys):
    assessments = AssessJobs(Away(), redis, keys, 0)
    await pending(redis, keys, source=str(AssessmentSource.pending("soon")))
    scan = await other_scan(redis, keys)

    with pytest.raises(Busy):
        await assessments.run({}, {"scan": "s1", "url": "https://shop.example/"})
    assessments._outage.ends = 0.0
    await redis.xdel(keys.lane(Lane.BATCH), scan)
    commit = await assessments.run({}, {"scan": "s1", "url": "https://shop.example/"})

    assert [type(write).__name__ for write in commit.writes] == ["ReplaceWrite", "EntryWrite", "JobWrite"]
