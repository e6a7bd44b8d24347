"""How many of a day's chat calls may go to the cloud: FALLBACK_SHARE of them, over all workers, counted in Redis.

Redis decides in ``worker/models/cloud/lua/cloud_share.lua``; where it does not answer, the cloud is not asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from producer.keys import Keys
from producer.redis.scripts import load_script, run_script

SHARE: Final = load_script("worker.models.cloud", "cloud_share")
PARTS: Final = 1_000_000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class CloudShare:
    """The share of one environment; ``share`` is from 0 to 1."""

    redis: Redis
    keys: Keys
    share: float

    async def count(self, *, is_wanted: bool) -> bool:
        """Count a chat call; return whether it is granted the cloud, which it gets only where it ``is_wanted``."""
        return await self._run(is_new=True, is_wanted=is_wanted)

    async def ask(self) -> bool:
        """Return whether a call that was counted before is granted the cloud."""
        return await self._run(is_new=False, is_wanted=True)

    async def _run(self, *, is_new: bool, is_wanted: bool) -> bool:
        args = (round(self.share * PARTS), int(is_new), int(is_wanted))
        try:
            granted, _ = await run_script(self.redis, SHARE, (self.keys.cloud_share,), args)
        except (RedisError, OSError) as error:
            log.warning("cloud.share_unknown", error=str(error))
            return False
        return bool(granted)
