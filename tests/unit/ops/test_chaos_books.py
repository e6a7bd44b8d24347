"""What chaos counts: calls that come late or never, and what a failover may have lost."""

# pyright: reportUnknownParameterType=false

from __future__ import annotations

import asyncio
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from producer.errors import InvalidJob, RedisUnreachable, Unconfirmed, UnknownJob, WaitTimeout

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "ops" / "chaos"))

import auditor  # pyright: ignore[reportMissingImports]  # a program's own folder, no package
import calls as calls_module  # pyright: ignore[reportMissingImports]  # a program's own folder, no package
from calls import (  # pyright: ignore[reportMissingImports]  # the same
    Calls,
    NeverReturned,
    call_figures,
    late_calls,
)
from clients import Unforeseen, in_thread, raise_for  # pyright: ignore[reportMissingImports]
from journal import Journal  # pyright: ignore[reportMissingImports]
from plan import REGULAR, make_plan  # pyright: ignore[reportMissingImports]
from windows import Windows  # pyright: ignore[reportMissingImports]


@pytest.fixture
def journal(tmp_path: Path) -> Generator[Journal]:
    with Journal(tmp_path / "journal.jsonl") as opened:
        yield opened


@pytest.mark.parametrize(
    ("spoken", "is_complete"),
    [
        ("cdef", True),
        ("bdef", True),  # a failover undid the end of b, which was answered again after c
        ("cdfe", True),
        ("bcef", False),
        ("bcde", False),
        ("cdeg", False),
        ("def", False),  # the oldest turn that is kept is missing
        ("ccdf", False),
        ("", False),
    ],
)
def test_a_conversation_keeps_its_newest_turns_once_each(spoken: str, is_complete: bool):
    assert auditor.is_complete(list("abcdef"), list(spoken), most=4) is is_complete


async def test_a_call_that_never_returns_is_abandoned_and_reported(journal: Journal, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(calls_module, "GIVEN_UP_S", 0.01)
    calls = Calls(journal)

    with pytest.raises(NeverReturned):
        await calls.made("async", "submit", asyncio.Event().wait, deadline_s=0, grace_s=0)

    assert late_calls(journal) == ["call 1, async submit: never returned"]


async def test_a_call_that_is_refused_in_its_time_is_no_fault_and_is_counted(journal: Journal):
    async def refused() -> None:
        raise RedisUnreachable

    with pytest.raises(RedisUnreachable):
        await Calls(journal).made("async", "submit", refused, deadline_s=30)

    assert late_calls(journal) == []
    assert call_figures(journal)["async", "submit"].outcomes == {"RedisUnreachable": 1}


def test_a_call_is_late_after_its_deadline_and_grace_and_lost_without_an_end(journal: Journal):
    for call, took_s in enumerate((40.1, 39.9)):
        journal.note("called", call=call, client="CLI", kind="wait", deadline_s=30.0, limit_s=40.0)
        journal.note("returned", call=call, took_s=took_s, outcome="done")
    journal.note("called", call=2, client="CLI", kind="look", deadline_s=30.0, limit_s=40.0)

    assert late_calls(journal) == ["call 0, CLI wait: 40.1 s for 30 s (done)", "call 2, CLI look: never returned"]


@pytest.mark.parametrize(
    ("fact", "may_be_lost"),
    [
        ({"began": 8.0, "at": 9.0}, False),
        ({"began": 9.0, "at": 10.5}, True),
        ({"began": 12.5, "at": 13.0}, False),
        ({}, False),
    ],
    ids=["replicated before", "in the window", "of the new primary", "durable"],
)
def test_a_failover_may_lose_replies_since_the_last_replicated_write(
    journal: Journal, fact: dict[str, float], *, may_be_lost: bool
):
    journal.note("window", begins=10.0, ends=12.0)

    assert Windows(journal).excuse(fact) is may_be_lost


def test_a_plan_is_its_seeds_and_has_a_failover_and_a_jump_of_redis_clock_however_short():
    plan = make_plan(7, seconds=15)

    assert plan == make_plan(7, seconds=15) != make_plan(8, seconds=15)
    assert set(REGULAR) <= {strike.fault for strike in plan}
    assert all(strike.at_s < 15 for strike in plan)
    assert [strike.at_s for strike in plan] == sorted(strike.at_s for strike in plan)


@pytest.mark.parametrize(
    ("code", "said", "error"),
    [
        (3, "did not reply (closed): job 'a' may have been added; submit it again", Unconfirmed),
        (3, "nothing answers at REDIS_URL", RedisUnreachable),
        (3, "job 'a' has not ended within 5 s", WaitTimeout),
        (64, "no job or batch 'a'", UnknownJob),
        (64, "job 'a' exists: choose another --id", InvalidJob),
        (64, "no such option", Unforeseen),
        (70, "internal error", Unforeseen),
        (130, "stopped", Unforeseen),
        (-9, "", Unforeseen),
    ],
)
def test_a_commands_exit_is_read_as_the_error_it_means(code: int, said: str, error: type[Exception]):
    with pytest.raises(error) as raised:
        raise_for(code, said, ("status",), is_interrupted=False)

    assert raised.type is error


def test_a_command_that_was_interrupted_ends_as_it_should():
    raise_for(130, "stopped", ("watch",), is_interrupted=True)


async def test_what_a_thread_raises_is_raised_where_it_is_awaited():
    def fail() -> None:
        raise UnknownJob

    with pytest.raises(UnknownJob):
        await in_thread(fail)
