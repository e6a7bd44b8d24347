from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from worker.doctor.line import Level, has_error
from worker.doctor.server import MIB, ServerFacts, server_lines

WELL = ServerFacts(
    version="8.0.2",
    role="master",
    missing=(),
    policy="noeviction",
    used=100 * MIB,
    limit=1_000 * MIB,
    keeps_aof=True,
    appendfsync="everysec",
    write_failure="",
)


def test_a_healthy_server_gets_no_advice():
    lines = server_lines(WELL)

    assert {line.level for line in lines} == {Level.OK}
    assert [line.todo for line in lines] == [""] * 5
    assert not has_error(lines)


@pytest.mark.parametrize(
    ("changed", "subject", "level", "said"),
    [
        ({"version": "7.2.4"}, "redis", Level.ERROR, "7.2.4 lacks"),
        ({"role": "slave"}, "redis", Level.ERROR, "accepts no writes"),
        ({"missing": ("search",)}, "modules", Level.ERROR, "search missing"),
        ({"policy": "allkeys-lru"}, "eviction", Level.ERROR, "waiting jobs and history"),
        ({"policy": "volatile-ttl"}, "eviction", Level.ERROR, "before their time"),
        ({"policy": "allkeys-lru", "limit": 0}, "eviction", Level.WARNING, "once maxmemory is set"),
        ({"keeps_aof": False}, "disk", Level.ERROR, "a restart loses"),
        ({"appendfsync": ""}, "disk", Level.WARNING, "cannot be read"),
        ({"version": "7.4.1"}, "disk", Level.WARNING, "durable submits are refused"),
        ({"appendfsync": "no"}, "disk", Level.WARNING, "durable submits are refused"),
        ({"write_failure": "append-only file"}, "disk", Level.ERROR, "the last write failed"),
        ({"limit": 0}, "memory", Level.WARNING, "without a limit"),
        ({"used": 750 * MIB}, "memory", Level.WARNING, "refused above 85%"),
        ({"used": 900 * MIB}, "memory", Level.ERROR, "submits are refused"),
    ],
)
def test_problems_of_a_server_are_reported_with_a_remedy(
    changed: dict[str, Any], subject: str, level: Level, said: str
):
    (line,) = [line for line in server_lines(replace(WELL, **changed)) if line.subject == subject]

    assert line.level is level
    assert said in line.text
    assert line.todo


def test_redis_7_4_is_trusted_where_it_syncs_always():
    lines = server_lines(replace(WELL, version="7.4.1", appendfsync="always"))

    assert not [line for line in lines if line.level is not Level.OK]
