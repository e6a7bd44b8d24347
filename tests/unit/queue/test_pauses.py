"""How long a job waits before it is tried again, to the number."""

from __future__ import annotations

import pytest
import redis.exceptions
from arq.worker import Retry

from producer.errors import HostBusy
from worker.queue.outcome import FULL_PAUSE_S, Outcome, Retried, backoff_s, decide


def half() -> float:
    return 0.5


def pause_of(outcome: Outcome) -> tuple[float, bool]:
    """The pause, and whether the attempt is given back."""
    assert isinstance(outcome, Retried)
    return outcome.delay_s, outcome.attempt_returned


@pytest.mark.parametrize(
    ("error", "pause"),
    [
        (redis.exceptions.OutOfMemoryError("full"), (1.5 * FULL_PAUSE_S, True)),
        (HostBusy("no slot", delay_s=7.0), (7.0, True)),
        (Retry(), (0.0, False)),
        (Retry(defer=0.25), (0.25, False)),
        (ConnectionError("reset"), (1.0, False)),
    ],
)
def test_each_error_has_its_pause(error: Exception, pause: tuple[float, bool]):
    assert pause_of(decide(error, attempt=2, tries=3, random=half)) == pause


def test_the_last_try_but_one_is_followed_by_another():
    assert isinstance(decide(ConnectionError("reset"), attempt=2, tries=3, random=half), Retried)
    assert backoff_s(1, random=half) == 0.5
