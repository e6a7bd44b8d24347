"""Counts what models were used for, by day: ``usage:<yyyy-mm-dd>``, kept for 400 days.

Written straight after each call, not with the job's result: a call of a job that is tried again has used the card too.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from producer.contract import Usage
from producer.keys import Keys

KEPT_S: Final = 400 * 86_400
"""A year and a month, so that a month can be set beside that of the year before."""

log = structlog.get_logger()


class UsageLedger:
    """Adds calls to the day's sums."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def add(self, *, at_ms: int, kind: str, model: str, usage: Usage, failed: bool) -> None:
        """Add one call at ``at_ms`` (Redis time). Fails no job: what Redis does not take is logged."""
        sums = {
            "calls": 1,
            "failed": int(failed),
            "prompt_tokens": usage.prompt_tokens,
            "output_tokens": usage.output_tokens,
            "wait_ms": usage.gpu_wait_ms,
            "gpu_ms": usage.gpu_ms,
        }
        key = self._keys.usage(datetime.fromtimestamp(at_ms / 1000, tz=UTC).date().isoformat())
        call = cast("Any", self._redis)
        try:
            async with call.pipeline(transaction=True) as pipe:
                for name, by in sums.items():
                    if by:
                        pipe.hincrby(key, f"{kind}:{name}:{model}", by)
                pipe.expire(key, KEPT_S)
                await pipe.execute()
        except (RedisError, OSError) as error:
            log.warning("usage.not_counted", model=model, kind=kind, error=str(error))
