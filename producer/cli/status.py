"""``sightline status``: shows the queue, a job or a batch. ``status_text.py`` formats the lines."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from producer.cli.connect import with_client
from producer.cli.status_text import batch_lines, call_lines, gpu_lines, job_lines, queue_lines
from producer.cli.terminal import json_option
from producer.client.queue_info import BatchInfo, JobInfo, QueueInfo
from producer.contract import JobState, check_job_id
from producer.errors import UnknownJob
from producer.reports.jsonl import line_of

if TYPE_CHECKING:
    from producer.client.client import Client
    from producer.client.gpu_view import GpuView

NOT_SCANNED: Final = 2
NO_ANSWER: Final = 3
"""The same value as in ``scan/gate.py``, which would import the reports."""


@click.command()
@click.argument("name", required=False, metavar="[JOB|BATCH]")
@click.option(
    "--check",
    is_flag=True,
    help="Exit 2 if a page of the batch was not scanned completely, or a job failed or was cancelled; 3 if the batch "
    "has not ended.",
)
@json_option()
def status(name: str | None, *, check: bool, as_json: bool) -> int:
    """Show the queue and the workers, or the state of one job or batch.

    \b
    sightline status
    sightline status nightly-2026-11-23
    sightline status nightly-2026-11-23 --check
    """
    found, gpu = with_client(lambda client: find(client, name))
    if check and not isinstance(found, BatchInfo):
        raise click.UsageError("--check applies to a batch: name one, as in 'sightline status nightly --check'")
    if as_json:
        about = {"not_scanned": found.missed} if isinstance(found, BatchInfo) else {}
        click.echo(line_of({"v": 1, **asdict(found), **about, **({"gpu": asdict(gpu)} if gpu else {})}))
    else:
        click.echo("\n".join(_lines(found, gpu)))
    return _checked(found) if check and isinstance(found, BatchInfo) else 0


def _checked(batch: BatchInfo) -> int:
    """Return the exit code for a batch: as for ``sightline scan``, without findings."""
    if not batch.finished_ms:
        return NO_ANSWER
    return NOT_SCANNED if batch.not_passed else 0


def _lines(found: JobInfo | BatchInfo | QueueInfo, gpu: GpuView | None) -> Iterable[str]:
    match found:
        case JobInfo():
            return job_lines(found, gpu=call_lines(gpu) if gpu else ())
        case BatchInfo():
            return batch_lines(found)
        case QueueInfo():
            return [*queue_lines(found, now_ms=int(time.time() * 1000)), *(gpu_lines(gpu) if gpu else ())]


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
