"""The way of one job through the queue's files: short enough to be read in one sitting."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from arq.worker import func

import worker.queue
from producer.client.client import Client
from producer.contract import Lane
from producer.keys import Keys
from tests.support.queue import running_worker, until

QUEUE = Path(worker.queue.__file__).parent
MOST_FILES = 7
ROOTS = {("loop.py", "_claim"), ("executor.py", "begin"), ("executor.py", "_deliver")}


async def brief(ctx: dict[Any, Any]) -> str:  # noqa: ARG001  arq names it
    return "done"


@pytest.mark.parametrize("waits", [False, True], ids=["claimed from a backlog", "brought by a blocking read"])
async def test_a_job_passes_through_seven_files_from_claim_to_commit(
    waits: bool, client: Client, redis_url: str, keys: Keys
):
    entered: set[str] = set()
    roots = ROOTS | ({("lane_reader.py", "_take")} if waits else set())

    def note(frame: FrameType, event: str, _: object) -> None:
        """Count a call from the claim of the job, or from its delivery; the worker does other things meanwhile."""
        if event != "call" or Path(frame.f_code.co_filename).parent != QUEUE:
            return
        above: FrameType | None = frame
        while above is not None:
            path = Path(above.f_code.co_filename)
            if path.parent == QUEUE and (path.name, above.f_code.co_name) in roots:
                entered.add(Path(frame.f_code.co_filename).name)
                return
            above = above.f_back

    job = None if waits else await client.submit("brief", {})
    sys.setprofile(note)
    try:
        async with running_worker(redis_url, keys, [func(brief, name="brief")]) as own:
            if job is None:
                await until(lambda: own.job_loop._readers[Lane.BATCH]._client_id, what="a blocking read")
                job = await client.submit("brief", {})
            await client.wait(job.job_id, timeout_s=20)
    finally:
        sys.setprofile(None)

    assert {"executor.py", "run.py", "stream.py", "delivery.py", "leases.py"} <= entered
    assert ("lane_reader.py" in entered) is waits
    assert len(entered) <= MOST_FILES, sorted(entered)
