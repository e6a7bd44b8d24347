"""Runs ``sightline scan``: checks the options, submits, waits, reports, and says how to continue.

The order matters: invalid input is refused before anything is queued. Next: ``submit.py``.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from producer.cli.ci import harmless, say
from producer.cli.connect import environment, with_client
from producer.cli.job_log import say_nothing_was_tested
from producer.cli.scan.appearance import states_of
from producer.cli.scan.by_file import Start, Wanted, combined
from producer.cli.scan.file_journeys import FileJourney, check_variables, file_journeys
from producer.cli.scan.journeys import led
from producer.cli.scan.options import ScanOptions, groups_of, request_options
from producer.cli.scan.pages import Asked, asked_pages
from producer.cli.scan.pipeline_run import pipeline_run
from producer.cli.scan.submit import Queued, ScanPlan, submit
from producer.cli.scan.target_list import Targets
from producer.cli.scan.targets import check_choice, first_address
from producer.cli.terminal import is_for_people
from producer.contract import JsonObject, Lane, check_own_job_id
from producer.contract.addresses import stateless
from producer.contract.states import with_state
from producer.errors import ServiceError, WaitTimeout
from producer.reports.jsonl import line_of
from producer.reports.plain_text import counted

if TYPE_CHECKING:
    from producer.cli.scan.app import Application

T = TypeVar("T")
SHOWN_JOBS = 20
"""Maximum number of jobs listed one by one in a terminal; ``status`` shows larger batches."""


def run(
    urls: Sequence[str], file: TextIO | None, options: ScanOptions, command: click.Command, given: Mapping[str, Any]
) -> int:
    """Run the command and return its exit code; ``given`` are the options on the command line."""
    first = first_address(file) if file is not None else ""
    wanted = combined(urls, has_file=file is not None, options=options, command=command, given=given, first=first)
    _check(wanted.options)
    check_variables(wanted, environment())
    for remark in wanted.remarks:
        say(remark)
    with _started(wanted.start) as application:
        return _run(wanted, urls, file, application)


def _started(start: Start | None) -> AbstractContextManager[Application | None]:
    if start is None:
        return nullcontext()
    from producer.cli.scan.app import started  # imports an HTTP client: only if something is started

    return started(start, environment())


def _run(wanted: Wanted, urls: Sequence[str], file: TextIO | None, application: Application | None) -> int:
    options = wanted.options
    targets, asked = asked_pages(wanted, urls, file)
    for remark in targets.remarks:
        say(remark)
    plan = _plan(targets, asked, options, file_journeys(wanted.config))
    as_lines = options.as_json or not (is_for_people() or options.formats or options.output)
    queued = Queued(plan.batch)
    try:
        if not options.waits:
            return _submit_only(plan, targets, queued, as_lines=as_lines)
        from producer.cli.scan.file_rules import file_rules
        from producer.cli.scan.wait import wait_and_report  # slow import, not needed to submit

        rules = file_rules(wanted)
        return wait_and_report(plan, targets, queued, options, as_lines=as_lines, rules=rules, application=application)
    except KeyboardInterrupt:
        raise click.Abort(f"stopped waiting; {_how_to_go_on(plan, queued, options)}") from None
    except (BrokenPipeError, ServiceError) as error:
        if queued.urls or isinstance(error, WaitTimeout):  # Redis was asked and has not replied
            say(_how_to_go_on(plan, queued, options))
        raise


def _check(options: ScanOptions) -> None:
    states_of(options)  # impossible states are refused before a sitemap is read
    if options.as_json and options.formats:
        raise click.UsageError("--json is the same as --format jsonl: use one of them")
    if options.resume and not options.batch:
        raise click.UsageError("--resume needs --batch NAME")
    if options.local and (options.resume or options.only_new):
        name, instead = ("--resume", "run it again") if options.resume else ("--only-new", "use --baseline F")
        msg = f"--local keeps nothing between runs, so {name} cannot be used: {instead}"
        raise click.UsageError(msg)
    if options.job_id and options.batch:
        raise click.UsageError("--id and --batch are mutually exclusive: a batch names its jobs itself")
    check_choice(options)


def _plan(
    targets: Targets, pages: Sequence[Asked], options: ScanOptions, named: Mapping[str, FileJourney] | None = None
) -> ScanPlan:
    asked, steps, logins = led(pages, environment(), named or {})
    own_states = _by_options(asked, states_of)
    jobs = sum(map(len, own_states.values()))
    if options.job_id and jobs > 1:
        several = len(targets.urls)
        what = f"{several} were given" if several > 1 else f"{jobs} states of it were requested"
        msg = f"--id {options.job_id!r} is for one page: {what}; name them with --batch"
        raise click.UsageError(msg)
    for name, option in (("--id", options.job_id), ("--batch", options.batch)):
        if option is not None:
            check_own_job_id(option, what=name)
    # A batch without a name gets the time, for readability, and six digits, to avoid collisions with other runs.
    name = f"scan-{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"
    batch = options.batch or ("" if jobs == 1 else name)
    if batch:
        check_own_job_id(f"{batch}-{'0' * 16}")
    lane = Lane(options.lane) if options.lane else None
    groups: dict[str, str] = {}
    for page in asked:
        found = groups_of([url := stateless(page.url)], page.options.groups)
        groups |= {page.url: found[url]} if url in found else {}
    own = _by_options(asked, partial(_fields, waits_for_tries=not options.local or _waits_for_tries(options)))
    own |= {url: {**own[url], "login": login} for url, login in logins.items()}
    common = next(iter(own.values()), {})
    job_id = "" if batch else options.job_id or uuid.uuid4().hex
    return ScanPlan(
        tuple(own_states),
        common,
        batch=batch,
        job_id=job_id,
        lane=lane,
        resume=options.resume,
        gaps_ms=targets.gaps_ms,
        groups=groups,
        steps=steps,
        with_login=targets.with_login,
        run=run_of(options),
        own={url: fields for url, fields in own.items() if fields != common},
        own_secrets={page.url: page.secrets for page in asked if page.secrets},
        own_states=own_states,
    )


def _by_options(asked: Sequence[Asked], make: Callable[[ScanOptions], T]) -> dict[str, T]:
    """Return the result of ``make`` for each page's options; pages with the same options share it."""
    made: dict[int, T] = {}
    for page in asked:
        if id(page.options) not in made:
            made[id(page.options)] = make(page.options)
    return {page.url: made[id(page.options)] for page in asked}


def _fields(options: ScanOptions, *, waits_for_tries: bool) -> JsonObject:
    """Return the fields of a request that the page's options set."""
    fields: JsonObject = {"standard": options.standard, "assess": not options.no_assess}
    if options.screenshot:  # only if set: the ids of a batch's jobs are derived from these fields
        fields["screenshot"] = True
    fields |= request_options(options)
    if not waits_for_tries:  # the Redis of --local ends with the run, so nobody would see the fixes
        fields["try_fixes"] = False
    return fields


def _waits_for_tries(options: ScanOptions) -> bool:
    from producer.cli.scan.wait import assess_wait

    return assess_wait(options) > 0


def run_of(options: ScanOptions) -> str:
    """Return the pipeline run; '' if none is known, or none is given and nothing is compared.

    A pipeline may first scan a page without --only-new, to have something to compare with.
    """
    if options.run or not options.only_new:
        return options.run or ""
    return pipeline_run(environment())


def _how_to_go_on(plan: ScanPlan, queued: Queued, options: ScanOptions) -> str:
    if options.local:
        return "nothing continues: --local stopped everything that it had started"
    if not plan.batch:
        job_id = plan.job_id
        is_in = f"the job continues: sightline result {job_id} --wait"
        return is_in if queued.is_complete else f"job {job_id} may be queued: see 'sightline status {job_id}'"
    again = f"repeat the command with --batch {plan.batch} --resume"
    if not queued.is_complete:
        return f"not all of batch {plan.batch} is queued: {again}"
    number = counted(len(queued.urls), "job")
    goes_on = f"{number} in batch {plan.batch} continue: sightline result {plan.batch} --wait"
    return f"{goes_on}; or {again}" if options.only_new or options.baseline or options.write_baseline else goes_on


# ---------------------------------------------------------------------------------------------- queue only


def _submit_only(plan: ScanPlan, targets: Targets, queued: Queued, *, as_lines: bool) -> int:
    def print_job(job_id: str, url: str, is_new: bool) -> None:
        if as_lines:
            line = {"job_id": job_id, "url": url, "created": is_new, "batch": plan.batch or None}
            state = queued.states[job_id]
            click.echo(line_of(line | ({"page_state": state} if state else {})))
        elif plan.jobs <= SHOWN_JOBS:
            click.echo(f"{job_id}  {harmless(with_state(url, queued.states[job_id]))}")

    with_client(lambda client: submit(client, plan, on_job=print_job, queued=queued))
    for page in targets.refused:
        if as_lines:
            click.echo(line_of(page.document()))
        say(f"not queued: {page.problem}")
    if not as_lines:
        click.echo(_queued_line(queued))
    say_nothing_was_tested(queued.batch or next(iter(queued.urls), ""))
    if not targets.refused:
        return 0
    from producer.cli.scan.gate import NOT_SCANNED  # the gate itself is needed only for results

    return NOT_SCANNED


def _queued_line(queued: Queued) -> str:
    if not queued.batch:
        job_id = next(iter(queued.urls))
        return f"Queued. Next: sightline result {job_id} --wait"
    new = len(queued.urls) - queued.found
    known = f", {queued.found:,} already existed" if queued.found else ""
    pages, states = len(set(queued.urls.values())), len(set(queued.states.values()))
    what = counted(new, "page")
    if states > 1:
        what = f"{counted(new, 'scan')} ({counted(pages, 'page')} in {states} states)"
    return f"Queued {what} as batch {queued.batch}{known}. Next: sightline status {queued.batch}"
