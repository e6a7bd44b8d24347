"""What ``sightline status``, ``cancel`` and ``batch close`` do. Texts are in ``status_text.py``."""

from __future__ import annotations

import time
from dataclasses import asdict

import click

from producer.cli.connect import with_client
from producer.cli.gpu_text import call_lines, gpu_lines
from producer.cli.status_text import batch_lines, job_lines, queue_lines
from producer.cli.terminal import is_terminal
from producer.client.client import Client
from producer.client.gpu_view import GpuView
from producer.client.records import BatchInfo, JobInfo, QueueInfo
from producer.contract import JobState, check_job_id
from producer.errors import UnknownJob
from producer.reports.jsonl import line_of


def show_status(name: str | None, *, as_json: bool) -> None:
    """Print the queue, or the job or batch called ``name``; a job comes before a batch of the same name."""
    found, gpu = with_client(lambda client: _find(client, name))
    if as_json or not is_terminal():
        click.echo(line_of({"v": 1, **asdict(found), **({"gpu": asdict(gpu)} if gpu else {})}))
        return
    match found:
        case JobInfo():
            lines = job_lines(found, gpu=call_lines(gpu) if gpu else ())
        case BatchInfo():
            lines = batch_lines(found)
        case QueueInfo():
            lines = [*queue_lines(found, now_ms=int(time.time() * 1000)), *(gpu_lines(gpu) if gpu else ())]
    for line in lines:
        click.echo(line)


async def _find(client: Client, name: str | None) -> tuple[JobInfo | BatchInfo | QueueInfo, GpuView | None]:
    """Return what ``name`` is, and the GPU as far as it concerns it; None where nothing of the GPU is to be told."""
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
        msg = f"no job or batch {name!r} {where}: ids are kept 7 days after the end"
        raise UnknownJob(msg) from None


def cancel_named(name: str, *, as_json: bool) -> None:
    """Cancel the job or batch, and print each job's state after."""
    check_job_id(name)
    states = with_client(lambda client: _cancel(client, name))
    is_line = as_json or not is_terminal()
    for job_id, state in states.items():
        click.echo(line_of({"v": 1, "job_id": job_id, "state": state.value}) if is_line else _after(job_id, state))
    if not states and not is_line:
        click.echo(f"all jobs of {name} had ended already")


async def _cancel(client: Client, name: str) -> dict[str, JobState]:
    """Cancel what is called ``name``; a job comes before a batch of the same name."""
    found, _ = await _find(client, name)
    return await client.cancel_batch(name) if isinstance(found, BatchInfo) else {name: await client.cancel(name)}


def _after(job_id: str, state: JobState) -> str:
    if state == JobState.RUNNING:
        return f"{job_id} runs and is told within 5 seconds"
    if state == JobState.CANCELLED:
        return f"{job_id} is cancelled"
    return f"{job_id} had ended already: {state}"


def close_batch(batch_id: str, *, as_json: bool) -> None:
    """Say that the batch is complete, and print what became of it."""
    check_job_id(batch_id)
    batch = with_client(lambda client: client.seal_batch(batch_id))
    if as_json or not is_terminal():
        click.echo(line_of({"v": 1, **asdict(batch)}))
        return
    for line in batch_lines(batch):
        click.echo(line)
