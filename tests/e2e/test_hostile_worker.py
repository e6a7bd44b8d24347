"""Hostile pages in a real worker, two at a time: each has the right status, and nothing is left behind."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncGenerator, Generator

import pytest

from producer.client.client import Client
from producer.contract import ScanRequest, ScanResult
from tests.support.hostile import HOSTILE, SCANNED, Hostile, misbehave
from tests.support.processes_of import descendants, resident_mb, settled
from tests.support.scan_worker import StartScanWorker
from tests.support.scans import passes
from tests.support.site import Site

# Alone, since memory and deadlines assume an idle machine.
pytestmark = [pytest.mark.timeout(240), pytest.mark.alone]

HEAVY = frozenset({"/bomb-image", "/pages/memory_heap.html", "/pages/memory_buffers.html", "/pages/many_sites.html"})
"""These hold many cores or much memory for seconds: they are tried on the engine alone."""
PAGES = tuple(page for page in HOSTILE if not page.is_slow and page.path not in HEAVY)[::2]
"""Every other page: the engine's own test has all of them."""
HONEST = Hostile("/pages/guilty.html", SCANNED, is_guilty=True)
DEADLINE_S = 20.0


@pytest.fixture
def bad_site() -> Generator[Site]:
    with Site() as served:
        misbehave(served)
        yield served


async def scanned(client: Client, site: Site, pages: list[Hostile]) -> AsyncGenerator[tuple[Hostile, ScanResult]]:
    """Submit all pages at once and yield each with its result as they end."""
    requests = [
        ScanRequest(url=site.url(page.path), deadline_s=min(page.deadline_s, DEADLINE_S), assess=False)
        for page in pages
    ]
    job_ids = [job.job_id async for job in client.submit_many("scan", requests)]
    page_of = dict(zip(job_ids, pages, strict=True))
    async for result in client.as_completed(job_ids, timeout_s=180):
        assert isinstance(result, ScanResult), result.error
        yield page_of[result.job_id], result


async def at_rest(worker: subprocess.Popen[bytes], client: Client, site: Site, *, processes: int) -> tuple[int, float]:
    """Return the worker's processes and their memory in MB, after some honest scans and once it is quiet again."""
    async for _, result in scanned(client, site, [HONEST] * 6):
        assert result.status == "scanned", result.reason
        assert [finding.rule for finding in result.findings] == ["image-alt"]
    await settled(lambda: len(descendants(worker.pid)) <= processes)
    family = [worker.pid, *descendants(worker.pid)]
    return len(family), resident_mb(family)


async def test_hostile_pages_end_in_their_status_and_leave_nothing_behind_in_the_worker(
    client: Client, start_worker: StartScanWorker, bad_site: Site
) -> None:
    assert len(PAGES) >= 15
    worker = start_worker()
    before, before_mb = await at_rest(worker, client, bad_site, processes=6)

    ended = [pair async for pair in scanned(client, bad_site, [*PAGES])]
    after, after_mb = await at_rest(worker, client, bad_site, processes=before - 1)

    wrong = {page.path: (result.status, result.reason) for page, result in ended if not is_right(page, result)}
    assert wrong == {}
    assert len(ended) == len(PAGES)
    assert worker.poll() is None
    assert after <= before
    assert after_mb <= before_mb * 1.15


def is_right(page: Hostile, result: ScanResult) -> bool:
    is_guilty = "image-alt" in {finding.rule for finding in result.findings}
    is_told = result.status in page.statuses and page.reason in result.reason
    return is_told and page.is_guilty in {None, is_guilty} and not passes(result)
