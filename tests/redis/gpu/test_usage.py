"""usage.lua and the ledger on it: a day's model calls, each counted once."""

from __future__ import annotations

from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from structlog.testing import capture_logs

from producer.contract import Usage
from producer.keys import Keys
from producer.redis.scripts import run_script
from producer.settings import DAY_S
from worker.models.usage import ADD, UsageLedger

NEW_YEAR_MS = 1_798_761_600_000
"""2027-01-01 00:00 UTC."""


async def sums(redis: Redis, keys: Keys, day: str) -> dict[str, int]:
    return {name.decode(): int(value) for name, value in (await cast("Any", redis).hgetall(keys.usage(day))).items()}


async def test_a_call_is_added_to_its_days_sums(redis: Redis, keys: Keys):
    ledger = UsageLedger(redis, keys, ttl_s=400 * DAY_S)
    usage = Usage(prompt_tokens=100, output_tokens=20, calls=1, gpu_wait_ms=30, gpu_ms=400)

    for at_ms in (NEW_YEAR_MS - 1, NEW_YEAR_MS, NEW_YEAR_MS + 1):
        await ledger.add(at_ms=at_ms, kind="chat", model="qwen3.5:4b", usage=usage, failed=False)

    assert (await sums(redis, keys, "2026-12-31"))["chat:calls:qwen3.5:4b"] == 1
    assert await sums(redis, keys, "2027-01-01") == {
        "chat:calls:qwen3.5:4b": 2,
        "chat:prompt_tokens:qwen3.5:4b": 200,
        "chat:output_tokens:qwen3.5:4b": 40,
        "chat:wait_ms:qwen3.5:4b": 60,
        "chat:gpu_ms:qwen3.5:4b": 800,
    }
    assert 399 * 86_400 < await cast("Any", redis).ttl(keys.usage("2027-01-01")) <= 400 * 86_400


async def test_a_call_that_is_counted_again_adds_nothing(redis: Redis, keys: Keys):
    ledger = UsageLedger(redis, keys, ttl_s=400 * DAY_S)

    for _ in range(2):
        await ledger.add(at_ms=NEW_YEAR_MS, kind="embed", model="m", usage=Usage(), failed=True, call_id="w1-77")

    assert await sums(redis, keys, "2027-01-01") == {"embed:calls:m": 1, "embed:failed:m": 1}
    assert 0 < await cast("Any", redis).ttl(keys.counted("w1-77")) <= 120


async def test_a_key_of_the_wrong_type_is_left_alone_and_fails_no_job(redis: Redis, keys: Keys):
    day = keys.usage("2027-01-01")
    await redis.set(day, "somebody's")

    with pytest.raises(ResponseError, match="WRONGKEY"):
        await run_script(redis, ADD, [day, keys.counted("w1-77")], [60, 60, "chat:calls:m", 1])
    with capture_logs() as logs:
        await UsageLedger(redis, keys, ttl_s=400 * DAY_S).add(
            at_ms=NEW_YEAR_MS, kind="chat", model="m", usage=Usage(), failed=False, call_id="w1-77"
        )

    assert [entry["event"] for entry in logs] == ["usage.not_counted"]
    assert not await redis.exists(keys.counted("w1-77"))
