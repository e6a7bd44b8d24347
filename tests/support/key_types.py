"""Tests scripts with keys of a wrong type. Scripts are not rolled back, so each checks its keys before it writes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from producer.keys import Keys
from producer.redis.scripts import Arg, load_script, run_script


def typed_keys(scripts: Mapping[str, str]) -> list[tuple[str, int, str]]:
    """Return script, position and type of every typed key; ``scripts`` maps a script to ``name:type`` or ``name`` …"""
    return [
        (script, position, type_)
        for script, keys in scripts.items()
        for position, (_, _, type_) in enumerate(key.partition(":") for key in keys.split())
        if type_
    ]


async def assert_refused(
    redis: Redis, keys: Keys, script: tuple[str, str], args: Sequence[Arg], *, names: str, position: int, expected: str
) -> None:
    """Run the script (package, name) with a list at ``position``; fail unless it names the key and writes nothing."""
    of_script = [f"{keys.job('')}{name}" for name in re.sub(r":\w+", "", names).split()]
    wrong = of_script[position]
    await redis.execute_command("RPUSH", wrong, "not ours")

    with pytest.raises(ResponseError, match=f"WRONGKEY {wrong} is a list: expected a {expected}"):
        await run_script(redis, load_script(*script), of_script, args)

    there = [name async for name in redis.scan_iter(match=f"*{keys.environment}*", count=1000)]
    assert cast("list[bytes]", there) == [wrong.encode()]
