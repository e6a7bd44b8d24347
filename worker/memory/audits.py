"""Keeps what a scan has read from its page until the scan is committed: ``audit:<job>``.

A scan that is killed in between continues from there, so that its page is not loaded, and its journey not walked, a
second time. Not a LangGraph checkpoint: four steps per page took more CPU than everything else that a page costs Redis
(decision 0044).
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from producer.keys import Keys

KEPT_S: Final = 3_600
"""Seconds for which an interrupted scan can be continued; after that, its page data is outdated."""


class Audit(NamedTuple):
    """A page's result and screenshots, both JSON."""

    result: str
    shots: str


class Audits:
    """The audits of scans that have not ended."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def find(self, job_id: str, request: str) -> Audit | None:
        """Return the job's audit, unless it is of another request or submission: an id may be reused or replayed."""
        text = await self._redis.get(self._keys.audit(job_id))
        if text is None:
            return None
        of_request, result, shots = json.loads(text)
        return Audit(result, shots) if of_request == request else None

    async def keep(self, job_id: str, request: str, audit: Audit) -> None:
        """Keep the job's audit for ``KEPT_S``; in a full Redis the scan goes on without it."""
        try:
            await self._redis.set(self._keys.audit(job_id), json.dumps((request, *audit)), ex=KEPT_S)
        except OutOfMemoryError:
            return

    async def drop(self, job_id: str) -> None:
        """Delete the job's audit. Safe to call twice."""
        await self._redis.unlink(self._keys.audit(job_id))
