"""Waits for a scan and for its assessment."""

from __future__ import annotations

from producer.client.client import Client
from producer.contract import ScanResult


async def assessed_scan(client: Client, job_id: str, *, timeout_s: float) -> ScanResult:
    """Return the scan's result once it has an assessment, or the reason why there is none."""
    result = await client.wait(job_id, timeout_s=timeout_s)
    assert isinstance(result, ScanResult)
    if result.assessed_by.is_pending:
        (found,) = [found async for found in client.assessed([job_id], timeout_s=timeout_s)]
        assert isinstance(found, ScanResult)
        return found
    return result
