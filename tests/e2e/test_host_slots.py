"""Two workers and one host: they keep its slots together."""

from __future__ import annotations

from producer.client.client import Client
from producer.contract import ScanResult
from tests.support.queue import until
from tests.support.scan_worker import StartScanWorker
from tests.support.small_site import SmallSite


async def test_two_workers_keep_a_hosts_slots_together(
    client: Client, start_worker: StartScanWorker, site: SmallSite
) -> None:
    for _ in range(2):
        start_worker(HOST_PLACES="1", MAX_JOBS="3")
    await until(lambda: workers_heard(client, 2), what="two workers")
    site.gate.clear()
    jobs = [(await client.submit("scan", {"url": f"{site.url}/guilty", "assess": False})).job_id for _ in range(4)]

    await until(lambda: waiting(client, jobs, 3), what="one scan at the page and three that wait for the host")
    await until(lambda: bool(site.asked), what="the page's request")  # "loading" is said before it is sent
    asked = list(site.asked)
    site.gate.set()
    results = [result async for result in client.as_completed(jobs, timeout_s=60)]

    assert asked == ["/guilty"]
    assert [result.status for result in results if isinstance(result, ScanResult)] == ["scanned"] * 4


async def workers_heard(client: Client, number: int) -> bool:
    return len((await client.queue()).workers) == number


async def waiting(client: Client, jobs: list[str], number: int) -> bool:
    """Whether so many jobs wait for the host, and the other one is at the page."""
    steps = [(await client.job(job_id)).progress for job_id in jobs]
    return steps.count("waiting for the host") == number and steps.count("loading") == 1
