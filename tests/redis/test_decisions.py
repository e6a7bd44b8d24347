"""Decisions on undecided findings: kept by component, per environment, until they are withdrawn."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract.decision import Decision
from producer.errors import InvalidJob, UnknownJob
from producer.keys import Keys
from producer.stored.decisions import Decisions
from tests.support.command_line import Call

FIRST = Decision(f"{'a' * 16}-{'0' * 8}", "no-barrier", "the icon is decoration", "Anna", date(2026, 11, 28))
SECOND = Decision(f"{'b' * 16}-{'0' * 8}", "barrier", "too light", "Ben", date(2026, 11, 27))


@pytest.fixture
def decisions(client: Client) -> Decisions:
    return Decisions(client)


async def test_decisions_are_kept_replaced_and_taken_back(decisions: Decisions) -> None:
    for one in (SECOND, replace(FIRST, verdict="barrier"), FIRST):
        await decisions.add(one)

    kept = await decisions.all()
    await decisions.remove(FIRST.issue_id)

    assert kept == [FIRST, SECOND]
    assert await decisions.all() == [SECOND]
    with pytest.raises(UnknownJob, match="review --list"):
        await decisions.remove(FIRST.issue_id)


def test_the_command_keeps_lists_and_takes_back(call: Call) -> None:
    added = call("review", FIRST.issue_id, "no-barrier", "--reason", "decoration", "--by", "Anna")
    listed = json.loads(call("review", "--list").stdout)
    removed = call("review", "--remove", FIRST.issue_id)

    assert added.stdout.startswith(f"{FIRST.issue_id}: no barrier, decided by Anna on 2")
    assert (listed["verdict"], listed["by"], listed["reason"]) == ("no-barrier", "Anna", "decoration")
    assert removed.stdout == f"{FIRST.issue_id}: needs review again\n"
    assert call("review", "--list").stdout == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"issue_id": "a" * 24},
        {"verdict": "perhaps"},
        {"reason": " "},
        {"by": ""},
        {"reason": "x" * 1001},
        {"by": "M\udcfcller"},
    ],
)
async def test_an_invalid_decision_is_refused(decisions: Decisions, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidJob):
        await decisions.add(replace(FIRST, **changes))

    assert await decisions.all() == []


@pytest.mark.parametrize("text", ["", "[]", '{"issue_id": 1}', '{"issue_id": "x", "verdict": "barrier"}'])
async def test_an_unreadable_decision_decides_nothing(
    decisions: Decisions, redis: Redis, keys: Keys, text: str
) -> None:
    await cast("Any", redis).hset(keys.decisions, FIRST.issue_id, text)

    assert await decisions.all() == []
