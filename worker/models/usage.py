"""Counts what models were used for, by day: ``usage:<yyyy-mm-dd>``, kept for USAGE_TTL_S.

Counted straight after each call and once (``worker/models/lua/usage.lua``), not with the job's commit: a call of a job
that fails, is tried again or is killed has used the card, or cost money, too. So a day's sums are of calls that ended,
and ``usage`` in the results of its jobs may come to less. The fields are told in ``producer/keys.py``.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any, Final, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from producer.contract import Usage
from producer.keys import Keys
from producer.redis.scripts import Arg, load_script, run_script

MARK_KEPT_S: Final = 120
"""Longer than a client goes on sending a command again."""
ADD: Final = load_script("worker.models", "usage")

log = structlog.get_logger()


class UsageLedger:
    """Adds calls to the day's sums, which are kept for ``ttl_s`` after the last of them."""

    def __init__(self, redis: Redis, keys: Keys, *, ttl_s: int) -> None:
        self._redis = redis
        self._keys = keys
        self._ttl_s = ttl_s

    async def add_now(self, *, kind: str, model: str, usage: Usage, failed: bool) -> None:
        """Add one call that has just ended, for whom no script has told Redis' time. Fails no job."""
        try:
            seconds, micros = cast("tuple[int, int]", await cast("Any", self._redis).time())
        except (RedisError, OSError) as error:
            log.warning("usage.not_counted", model=model, kind=kind, error=str(error))
            return
        await self.add(at_ms=seconds * 1000 + micros // 1000, kind=kind, model=model, usage=usage, failed=failed)

    async def add(
        self, *, at_ms: int, kind: str, model: str, usage: Usage, failed: bool, call_id: str | None = None
    ) -> None:
        """Add one call that ended at ``at_ms`` (Redis time), once for each ``call_id``; by default every call is new.

        Fails no job: what Redis does not take is logged.
        """
        sums = {
            "calls": 1,
            "failed": int(failed),
            "prompt_tokens": usage.prompt_tokens,
            "output_tokens": usage.output_tokens,
            "wait_ms": usage.gpu_wait_ms,
            "gpu_ms": usage.gpu_ms,
        }
        day = datetime.fromtimestamp(at_ms / 1000, tz=UTC).date().isoformat()
        keys = (self._keys.usage(day), self._keys.counted(call_id or secrets.token_hex(8)))
        added: list[Arg] = [part for what, by in sums.items() if by for part in (f"{kind}:{what}:{model}", by)]
        try:
            await run_script(self._redis, ADD, keys, [self._ttl_s, MARK_KEPT_S, *added])
        except (RedisError, OSError) as error:
            log.warning("usage.not_counted", model=model, kind=kind, error=str(error))
