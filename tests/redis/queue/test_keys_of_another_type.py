"""No script of the queue writes partially because a key has another type."""

from __future__ import annotations

from typing import Final

import pytest
from redis.asyncio import Redis

from producer.keys import Keys
from tests.support.key_types import assert_refused, typed_keys

HELD: Final = ("workers", "w1", "1-1", "1")
"""Group, consumer, entry and fence."""
KEYS: Final = {
    "submit": "job:hash lane:stream scheduled:zset batch:hash secret:hash",
    "cancel": "scheduled:zset lane:stream waiting:zset job:hash result events:stream secret batch:hash",
    "seal": "batch:hash events:stream",
    "bury": "lane:stream dead:stream job:hash result events:stream secret batch:hash",
    "retry": "lane:stream job:hash scheduled:zset events:stream waiting:zset",
    "requeue": "lane:stream job:hash",
    "reject": "lane:stream dead:stream events:stream result job",
    "promote": "scheduled:zset job:hash lane:stream",
    "clock_back": "scheduled:zset job:hash waiting:zset",
    "restore_entry": "lane:stream job",
    "drop_entry": "lane:stream",
    "control": "controls:hash events:stream parked:zset scheduled:zset assess:zset",
    "replay": "dead:stream job:hash lane:stream result",
}
PACKAGES: Final = {
    **dict.fromkeys(("submit", "cancel", "seal"), "producer.client"),
    **dict.fromkeys(("control", "replay"), "producer.stored"),
}
ARGS: Final[dict[str, tuple[str | int, ...]]] = {
    "submit": ("j1", "add", "batch", "{}", "", 1000, 0, "b1", "", 10, 0, 0, 0, "0", "password", "hush"),
    "cancel": ("j1", "{}", 60, 60, "{}", "live", "b1", "batch", "workers"),
    "seal": ("b1", 60, "live", "1"),
    "bury": (*HELD, "j1", "Boom", "it broke", 10, 10**6, "{}", 60, 60, "{}", "live", "b1"),
    "retry": (*HELD, "j1", 1000, "{}", "{}", "live", "0"),
    "requeue": (*HELD, "j1", "add", "1"),
    "reject": (
        *HELD[:3],
        "j1",
        "batch",
        "garbage",
        "{}",
        "live",
        1000,
        10,
        "{}",
        60,
        "InvalidJob",
        "batch-1-1",
        10**6,
        "0",
        60,
    ),
    "promote": ("j1", "batch"),
    "clock_back": ("j1",),
    "restore_entry": ("workers", "1", "batch", "j1"),
    "drop_entry": HELD[:1] + HELD[2:3],
    "control": ("all", "{}", "{}", "live", 10, "0"),
    "replay": ("1-1", "j1", "batch", "0"),
}


@pytest.mark.parametrize(("name", "position", "expected"), typed_keys(KEYS))
async def test_a_key_of_another_type_is_named_and_nothing_is_written(
    redis: Redis, keys: Keys, name: str, position: int, expected: str
):
    script = (PACKAGES.get(name, "worker.queue"), name)

    await assert_refused(redis, keys, script, ARGS[name], names=KEYS[name], position=position, expected=expected)
