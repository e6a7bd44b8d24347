"""What ``sightline status``, ``result``, ``cancel`` and ``batch close`` do. Texts are in ``status_text.py``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import click

from producer.cli.connect import with_client
from producer.cli.gpu_text import call_lines, gpu_lines
from producer.cli.outputs import Output, plan_outputs, write_reports
from producer.cli.report_extras import Extras, read_extras
from producer.cli.status_text import batch_lines, job_lines, queue_lines
from producer.cli.terminal import is_terminal
from producer.cli.verdict import FINE, exit_code, threshold
from producer.client import Client
from producer.contract import JobState, QueryResult, Result, ScanResult, check_job_id
from producer.errors import JobCancelled, JobDead, UnknownJob, WaitTimeout
from producer.gpu_view import GpuView
from producer.records import BatchInfo, JobInfo, QueueInfo
from producer.reports.formats import ReportContext
from producer.reports.jsonl import line_of
from producer.reports.page import page_of, summarise
from producer.reports.plain_text import one_line, printable


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


def show_result(
    job_id: str, waits_s: float | None, *, fail_on: str, formats: Sequence[str], output: str | None, as_json: bool
) -> int:
    """Print the result of a job, or report a batch, and return the exit code; ``waits_s`` None does not wait.

    Raises ``WaitTimeout`` where there is none yet, ``JobDead`` and ``JobCancelled`` where there will be none.
    """
    check_job_id(job_id)
    is_line = as_json or not (is_terminal() or formats or output)
    outputs = () if is_line else plan_outputs(formats, output, default="table")
    try:
        result, extras = with_client(lambda client: _result(client, job_id, waits_s, outputs))
    except KeyboardInterrupt:
        click.echo(f"sightline: stopped waiting; the job goes on: sightline result {job_id} --wait", err=True)
        return 130
    except UnknownJob as error:
        return _batch_result(job_id, waits_s, error, fail_on=fail_on, outputs=outputs)
    if is_line:
        click.echo(line_of(result.model_dump(mode="json")))
    _raise_for_end(result)
    if isinstance(result, ScanResult):
        return _report(outputs, fail_on, extras)
    if not is_line:
        click.echo(_plain(result))
    return FINE


def _batch_result(
    name: str, waits_s: float | None, error: UnknownJob, *, fail_on: str, outputs: Sequence[Output]
) -> int:
    """Report the batch called ``name``; raises ``error`` where there is none either."""
    from producer.cli.batch_result import show_batch_result  # noqa: PLC0415  a job's result needs none of it

    try:
        return show_batch_result(name, waits_s, fail_on=fail_on, outputs=outputs or (Output("jsonl", None),))
    except UnknownJob as unknown:
        if "no longer kept" in str(unknown):
            raise
        raise UnknownJob(str(error).replace("no job ", "no job or batch ", 1)) from None


async def _result(
    client: Client, job_id: str, waits_s: float | None, outputs: Sequence[Output]
) -> tuple[Result, Extras]:
    result = await _awaited(client, job_id, waits_s)
    pages = [page_of(result)] if isinstance(result, ScanResult) else []
    return result, await read_extras(client, pages, outputs)


async def _awaited(client: Client, job_id: str, waits_s: float | None) -> Result:
    if waits_s is not None:
        return await client.wait(job_id, timeout_s=None if waits_s == float("inf") else waits_s)
    result = await client.result(job_id)
    if result is not None:
        return result
    job = await client.job(job_id)
    if job.state.is_final:
        msg = f"job {job_id!r} ended as {job.state}, and its result is no longer kept"
        raise UnknownJob(msg)
    msg = f"job {job_id!r} is {job.state}, there is no result yet: add --wait"
    raise WaitTimeout(msg)


def _raise_for_end(result: Result) -> None:
    reason = one_line(result.error.message if result.error else "", limit=1000)
    if result.state == JobState.DEAD:
        msg = f"job {result.job_id!r} is dead: {reason}; see 'sightline dead show {result.job_id}'"
        raise JobDead(msg)
    if result.state == JobState.CANCELLED:
        msg = f"job {result.job_id!r} was cancelled: {reason}"
        raise JobCancelled(msg)


def _report(outputs: Sequence[Output], fail_on: str, extras: Extras) -> int:
    context = ReportContext(datetime.now(UTC), fail_on=threshold(fail_on), trends=extras.trends, notes=extras.notes)
    for path in write_reports(outputs, extras.pages, context):
        click.echo(f"sightline: wrote {path}", err=True)
    return exit_code(summarise(extras.pages, fail_on=context.fail_on), timed_out=False)


def _plain(result: Result) -> str:
    if isinstance(result, QueryResult):
        sources = "".join(f"\n  {one_line(source)}" for source in result.sources)
        return printable(result.answer) + (f"\n\nSources:{sources}" if sources else "")
    return line_of(result.model_dump(mode="json"))


def cancel_named(name: str, *, as_json: bool) -> int:
    """Cancel the job or batch, print each job's state after, and return the exit code."""
    check_job_id(name)
    states = with_client(lambda client: _cancel(client, name))
    is_line = as_json or not is_terminal()
    for job_id, state in states.items():
        click.echo(line_of({"v": 1, "job_id": job_id, "state": state.value}) if is_line else _after(job_id, state))
    if not states and not is_line:
        click.echo(f"all jobs of {name} had ended already")
    return FINE


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
