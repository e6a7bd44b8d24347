"""How long a rebuilt index is waited for."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from producer.errors import ServiceError
from worker.memory.vectors.indexes import wait_until_indexed


class Rebuilding:
    """An index that is never complete, on a redis-py that drops the first cancellation."""

    name = "scans"
    dropped = 0

    async def info(self) -> dict[str, str]:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.dropped += 1
            if self.dropped > 1:
                raise
        return {"indexing": "1"}


async def test_a_rebuild_is_waited_for_no_longer_than_its_limit():
    index = Rebuilding()

    with pytest.raises(ServiceError, match="'scans' was lost and is being rebuilt"):
        await asyncio.wait_for(wait_until_indexed(cast("Any", index), timeout_s=0.1), 5)

    assert index.dropped == 1
