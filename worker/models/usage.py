"""Counts the use of models by day: ``usage:<yyyy-mm-dd>``, kept for USAGE_TTL_S.

Calls are counted once, right after they end (``worker/models/lua/usage.lua``), not with the job's commit: a call of a
job that fails, is retried or is killed has also used the GPU, or cost money. So a day's sums cover all calls that
ended, and ``usage`` in the results of its jobs may add up to less. The fields are listed in ``producer/keys.py``.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any, Final, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from producer.contract import Usage
from producer.errors import ModelError
from producer.keys import Keys
from producer.redis.scripts import Arg, load_script, run_script
from worker.models.job_context import now_serving

MARK_KEPT_S: Final = 120
"""Longer than a client keeps resending a command."""
ADD: Final = load_script("worker.models", "usage")

log = structlog.get_logger()


class UsageLedger:
    """Adds calls to the day's sums, which are kept for ``ttl_s`` after the last call."""

    def __init__(self, redis: Redis, keys: Keys, *, ttl_s: int) -> None:
        self._redis = redis
        self._keys = keys
        self._ttl_s = ttl_s

    async def record(
        self,
        *,
        kind: str,
        model: str,
        host: str,
        usage: Usage,
        run_ms: int,
        failure: ModelError | None,
        at_ms: int | None = None,
        call_id: str | None = None,
    ) -> None:
        """Log one call of the running job, and add it as ``add`` does; ``at_ms`` 0: Redis did not answer."""
        about = {"kind": kind, "model": model, "host": host, "job_id": now_serving().job_id}
        about |= {"wait_ms": usage.gpu_wait_ms, "run_ms": run_ms}
        if failure is None:
            log.info("model.answered", **about, prompt_tokens=usage.prompt_tokens, output_tokens=usage.output_tokens)
        else:
            log.warning("model.failed", **about, error=f"{type(failure).__name__}: {failure}")
        if at_ms == 0:
            log.warning("usage.not_counted", kind=kind, model=model, error="Redis was silent at the call's end")
            return
        await self.add(kind=kind, model=model, usage=usage, failed=failure is not None, at_ms=at_ms, call_id=call_id)

    async def add(
        self, *, kind: str, model: str, usage: Usage, failed: bool, at_ms: int | None = None, call_id: str | None = None
    ) -> None:
        """Add one call that ended at ``at_ms`` (Redis time), or now; once per ``call_id``, by default a new one.

        Never fails a job: a call that Redis does not accept is logged.
        """
        sums = {
            "calls": 1,
            "failed": int(failed),
            "prompt_tokens": usage.prompt_tokens,
            "output_tokens": usage.output_tokens,
            "wait_ms": usage.gpu_wait_ms,
            "gpu_ms": usage.gpu_ms,
        }
        added: list[Arg] = [part for what, by in sums.items() if by for part in (f"{kind}:{what}:{model}", by)]
        try:
            ended_s = (await cast("Any", self._redis).time())[0] if at_ms is None else at_ms / 1000
            day = datetime.fromtimestamp(ended_s, tz=UTC).date().isoformat()
            keys = (self._keys.usage(day), self._keys.counted(call_id or secrets.token_hex(8)))
            await run_script(self._redis, ADD, keys, [self._ttl_s, MARK_KEPT_S, *added])
        except (RedisError, OSError) as error:
            log.warning("usage.not_counted", model=model, kind=kind, error=str(error))
