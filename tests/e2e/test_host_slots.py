"""Two workers and one host: together they respect its slots, and its requests to wait."""

from __future__ import annotations

import time
from http.server import BaseHTTPRequestHandler

import pytest

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


@pytest.mark.parametrize("status", [429, 503])
async def test_a_host_that_asks_to_wait_gets_no_request_before_its_time(
    client: Client, start_worker: StartScanWorker, site: SmallSite, status: int
) -> None:
    refused_s: list[float] = []
    asked_s: list[float] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        (asked_s if refused_s else refused_s).append(time.monotonic())
        is_first = not asked_s
        body = b"later" if is_first else b"<!doctype html><html lang=en><title>T</title><main><h1>T</h1></main></html>"
        request.send_response(status if is_first else 200)
        request.send_header("Content-Type", "text/html")
        request.send_header("Content-Length", str(len(body)))
        if is_first:
            request.send_header("Retry-After", "6")
        request.end_headers()
        request.wfile.write(body)

    site.files = dict.fromkeys(("/busy", "/one", "/two"), answer)
    for _ in range(2):
        start_worker(HOST_PLACES="3", MAX_JOBS="1")
    await until(lambda: workers_heard(client, 2), what="two workers")
    refused = (await client.submit("scan", {"url": f"{site.url}/busy", "assess": False})).job_id
    await until(lambda: bool(refused_s), what="the request that is refused")
    await until(lambda: is_requeued(client, refused), what="the refused scan in the queue")
    others = [
        (await client.submit("scan", {"url": f"{site.url}{path}", "assess": False})).job_id for path in ("/one", "/two")
    ]

    # Each worker runs one job at a time, so both of them wait.
    await until(lambda: waiting_for_the_host(client, others), what="two scans that wait for the host")
    results = [result async for result in client.as_completed([refused, *others], timeout_s=60)]

    assert [result.status for result in results if isinstance(result, ScanResult)] == ["scanned"] * 3
    assert len(refused_s) == 1
    assert min(asked_s) - refused_s[0] >= 6
    assert (await client.job(refused)).attempt == 1, "waiting costs no attempt"


async def is_requeued(client: Client, job_id: str) -> bool:
    return (await client.job(job_id)).state != "running"


async def waiting_for_the_host(client: Client, jobs: list[str]) -> bool:
    return [(await client.job(job_id)).progress for job_id in jobs] == ["waiting for the host"] * len(jobs)


async def workers_heard(client: Client, number: int) -> bool:
    return len((await client.queue()).workers) == number


async def waiting(client: Client, jobs: list[str], number: int) -> bool:
    """Whether so many jobs wait for the host, and the other one is at the page."""
    steps = [(await client.job(job_id)).progress for job_id in jobs]
    return steps.count("waiting for the host") == number and steps.count("loading") == 1
