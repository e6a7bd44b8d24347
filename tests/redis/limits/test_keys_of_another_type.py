"""Scripts of host slots and of batches' logins do nothing by halves because a key has another type."""

from __future__ import annotations

from typing import Final

import pytest
from redis.asyncio import Redis

from producer.keys import Keys
from tests.support.key_types import assert_refused, typed_keys

KEYS: Final = {
    "enter_host": "slots:zset began:string away:zset closed:string",
    "close_host": "closed:string waited:string",
    "take_login": "login:hash",
    "keep_login": "login:hash",
}


@pytest.mark.parametrize(("name", "position", "expected"), typed_keys(KEYS))
async def test_a_key_of_another_type_is_named_and_nothing_is_written(
    redis: Redis, keys: Keys, name: str, position: int, expected: str
):
    args = ("token", 2, 1000, 30_000, 0, 1000, 2000)

    await assert_refused(
        redis, keys, ("worker.limits", name), args, names=KEYS[name], position=position, expected=expected
    )
