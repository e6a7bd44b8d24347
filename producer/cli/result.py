"""``sightline result``: shows the result of a job, or reports a batch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import click

from producer import contract
from producer.cli.ci import ci_system, harmless, say
from producer.cli.connect import environment, warning_without_worker, with_client
from producer.cli.scan.config_file import config_file, config_options
from producer.cli.scan.report_options import report_options
from producer.cli.terminal import folded, is_for_people
from producer.contract import check_job_id
from producer.contract.payloads import PAGES
from producer.errors import InputError, PageUnreachable, ResultExpired, UnknownJob, WaitTimeout
from producer.reports.jsonl import line_of
from producer.reports.plain_text import counted, one_line

if TYPE_CHECKING:
    from producer.cli.outputs import Output
    from producer.cli.report_extras import Extras
    from producer.cli.scan.file_rules import FileRules
    from producer.cli.scan.gate import Gate
    from producer.cli.scan.options import ScanOptions
    from producer.client.client import Client
    from producer.client.queue_info import BatchInfo
    from producer.contract import Result, ScanResult
    from producer.reports.page import Page

_OPEN_AGAIN_S: Final = 1.0
"""Seconds between looks at an open batch."""


class _Asked(NamedTuple):
    """Options from the call and the settings file; their objects are created only for results of scans."""

    timeout_s: float | None
    assess_wait_s: float | None
    fail_on: str | None
    strict: bool
    rules: FileRules | None

    def options(self) -> ScanOptions:
        """Return them as the options of a scan."""
        from producer.cli.scan.options import ScanOptions

        timeout_s, assess_wait_s, fail_on, strict, _ = self
        return ScanOptions(timeout_s=timeout_s, assess_wait_s=assess_wait_s, fail_on=fail_on, strict=strict)

    def gate(self) -> Gate:
        """Return the gate, with the rules of the file."""
        from producer.cli.scan.file_rules import FileRules
        from producer.cli.scan.gate import Gate

        gate = Gate(strict=self.strict)
        (self.rules or FileRules()).put_into(gate, today=datetime.now(UTC).date())
        return gate


@click.command()
@click.argument("job_id", metavar="JOB|BATCH")
@click.option("--wait", is_flag=True, help="Wait for the result.")
@report_options
@config_options
@click.option("--json", "as_json", is_flag=True, help="The result's JSON as stored. Default in a pipe.")
def result(
    job_id: str,
    *,
    wait: bool,
    timeout_s: float | None,
    assess_wait_s: float | None,
    fail_on: str | None,
    strict: bool,
    formats: tuple[str, ...],
    output: str | None,
    config: str | None,
    no_config: bool,
    as_json: bool,
) -> int:
    """Show the result of a job or batch: a table in a terminal and in CI, else JSON. Exit codes are those of 'scan'.

    Waivers and the gate (fail_on, strict, rules, report_only, count_review) of sightline.toml apply.

    \b
    sightline result 3f2b8c6e5a --wait --timeout 120
    sightline result 3f2b8c6e5a --format html -o page.html
    sightline result nightly-20261125T0300 --format html -o nightly.html
    """
    if as_json and (formats or output):
        msg = "--json writes to stdout: omit --format and --output, or use --format jsonl=PATH"
        raise click.UsageError(msg)
    check_job_id(job_id)
    is_line = as_json or not (is_for_people() or formats or output)
    outputs: tuple[Output, ...] = ()
    if not is_line:
        from producer.cli.outputs import plan_outputs

        outputs = plan_outputs(formats, output, default="table")
    waits = wait or timeout_s is not None or bool(assess_wait_s)
    asked = _Asked(
        timeout_s if waits else 0.0,
        assess_wait_s if waits or assess_wait_s is not None else 0.0,
        fail_on,
        strict,
        None,
    )
    if (path := config_file(config, no_config=no_config)) is not None:
        from producer.cli.scan.later_rules import later_rules

        of_file, rules = later_rules(path)
        given = {name: value for name, value in {"fail_on": fail_on, "strict": strict}.items() if value}
        asked = asked._replace(**{**of_file, **given}, rules=rules)
    try:
        found, extras = with_client(lambda client: _result(client, job_id, outputs, asked, waits=waits))
    except KeyboardInterrupt:
        raise click.Abort(f"stopped waiting; the job continues: sightline result {job_id} --wait") from None
    except UnknownJob as error:
        return _batch_result(job_id, error, outputs, asked, waits=waits)
    from producer.cli.ask import plain_answer, raise_for_end

    if is_line:
        click.echo(line_of(found.model_dump(mode="json")))
    raise_for_end(found, "job")
    if extras is not None:
        return _report(outputs, asked, extras)
    if formats or output:
        raise InputError(f"job {job_id!r} is no scan ({found.kind}), so it has no reports: omit --format and --output")
    if not is_line:
        is_answer = isinstance(found, contract.QueryResult)
        text = folded(plain_answer(found)) if is_answer else line_of(found.model_dump(mode="json"))
        click.echo(harmless(text) if ci_system(environment()) else text)
    return 0


async def _result(
    client: Client, job_id: str, outputs: Sequence[Output], asked: _Asked, *, waits: bool
) -> tuple[Result, Extras | None]:
    """Return the result, and for a scan the extras of reports.

    Raises ``WaitTimeout`` if there is no result yet, and ``ResultExpired`` if it is no longer kept.
    """
    found = None if waits else await client.result(job_id)
    if found is None:
        if not waits and not (job := await client.job(job_id)).state.is_final:
            raise WaitTimeout(f"job {job_id!r} is {job.state} and has no result yet: add --wait")
        async with warning_without_worker(client):
            found = await client.wait(job_id, timeout_s=asked.timeout_s)
    if not isinstance(found, contract.ScanResult):
        return found, None
    if found.is_awaited:
        from producer.cli.scan.wait import assess_wait

        if wait_s := assess_wait(asked.options()):
            async with aclosing(client.assessed([job_id], timeout_s=wait_s)) as assessed:
                later = await anext(assessed, found)
                found = later if isinstance(later, contract.ScanResult) else found
    from producer.cli.report_extras import read_extras

    return found, await read_extras(client, [await _marked(client, found, asked.gate())], outputs)


async def _marked(client: Client, found: ScanResult, gate: Gate) -> Page:
    """Return the page of one scan with the waivers and decisions of the environment and of the file."""
    from producer.cli.scan.kept import take_kept
    from producer.reports.page import page_of

    await take_kept(client, gate)
    return gate.mark(page_of(found))


def _report(outputs: Sequence[Output], asked: _Asked, extras: Extras) -> int:
    from producer.cli.outputs import write_reports
    from producer.cli.scan.gate import exit_code, threshold
    from producer.reports.category import category_of
    from producer.reports.formats import ReportContext
    from producer.reports.summary import summarise

    pages, fail_on = extras.pages, threshold(asked.fail_on)
    context = ReportContext(
        datetime.now(UTC),
        fail_on=fail_on,
        trends=extras.trends,
        dates=extras.dates,
        notes=extras.notes,
        category=category_of(pages),
        scanned_ms=extras.scanned_ms,
    )
    write_reports(outputs, pages, context)
    return exit_code(summarise(pages, fail_on=fail_on), timed_out=False)


def _batch_result(batch_id: str, error: UnknownJob, outputs: Sequence[Output], asked: _Asked, *, waits: bool) -> int:
    try:
        return _report_of_batch(batch_id, error, outputs, asked, waits=waits)
    except KeyboardInterrupt:
        raise click.Abort(f"stopped waiting; the jobs continue: sightline result {batch_id} --wait") from None


def _report_of_batch(batch_id: str, error: UnknownJob, outputs: Sequence[Output], asked: _Asked, *, waits: bool) -> int:
    """Report the pages of the batch; raises ``UnknownJob``, and ``ResultExpired`` if none of its jobs is kept.

    A batch that is open, or that has lost jobs, is no pass even if all known pages are: each report has an entry about
    them that was not scanned (``_Lost``).
    """
    began = monotonic()
    urls, lost = with_client(lambda client: _urls(client, batch_id, error, asked, waits=waits))
    if asked.timeout_s is not None:
        asked = asked._replace(timeout_s=max(0.0, asked.timeout_s + began - monotonic()))
    from producer.cli.outputs import Output
    from producer.cli.scan.baseline import Baseline
    from producer.cli.scan.submit import Queued, ScanPlan
    from producer.cli.scan.targets import Targets
    from producer.cli.scan.wait import Waiting

    pages = tuple(url or f"job {job_id}" for job_id, url in urls.items())
    queued = Queued(batch_id, is_complete=True, urls=urls)
    plan = ScanPlan(pages, {}, batch_id)
    outputs = tuple(outputs) or (Output("jsonl", None),)
    targets = Targets(pages, refused=lost.pages)
    waiting = Waiting(plan, targets, queued, outputs, asked.options(), asked.gate(), Baseline())
    code = waiting.run(with_client)
    for page in lost.pages:
        say(page.problem)
    return code


class _Lost(NamedTuple):
    """What is missing in a batch's report: jobs to come while it ``is_open``, the ``number`` no longer kept.

    ``unread`` names what the search for a schedule's pages could not read.
    """

    batch_id: str
    is_open: bool
    number: int
    unread: tuple[str, ...] = ()

    @property
    def pages(self) -> tuple[Page, ...]:
        """What is missing, as pages that were not scanned."""
        from producer.reports.page import Page

        of, pages = f"batch {self.batch_id}", list[Page]()
        if self.is_open:
            text = (
                f"batch {self.batch_id!r} is open: its submitter may still add pages, so this is not its result; "
                f"if the submitter is gone: sightline batch close {self.batch_id}"
            )
            pages.append(Page(of, "waiting", problem=text, error=WaitTimeout.__name__))
        if self.number:
            are = "job is" if self.number == 1 else "jobs are"
            text = (
                f"{self.number:,} {are} missing in this report of batch {self.batch_id!r}: ended over 7 days ago, or "
                f"replayed since"
            )
            pages.append(Page(of, "failed", problem=text, error=ResultExpired.__name__))
        if self.unread:
            text = f"the search for the pages of batch {self.batch_id!r} could not read all: {'; '.join(self.unread)}"
            pages.append(Page(of, "failed", problem=text, error=PageUnreachable.__name__))
        return tuple(pages)


async def _closed(client: Client, batch: BatchInfo, timeout_s: float | None) -> BatchInfo:
    """Wait until the batch is closed, up to ``timeout_s``; return it."""
    import asyncio

    until = None if timeout_s is None else monotonic() + timeout_s
    while not batch.sealed and (until is None or monotonic() < until):
        await asyncio.sleep(_OPEN_AGAIN_S if until is None else min(_OPEN_AGAIN_S, until - monotonic()))
        batch = await client.batch(batch.batch_id)
    return batch


async def _urls(
    client: Client, batch_id: str, error: UnknownJob, asked: _Asked, *, waits: bool
) -> tuple[dict[str, str], _Lost]:
    """Return the address of each of the batch's jobs, '' if the payload has none, and what is missing.

    Raises ``ResultExpired`` if none of its jobs is kept. Waits until an open batch is closed, if waiting is requested.
    """
    from producer.client.queue_view import jobs_of_batch, urls_of_jobs
    from producer.redis.connection import redis_errors

    try:
        batch = await client.batch(batch_id)
    except UnknownJob:
        raise UnknownJob(str(error).replace("no job ", "no job or batch ", 1)) from None
    if waits and not batch.sealed:
        say(_Lost(batch_id, is_open=True, number=0).pages[0].problem)
        batch = await _closed(client, batch, asked.timeout_s)
    with redis_errors(client.settings, None):
        jobs = await jobs_of_batch(client.redis, client.keys, batch_id)
        urls = await urls_of_jobs(client.redis, client.keys, jobs)
    if not urls:
        if not batch.total:
            raise UnknownJob(f"batch {batch_id!r} has no jobs, so there is nothing to report")
        raise ResultExpired(f"batch {batch_id!r} had {counted(batch.total, 'job')}, no longer kept: scan again")
    unread = await _unread(client, batch_id)
    return urls, _Lost(batch_id, is_open=not batch.sealed, number=max(0, batch.total - len(urls)), unread=unread)


async def _unread(client: Client, batch_id: str) -> tuple[str, ...]:
    """Return what the search for the batch's pages could not read, if it was one that found them."""
    value = getattr(await client.result(f"{batch_id}{PAGES}"), "value", None)
    problems = cast("dict[str, Any]", value).get("problems") if isinstance(value, dict) else None
    return tuple(one_line(str(one)) for one in problems) if isinstance(problems, list) else ()
