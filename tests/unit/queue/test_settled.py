"""What a job that ended without success commits: its kind's ``settle`` decides, unless it fails."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from producer.contract import ErrorInfo, FunctionResult, Lane
from worker.queue.delivery import Delivery
from worker.queue.outcome import Cancelled, Commit, Dead, Succeeded
from worker.queue.run import JobFunctions

DELIVERY = Delivery("j1", "assess", Lane.ASSESS, "1-0", 1, 1, 5, b"{}", b"", "", 0)
BOOM = Dead(ErrorInfo(type="Boom", message="it failed"))


def functions(outcome: Commit | Exception | None) -> JobFunctions:
    async def settle(payload: bytes, reason: str) -> Commit | None:
        assert payload == b"{}"
        assert reason in {"it failed", "cancelled"}
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def no_progress(*_: Any) -> None:
        return

    return JobFunctions(SimpleNamespace(settle={"assess": settle}), note_progress=no_progress)


async def test_a_dead_or_cancelled_job_commits_what_its_kind_settles():
    commit = Commit(FunctionResult())

    for ended in (BOOM, Cancelled()):
        assert await functions(commit).settled(DELIVERY, ended) == Succeeded(commit)
        assert await functions(None).settled(DELIVERY, ended) is ended


async def test_a_job_whose_settling_fails_keeps_its_outcome_or_it_would_be_run_for_good():
    assert await functions(ValueError("no such scan")).settled(DELIVERY, BOOM) is BOOM


async def test_an_error_of_redis_while_settling_is_raised_so_that_the_job_is_reclaimed():
    with pytest.raises(RedisConnectionError):
        await functions(RedisConnectionError("gone")).settled(DELIVERY, BOOM)
