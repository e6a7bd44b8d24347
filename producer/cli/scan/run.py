"""What ``sightline scan`` does with its options: check them, submit, wait, report, and say how to go on.

The order matters: what can be refused is refused before anything is queued. Next: ``submit.py``.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TextIO

import click

from producer.cli.connect import environment, with_client
from producer.cli.job_log import say_nothing_was_tested
from producer.cli.scan.gate import NOT_SCANNED
from producer.cli.scan.login_files import HEADERS_VARIABLE, check_one_site, read_secrets
from producer.cli.scan.options import ScanOptions, groups_of, request_options
from producer.cli.scan.pipeline_run import pipeline_run
from producer.cli.scan.submit import Queued, ScanPlan, submit
from producer.cli.scan.targets import Targets, read_targets
from producer.cli.terminal import is_for_people
from producer.contract import JsonObject, Lane, check_job_id
from producer.errors import ServiceError
from producer.reports.jsonl import line_of
from producer.reports.plain_text import counted

SHOWN_JOBS = 20
"""Jobs listed one by one for a person; more are a batch to look at with ``status``."""


def run(urls: Sequence[str], file: TextIO | None, options: ScanOptions) -> int:
    """Run the command and return its exit code."""
    _check(options)
    secrets = read_secrets(
        header_file=options.header_file,
        cookie_file=options.cookie_file,
        storage_state=options.storage_state,
        headers_variable=environment().get(HEADERS_VARIABLE, ""),
    )
    targets = read_targets(urls, file, options, secrets)
    check_one_site(targets.urls, secrets)
    _check_blocked(targets, options)
    for remark in targets.remarks:
        click.echo(f"sightline: {remark}", err=True)
    plan = _plan(targets, options, secrets)
    as_lines = options.as_json or not (is_for_people() or options.formats or options.output)
    queued = Queued(plan.batch)
    try:
        if not options.waits:
            return _submit_only(plan, targets, queued, as_lines=as_lines)
        from producer.cli.scan.wait import wait_and_report  # who only submits reports nothing

        return wait_and_report(plan, targets, queued, options, as_lines=as_lines)
    except KeyboardInterrupt:
        raise click.Abort(f"stopped waiting; {_how_to_go_on(plan, queued, options)}") from None
    except (BrokenPipeError, ServiceError):
        if queued.urls:
            click.echo(f"sightline: {_how_to_go_on(plan, queued, options)}", err=True)
        raise


def _check(options: ScanOptions) -> None:
    if options.as_json and options.formats:
        raise click.UsageError("--json is the same as --format jsonl: give one of --json and --format")
    if options.resume and not options.batch:
        raise click.UsageError("--resume needs the --batch NAME to go on with")
    if options.local and (options.resume or options.only_new):
        name, instead = ("--resume", "run it anew") if options.resume else ("--only-new", "use --baseline F")
        msg = f"--local keeps nothing from run to run, so there is nothing for {name} to go by: {instead}"
        raise click.UsageError(msg)
    if options.job_id and options.batch:
        raise click.UsageError("--id is for one page, --batch names its jobs itself: give one of them")
    filters = {"--match": options.match, "--exclude": options.exclude, "--ignore-robots": options.ignore_robots}
    filters["--sitemap-replace"] = options.sitemap_replace
    if not options.sitemaps and (given := [name for name, value in filters.items() if value]):
        raise click.UsageError(f"{' and '.join(given)} choose among the pages of a --sitemap URL: none is given")


def _check_blocked(targets: Targets, options: ScanOptions) -> None:
    """Raise ``UsageError`` for a page on a host that --block leaves out: nothing of it could be scanned."""
    if not options.blocked_hosts:
        return
    from producer.contract.addresses import host_of
    from producer.contract.hosts import check_host_pattern, fits_host

    patterns = tuple(map(check_host_pattern, options.blocked_hosts))
    for url in targets.urls:
        if fits_host(host_of(url), patterns):
            raise click.UsageError(f"--block {host_of(url)!r} is the host of a page to scan, {url}: leave it out")


def _plan(targets: Targets, options: ScanOptions, secrets: JsonObject) -> ScanPlan:
    if options.job_id and len(targets.urls) > 1:
        msg = f"--id {options.job_id!r} is for one page: {len(targets.urls)} were given; name them with --batch"
        raise click.UsageError(msg)
    if options.job_id:
        check_job_id(options.job_id)
    # A batch nobody named is called by the time, for people, and six digits against a neighbour's run.
    name = f"scan-{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"
    batch = options.batch or ("" if len(targets.urls) == 1 else name)
    if batch:
        check_job_id(f"{batch}-{'0' * 16}")
    lane = Lane(options.lane) if options.lane else None
    scan_options: JsonObject = {"standard": options.standard, "assess": not options.no_assess}
    if options.screenshot:  # only then: the ids of a batch's jobs are made of it
        scan_options["screenshot"] = True
    scan_options |= request_options(options)
    if options.local and not _waits_for_tries(options):  # its Redis ends with the run: nobody would see them
        scan_options["try_fixes"] = False
    job_id = "" if batch else options.job_id or uuid.uuid4().hex
    return ScanPlan(
        targets.urls,
        scan_options,
        batch=batch,
        job_id=job_id,
        lane=lane,
        resume=options.resume,
        secrets=secrets or None,
        gaps_ms=targets.gaps_ms,
        groups=groups_of(targets.urls, options.groups),
        with_login=targets.with_login,
        run=_run_of(options),
    )


def _waits_for_tries(options: ScanOptions) -> bool:
    from producer.cli.scan.wait import assess_wait

    return assess_wait(options) > 0


def _run_of(options: ScanOptions) -> str:
    """Return the pipeline run that asks, '' where none is given and nothing is compared, or none is known.

    A pipeline may scan a page without --only-new first, to have something to compare with.
    """
    if options.run or not options.only_new:
        return options.run or ""
    return pipeline_run(environment())


def _how_to_go_on(plan: ScanPlan, queued: Queued, options: ScanOptions) -> str:
    if options.local:
        return "nothing goes on: --local has ended what it had started"
    if not plan.batch:
        job_id = plan.job_id
        is_in = f"the job goes on: sightline result {job_id} --wait"
        return is_in if queued.is_complete else f"job {job_id} may be queued: see 'sightline status {job_id}'"
    again = f"repeat the command with --batch {plan.batch} --resume"
    if not queued.is_complete:
        return f"not all of batch {plan.batch} is queued: {again}"
    number = counted(len(queued.urls), "job")
    goes_on = f"{number} in batch {plan.batch} go on: sightline result {plan.batch} --wait"
    return f"{goes_on}; or {again}" if options.only_new or options.baseline or options.write_baseline else goes_on


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
    say_nothing_was_tested(queued.batch or next(iter(queued.urls), ""))
    return NOT_SCANNED if targets.refused else 0


def _queued_line(queued: Queued) -> str:
    if not queued.batch:
        job_id = next(iter(queued.urls))
        return f"Queued. Next: sightline result {job_id} --wait"
    new = len(queued.urls) - queued.found
    known = f", {queued.found:,} were there before" if queued.found else ""
    return f"Queued {counted(new, 'page')} as batch {queued.batch}{known}. Next: sightline status {queued.batch}"
