"""The whole retry policy, on plain values."""

from __future__ import annotations

import json

import pytest
import redis.exceptions
from arq.worker import Retry

from producer.contract import ErrorInfo, FunctionResult, JobState
from producer.errors import InvalidJob, ScanFailed
from worker.queue.outcome import (
    BACKOFF_CAP_S,
    Commit,
    Dead,
    Retried,
    backoff_s,
    decide,
    describe,
    encode_failure,
)
from worker.queue.stream import encode_value


def always(number: float):
    return lambda: number


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ScanFailed("the browser died"), Retried),
        (ConnectionError("reset"), Retried),
        (redis.exceptions.ConnectionError("gone"), Retried),
        (redis.exceptions.OutOfMemoryError("full"), Retried),
        (Retry(defer=3), Retried),
        (InvalidJob("no url"), Dead),
        (ValueError("a bug"), Dead),
        (KeyError("a bug"), Dead),
        (TimeoutError("asyncio's own"), Dead),
    ],
)
def test_what_follows_from_an_error(error: Exception, outcome: type):
    assert isinstance(decide(error, attempt=1, tries=3, random=always(0.5)), outcome)


def test_a_full_redis_spends_no_attempt_however_often_it_is_full():
    outcome = decide(redis.exceptions.OutOfMemoryError("full"), attempt=3, tries=3, random=always(0.5))

    assert isinstance(outcome, Retried)
    assert outcome.attempt_returned


@pytest.mark.parametrize("error", [ScanFailed("the browser died"), Retry(defer=1)])
def test_the_last_attempt_is_the_last_whatever_the_error_says(error: Exception):
    outcome = decide(error, attempt=3, tries=3, random=always(0.5))

    assert isinstance(outcome, Dead)
    assert "attempt 3 of 3 failed" in outcome.error.message


def test_the_back_off_doubles_is_capped_and_fully_jittered():
    ceilings = [backoff_s(attempt, random=always(1.0)) for attempt in range(1, 12)]

    assert ceilings[:4] == [1, 2, 4, 8]
    assert max(ceilings) == BACKOFF_CAP_S
    assert backoff_s(5, random=always(0.0)) == 0
    assert backoff_s(10_000, random=always(0.5)) == BACKOFF_CAP_S / 2


def test_an_error_is_described_in_one_bounded_line():
    info = describe(ValueError("first\nsecond " + "x" * 5_000))

    assert info.type == "ValueError"
    assert info.message.startswith("first second x")
    assert len(info.message) == 2_000


class Unreadable(Exception):
    def __str__(self) -> str:
        return f"{self.__dict__['missing']}"


def test_an_error_whose_message_cannot_be_read_is_described_by_its_class():
    outcome = decide(Unreadable(), attempt=1, tries=3, random=always(0.5))

    assert isinstance(outcome, Dead)
    assert (outcome.error.type, outcome.error.message) == (
        "Unreadable",
        "its message cannot be read: __str__ raised KeyError",
    )


def test_the_three_ways_to_encode_a_result_agree_on_its_head():
    plain = json.loads(encode_value("j", "k", "7"))
    commit = json.loads(Commit(FunctionResult(value=7)).encoded_result("j", "k"))
    failure = json.loads(encode_failure("j", "k", JobState.DEAD, ErrorInfo(type="E", message="m")))

    assert plain == commit
    assert (failure["job_id"], failure["state"], failure["error"]["type"]) == ("j", "dead", "E")
