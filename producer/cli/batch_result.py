"""What ``sightline result BATCH`` does: report a batch by its name, whoever submitted it, with no list of its pages."""

from __future__ import annotations

from collections.abc import Sequence

import click

from producer.cli.connect import with_client
from producer.cli.outputs import Output
from producer.cli.scan.gate import Gate
from producer.cli.scan.options import ScanOptions
from producer.cli.scan.submit import Queued, ScanPlan
from producer.cli.scan.targets import Targets
from producer.cli.scan.wait import Waiting
from producer.client.client import Client
from producer.client.queue_view import jobs_of_batch, urls_of_jobs
from producer.errors import UnknownJob
from producer.redis.connection import redis_errors

EXIT_INTERRUPTED = 130


def show_batch_result(batch_id: str, waits_s: float | None, *, fail_on: str, outputs: Sequence[Output]) -> int:
    """Report the batch's pages and return the exit code; ``waits_s`` None reports what there is.

    Raises ``UnknownJob`` where no batch has that name, or its jobs are no longer kept.
    """
    urls = with_client(lambda client: _urls(client, batch_id))
    pages = tuple(url or f"job {job_id}" for job_id, url in urls.items())
    timeout_s = 0.0 if waits_s is None else None if waits_s == float("inf") else waits_s
    options = ScanOptions(timeout_s=timeout_s, fail_on=fail_on)
    queued = Queued(batch_id, is_complete=True, urls=urls)
    waiting = Waiting(
        ScanPlan(pages, {}, batch_id), Targets(pages), queued, tuple(outputs), options, Gate(), frozenset()
    )
    try:
        return waiting.run(with_client)
    except KeyboardInterrupt:
        again = f"the jobs go on: sightline result {batch_id} --wait"
        click.echo(f"sightline: stopped waiting; {again}", err=True)
        return EXIT_INTERRUPTED


async def _urls(client: Client, batch_id: str) -> dict[str, str]:
    batch = await client.batch(batch_id)
    with redis_errors(client.settings):
        jobs = await jobs_of_batch(client.redis, client.keys, batch_id)
        urls = await urls_of_jobs(client.redis, client.keys, jobs)
    if not urls:
        raise UnknownJob(f"batch {batch_id!r} had {batch.total} jobs, and they are no longer kept")
    return urls
