"""What ``sightline result`` does: the result of a job, or a report of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from producer import contract
from producer.cli.connect import with_client
from producer.cli.outputs import Output, plan_outputs, write_reports
from producer.cli.report_extras import Extras, read_extras
from producer.cli.scan.gate import FINE, exit_code, threshold
from producer.cli.scan.unattended import told_if_unattended
from producer.cli.terminal import folded, is_terminal
from producer.client.client import Client
from producer.contract import JobState, check_job_id
from producer.errors import JobCancelled, JobDead, UnknownJob, WaitTimeout
from producer.reports.formats import ReportContext
from producer.reports.jsonl import line_of
from producer.reports.page import page_of, summarise
from producer.reports.plain_text import one_line, printable

if TYPE_CHECKING:
    from producer.contract import Result


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
    if isinstance(result, contract.ScanResult):
        return _report(outputs, fail_on, extras)
    if not is_line:
        click.echo(folded(_plain(result)))
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
    pages = [page_of(result)] if isinstance(result, contract.ScanResult) else []
    return result, await read_extras(client, pages, outputs)


async def _awaited(client: Client, job_id: str, waits_s: float | None) -> Result:
    if waits_s is not None:
        async with told_if_unattended(client):
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
    if isinstance(result, contract.QueryResult):
        sources = "".join(f"\n  {one_line(source)}" for source in result.sources)
        return printable(result.answer) + (f"\n\nSources:{sources}" if sources else "")
    return line_of(result.model_dump(mode="json"))
