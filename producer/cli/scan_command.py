"""What ``sightline scan`` does with its options: check them, submit, wait, report, and say how to go on.

The order matters: what can be refused is refused before anything is queued. Next: ``scan_run.py``.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import click

from producer.cli.baseline import Barrier, baseline_text, fixed_in, read_baseline, renewed
from producer.cli.connect import headers_variable, with_client
from producer.cli.gate import Gate
from producer.cli.login_files import check_one_site, read_secrets
from producer.cli.outputs import Output, check_writable, plan_outputs, replacing, write_reports
from producer.cli.report_extras import Extras, read_extras
from producer.cli.scan import ScanOptions
from producer.cli.scan_run import Queued, ScanPlan, name_batch, pages_as_completed, submit
from producer.cli.targets import Sitemaps, Targets, read_targets
from producer.cli.terminal import is_terminal, progress
from producer.cli.verdict import NOT_SCANNED, exit_code, threshold
from producer.client import Client
from producer.contract import Lane, check_job_id
from producer.errors import ServiceError
from producer.reports.formats import ReportContext
from producer.reports.jsonl import line_of
from producer.reports.page import Page, Summary
from producer.reports.plain_text import counted, one_line
from producer.reports.remarks import remarks
from producer.waivers import Waivers

EXIT_INTERRUPTED = 130
SHOWN_JOBS = 20
"""Jobs listed one by one for a person; more are a batch to look at with ``status``."""


def run(urls: Sequence[str], file: TextIO | None, options: ScanOptions) -> int:
    """Run the command and return its exit code."""
    _check(options)
    targets = read_targets(urls, file, _sitemaps(options))
    for remark in targets.remarks:
        click.echo(f"sightline: {remark}", err=True)
    plan = _plan(targets, options)
    as_lines = options.as_json or not (is_terminal() or options.formats or options.output)
    queued = Queued(plan.batch)
    try:
        if not options.waits:
            return _submit_only(plan, targets, queued, as_lines=as_lines)
        outputs = plan_outputs(options.formats, options.output, default="jsonl" if as_lines else "table")
        return _Waiting(plan, targets, queued, outputs, options, _gate(options), _before(options)).run()
    except KeyboardInterrupt:
        click.echo(f"sightline: stopped waiting; {_how_to_go_on(plan, queued)}", err=True)
        return EXIT_INTERRUPTED
    except (BrokenPipeError, ServiceError):
        if queued.urls:
            click.echo(f"sightline: {_how_to_go_on(plan, queued)}", err=True)
        raise


def _check(options: ScanOptions) -> None:
    if options.as_json and options.formats:
        msg = "--json is the same as --format jsonl: give one of --json and --format"
        raise click.UsageError(msg)
    if options.resume and not options.batch:
        msg = "--resume needs the --batch NAME to go on with"
        raise click.UsageError(msg)
    if options.job_id and options.batch:
        msg = "--id is for one page, --batch names its jobs itself: give one of them"
        raise click.UsageError(msg)


def _sitemaps(options: ScanOptions) -> Sitemaps:
    filters = {"--match": options.match, "--exclude": options.exclude, "--ignore-robots": options.ignore_robots}
    given = [name for name, value in filters.items() if value]
    if given and not options.sitemaps:
        msg = f"{' and '.join(given)} choose among the pages of a --sitemap URL: none is given"
        raise click.UsageError(msg)
    return Sitemaps(options.sitemaps, options.match, options.exclude, options.ignore_robots)


def _plan(targets: Targets, options: ScanOptions) -> ScanPlan:
    if options.job_id and len(targets.urls) > 1:
        msg = f"--id {options.job_id!r} is for one page: {len(targets.urls)} were given; name them with --batch"
        raise click.UsageError(msg)
    if options.job_id:
        check_job_id(options.job_id)
    batch = options.batch or ("" if len(targets.urls) == 1 else name_batch(datetime.now(UTC)))
    if batch:
        check_job_id(f"{batch}-{'0' * 16}")
    lane = Lane(options.lane) if options.lane else None
    scan_options = {"standard": options.standard, "assess": not options.no_assess}
    job_id = "" if batch else options.job_id or uuid.uuid4().hex
    secrets = read_secrets(
        header_file=options.header_file,
        cookie_file=options.cookie_file,
        storage_state=options.storage_state,
        headers_variable=headers_variable(),
    )
    check_one_site(targets.urls, secrets)
    return ScanPlan(targets.urls, scan_options, batch, job_id, lane, options.resume, secrets or None)


def _gate(options: ScanOptions) -> Gate:
    """Return what is known beforehand; raises ``InputError`` for a baseline that cannot be read or written."""
    if options.write_baseline:
        check_writable(Path(options.write_baseline))
    baseline = read_baseline(Path(options.baseline)) if options.baseline else None
    return Gate(only_new=options.only_new, baseline=baseline)


def _before(options: ScanOptions) -> frozenset[Barrier]:
    """Return the baseline that --write-baseline renews: the one given, or the one it finds in its place."""
    file = options.baseline or options.write_baseline
    return read_baseline(Path(file)) if file and (options.baseline or Path(file).is_file()) else frozenset()


def _how_to_go_on(plan: ScanPlan, queued: Queued) -> str:
    if not plan.batch:
        job_id = plan.job_id
        is_in = f"the job goes on: sightline result {job_id} --wait"
        return is_in if queued.is_complete else f"job {job_id} may be queued: see 'sightline status {job_id}'"
    again = f"repeat the command with --batch {plan.batch} --resume"
    if not queued.is_complete:
        return f"not all of batch {plan.batch} is queued: {again}"
    number = counted(len(queued.urls), "job")
    return f"{number} in batch {plan.batch}; see 'sightline status {plan.batch}', or {again}"


# ---------------------------------------------------------------------------------------------- queue only


def _submit_only(plan: ScanPlan, targets: Targets, queued: Queued, *, as_lines: bool) -> int:
    def say(job_id: str, url: str, is_new: bool) -> None:
        if as_lines:
            line = {"job_id": job_id, "url": url, "created": is_new, "batch": plan.batch or None}
            click.echo(line_of(line))
        elif len(plan.urls) <= SHOWN_JOBS:
            click.echo(f"{job_id}  {url}")

    with_client(lambda client: submit(client, plan, on_job=say, queued=queued))
    for page in targets.refused:
        if as_lines:
            click.echo(line_of(page.document()))
        click.echo(f"sightline: not queued: {page.problem}", err=True)
    if not as_lines:
        click.echo(_queued_line(queued))
    return NOT_SCANNED if targets.refused else 0


def _say_nothing(job_id: str, url: str, is_new: bool) -> None:
    del job_id, url, is_new


def _queued_line(queued: Queued) -> str:
    if not queued.batch:
        job_id = next(iter(queued.urls))
        return f"Queued. Next: sightline result {job_id} --wait"
    new = len(queued.urls) - queued.found
    known = f", {queued.found:,} were there before" if queued.found else ""
    return f"Queued {counted(new, 'page')} as batch {queued.batch}{known}. Next: sightline status {queued.batch}"


# ---------------------------------------------------------------------------------------------- wait and report


@dataclass(slots=True)
class _Waiting:
    """One run that waits. Lines of JSON go out as pages come in, in that order; other reports keep the given order."""

    plan: ScanPlan
    targets: Targets
    queued: Queued
    outputs: tuple[Output, ...]
    options: ScanOptions
    gate: Gate
    before: frozenset[Barrier]
    pages: list[Page] = field(default_factory=list[Page])
    summary: Summary = field(default_factory=Summary)
    timed_out: bool = False
    extras: Extras = field(default_factory=Extras)

    def run(self) -> int:
        with_client(self._scan)
        fail_on = threshold(self._fail_on)
        if not self._streams:
            place = {url: number for number, url in enumerate(self.plan.urls)}
            self.pages.sort(key=lambda page: place.get(self.queued.urls.get(page.job_id, ""), len(place)))
            context = ReportContext(datetime.now(UTC), fail_on=fail_on, trends=self.extras.trends)
            for path in write_reports(self.outputs, self.pages, context):
                click.echo(f"sightline: wrote {path}", err=True)
        else:
            for line in remarks(self.pages):
                click.echo(f"sightline: {line}", err=True)
        self._renew_baseline()
        if self.queued.found:
            click.echo(f"sightline: {counted(self.queued.found, 'page')} had been submitted before", err=True)
        return exit_code(self.summary, timed_out=self.timed_out)

    def _renew_baseline(self) -> None:
        """Name what of the baseline is fixed, and write the new one where it is asked for."""
        fixed = fixed_in(self.before, self.pages)
        place = "and taken from the baseline" if self.options.write_baseline else "and still in the baseline"
        for barrier in fixed[:SHOWN_JOBS]:
            what = f"{one_line(barrier.path)} {one_line(barrier.rule)} {one_line(barrier.fingerprint)}"
            click.echo(f"sightline: fixed, {place}: {what}", err=True)
        if len(fixed) > SHOWN_JOBS:
            click.echo(f"sightline: and {counted(len(fixed) - SHOWN_JOBS, 'more fixed barrier')}", err=True)
        if not self.options.write_baseline:
            return
        file = Path(self.options.write_baseline)
        barriers = renewed(self.before, self.pages)
        with replacing(file) as out:
            out.write(baseline_text(barriers))
        click.echo(f"sightline: wrote {file}: {counted(len(barriers), 'known barrier')}", err=True)

    async def _scan(self, client: Client) -> None:
        self.gate.take_waivers(await Waivers(client).all(), today=datetime.now(UTC).date())
        await submit(client, self.plan, on_job=_say_nothing, queued=self.queued)
        with progress(len(self.queued.urls), shown=not self._streams) as advance:
            for page in self.targets.refused:
                self._take(page)
            async for page in pages_as_completed(client, self.queued, timeout_s=self.options.timeout_s):
                self._take(page)
                advance(page)
        self.extras = await read_extras(client, self.pages, self.outputs)

    def _take(self, page: Page) -> None:
        page = self.gate.mark(page)
        self.summary.add(page, fail_on=threshold(self._fail_on))
        self.timed_out |= page.outcome == "waiting"
        if self._streams:
            click.echo(line_of(page.document()))
        if not self._streams or self._remembers or page.marks.is_set:
            self.pages.append(page)

    @property
    def _remembers(self) -> bool:
        """Whether lines of JSON are not all that is wanted of the pages."""
        return self.gate.baseline is not None or bool(self.options.write_baseline)

    @property
    def _fail_on(self) -> str:
        return self.options.fail_on or "serious"

    @property
    def _streams(self) -> bool:
        return len(self.outputs) == 1 and self.outputs[0] == Output("jsonl", None)
