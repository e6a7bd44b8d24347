"""``sightline status``: the queue, a job or a batch. Its lines are ``status_text.py``'s."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from producer.cli.connect import with_client
from producer.cli.status_text import batch_lines, call_lines, gpu_lines, job_lines, queue_lines
from producer.cli.terminal import json_option
from producer.client.queue_view import BatchInfo, JobInfo, QueueInfo
from producer.contract import JobState, check_job_id
from producer.errors import UnknownJob
from producer.reports.jsonl import line_of

if TYPE_CHECKING:
    from producer.client.client import Client
    from producer.client.gpu_view import GpuView


@click.command()
@click.argument("name", required=False, metavar="[JOB|BATCH]")
@json_option()
def status(name: str | None, *, as_json: bool) -> None:
    """Show how many jobs wait and run and which workers live, or what became of one job or batch.

    \b
    sightline status
    sightline status nightly-2026-11-23
    """
    found, gpu = with_client(lambda client: find(client, name))
    if as_json:
        click.echo(line_of({"v": 1, **asdict(found), **({"gpu": asdict(gpu)} if gpu else {})}))
        return
    match found:
        case JobInfo():
            lines = job_lines(found, gpu=call_lines(gpu) if gpu else ())
        case BatchInfo():
            lines = batch_lines(found)
        case QueueInfo():
            lines = [*queue_lines(found, now_ms=int(time.time() * 1000)), *(gpu_lines(gpu) if gpu else ())]
    click.echo("\n".join(lines))


async def find(client: Client, name: str | None) -> tuple[JobInfo | BatchInfo | QueueInfo, GpuView | None]:
    """Return the queue, or the job or else the batch called ``name``, with the GPU calls that concern it, if any.

    Raises ``UnknownJob``.
    """
    if name is None:
        return await client.queue(), await client.gpu()
    check_job_id(name)
    try:
        job = await client.job(name)
        return job, (await client.gpu()).of_job(name) if job.state is JobState.RUNNING else None
    except UnknownJob:
        pass
    try:
        return await client.batch(name), None
    except UnknownJob:
        where = f"in environment {client.settings.environment!r}"
        raise UnknownJob(f"no job or batch {name!r} {where}: ids are kept 7 days after the end") from None
