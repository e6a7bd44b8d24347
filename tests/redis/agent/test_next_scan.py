from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from producer.contract import Lane, ScanRequest
from producer.keys import Keys
from tests.redis.agent.scanning import BARRIERS, HOME, graph, jobs
from tests.support.scans import FixedEngine
from worker.memory.history.history import History
from worker.resources import scan_settings
from worker.scan.settings import Audit
from worker.settings import WorkerSettings


class OpenEnded(FixedEngine):
    """An engine whose pages stay open until ``close`` is set; ``opened`` are their addresses."""

    def __init__(self) -> None:
        super().__init__([BARRIERS] * 3)
        self.opened: list[str] = []
        self.more = asyncio.Condition()
        self.close = asyncio.Event()

    async def audit(self, request: ScanRequest, **options: Any) -> Audit:
        async with self.more:
            self.opened.append(str(request.url))
            self.more.notify_all()
        await self.close.wait()
        return await super().audit(request, **options)

    async def until(self, count: int) -> None:
        async with self.more:
            await self.more.wait_for(lambda: len(self.opened) >= count)


async def test_the_next_batch_scan_waits_until_a_page_is_closed_and_an_interactive_one_does_not(
    keys: Keys, history: History
):
    engine = OpenEnded()
    scans = replace(jobs(keys, graph(engine, history, keys)), batch_pages=asyncio.Semaphore(1))
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(scans.run({"job_id": "first", "lane": Lane.BATCH}, {"url": f"{HOME}/first"}))
        await engine.until(1)
        group.create_task(scans.run({"job_id": "next", "lane": Lane.BATCH}, {"url": f"{HOME}/next"}))
        group.create_task(scans.run({"job_id": "person", "lane": Lane.INTERACTIVE}, {"url": f"{HOME}/person"}))
        await engine.until(2)
        engine.close.set()
        await engine.until(3)

    assert engine.opened == [f"{HOME}/first", f"{HOME}/person", f"{HOME}/next"]


@pytest.mark.parametrize(
    ("max_jobs", "cores", "pages"), [(1, 2, 1), (2, 2, 1), (3, 2, 2), (4, 2, 2), (4, 8, 2), (5, 8, 3), (12, 8, 8)]
)
def test_one_slot_is_for_questions_and_from_four_on_one_holds_the_next_scan(max_jobs: int, cores: int, pages: int):
    with patch("os.cpu_count", return_value=cores):
        assert scan_settings(WorkerSettings(max_jobs=max_jobs)).max_concurrent == pages
