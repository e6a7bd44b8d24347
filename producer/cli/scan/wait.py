"""A run of ``sightline scan`` that waits: receives the pages, marks and reports them, and returns the exit code.

Waivers and baseline are in ``gate.py``, the formats in ``producer/reports``.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import click

from producer.cli.ci import ci_system, say
from producer.cli.connect import GRACE_S, environment, warning_without_worker, with_client
from producer.cli.job_log import with_sources, write_job_log
from producer.cli.outputs import Output, check_distinct, check_writable, plan_outputs, replacing, write_reports
from producer.cli.report_extras import Extras, read_extras
from producer.cli.scan import local
from producer.cli.scan.baseline import Baseline, baseline_text, fixed_in, read_baseline, renewed
from producer.cli.scan.file_rules import FileRules
from producer.cli.scan.gate import Gate, exit_code, threshold
from producer.cli.scan.kept import take_kept
from producer.cli.scan.limits import Count
from producer.cli.scan.options import ScanOptions
from producer.cli.scan.submit import Queued, ScanPlan, pages_as_completed, submit
from producer.cli.scan.targets import Targets
from producer.cli.terminal import is_terminal, progress
from producer.client.client import Client
from producer.errors import InvalidJob, ResultExpired, WaitTimeout
from producer.reports.category import category_of, states_of_all
from producer.reports.doubts import counts_text
from producer.reports.formats import ReportContext
from producer.reports.jsonl import line_of
from producer.reports.page import Page, fails, page_of
from producer.reports.plain_text import counted
from producer.reports.remarks import remarks
from producer.reports.summary import Summary

if TYPE_CHECKING:
    from producer.cli.scan.app import Application

PERSON_WAITS_S = 60.0
SHOWN_BARRIERS = 20
"""Maximum number of fixed barriers named one by one."""

WithClient = Callable[[Callable[[Client], Awaitable[None]]], None]


def wait_and_report(
    plan: ScanPlan,
    targets: Targets,
    queued: Queued,
    options: ScanOptions,
    *,
    as_lines: bool,
    rules: FileRules,
    application: Application | None = None,
) -> int:
    """Scan, wait, report, and return the exit code. An unusable file is refused before anything is queued."""
    outputs = plan_outputs(options.formats, options.output, default="jsonl" if as_lines else "table")
    if options.write_baseline:
        reports = ((f"the {item.format} report", item.path) for item in outputs if item.path)
        check_distinct(*reports, ("the baseline", Path(options.write_baseline)))
    gate, before = _baselines(options)
    rules.put_into(gate, today=datetime.now(UTC).date())
    waiting = Waiting(plan, targets, queued, outputs, options, gate, before, rules=rules)
    with local.start(environment(), plan.urls) if options.local else nullcontext() as service:
        within = partial(_with_service, service) if service else with_client
        if application is None:
            return waiting.run(within)
        code = waiting.run(partial(_with_application, within, application))
        if (why := application.why_dead()) is not None:  # pages may have failed because of it
            say(why)
        return code


def assess_wait(options: ScanOptions) -> float:
    """Return the seconds to wait for assessments; by default a terminal waits and a pipeline does not.

    ``--try-fixes`` waits in any case.
    """
    if options.assess_wait_s is not None:
        return options.assess_wait_s
    return PERSON_WAITS_S if options.try_fixes or (is_terminal() and not ci_system(environment())) else 0.0


def _with_service(service: local.Service, action: Callable[[Client], Awaitable[None]]) -> None:
    """Run ``action`` with a client of the service; raises ``ServiceError`` if the service exits first."""
    with_client(lambda client: local.while_it_lives(_worker_death(service), action(client)), variables=service.settings)


def _worker_death(service: local.Service) -> local.WhyDead:
    def why_dead() -> str | None:
        words = service.why_dead()
        return None if words is None else f"the worker of --local has ended: {words}"

    return why_dead


def _with_application(
    within: WithClient, application: Application, action: Callable[[Client], Awaitable[None]]
) -> None:
    """Run ``action`` while the scanned application runs."""
    within(lambda client: local.while_it_lives(application.why_dead, action(client)))


def _baselines(options: ScanOptions) -> tuple[Gate, Baseline]:
    """Return the gate, and the baseline that --write-baseline updates: the given one, or the existing file.

    ``sightline.toml`` may name a baseline that its first run creates: until then nothing is known. Raises
    ``InputError`` for a baseline that cannot be read or written.
    """
    if options.write_baseline:
        check_writable(Path(options.write_baseline))
    first, known = options.write_baseline, Path(options.baseline or "")
    is_first = bool(first) and known.absolute() == Path(first or "").absolute() and not known.exists()
    given = read_baseline(known) if options.baseline and not is_first else None
    gate = Gate(only_new=options.only_new, baseline=given, strict=options.strict)
    if given is None and options.write_baseline and Path(options.write_baseline).is_file():
        return gate, read_baseline(Path(options.write_baseline))
    return gate, given or Baseline()


@dataclass(slots=True)
class Waiting:
    """A run that waits. JSON lines are written as pages arrive; other reports keep the given order."""

    plan: ScanPlan
    targets: Targets
    queued: Queued
    outputs: tuple[Output, ...]
    options: ScanOptions
    gate: Gate
    before: Baseline
    pages: list[Page] = field(default_factory=list[Page])
    failing: list[Page] = field(default_factory=list[Page])
    summary: Summary = field(default_factory=Summary)
    timed_out: bool = False
    expired: bool = False
    unassessed: int = 0
    wrong: Counter[str] = field(default_factory=Counter[str])
    extras: Extras = field(default_factory=Extras)
    rules: FileRules = field(default_factory=FileRules)
    count: Count = field(init=False)

    def __post_init__(self) -> None:
        self.count = Count(self.rules.limits, threshold(self.options.fail_on))

    def run(self, within: WithClient) -> int:
        """Scan and report; returns the exit code."""
        within(self._scan)
        self._refuse_wrong_call()
        if not self._streams:
            place = {job_id: number for number, job_id in enumerate(self.queued.urls)}
            self.pages.sort(key=lambda page: place.get(page.job_id, len(place)))
            write_reports(self.outputs, self.pages, self._context())
        else:
            write_job_log({"jsonl"}, self.failing, with_sources({"jsonl"}, self._context()))
            for line in remarks(self.pages):
                say(line)
            if self.summary.in_doubt:
                kinds = counts_text(self.summary.doubts)
                say(f"{counted(self.summary.in_doubt, 'page')} in doubt: {kinds}")
        self._renew_baseline()
        if self.queued.found:
            say(f"{counted(self.queued.found, 'page')} had already been submitted")
        if self.unassessed and not self.options.local:
            later = f"sightline result {self.queued.batch or next(iter(self.queued.urls))}"
            say(f"{counted(self.unassessed, 'assessment')} pending; for a later report with them: {later}")
        fails = self._exceeds_limits() if self.rules.limits.is_set else None
        return exit_code(self.summary, timed_out=self.timed_out, expired=self.expired, fails=fails)

    def _exceeds_limits(self) -> bool:
        """Print the limits that are exceeded or can be lowered; returns whether the run fails."""
        reasons = self.count.exceeded()
        for reason in reasons:
            say(f"failed: {reason}")
        if not reasons:
            say("within the limits of the gate")
        if not self.summary.not_scanned:  # a page that was not scanned may have more
            for one in self.count.lower():
                key = ".".join(one.key)
                say(f"{key} can be lowered from {one.allowed:,} to {one.found:,}")
        return bool(reasons)

    def _context(self) -> ReportContext:
        """Return the context of reports; no impact fails a run that is within its limits."""
        states = states_of_all(self.plan.asked())
        is_within = self.rules.limits.is_set and not self.count.exceeded()
        category = category_of(self.pages, states, named=self.options.sarif_category or "")
        return ReportContext(
            datetime.now(UTC),
            fail_on=None if is_within else threshold(self.options.fail_on),
            trends=self.extras.trends,
            dates=self.extras.dates,
            notes=self.extras.notes,
            category=category,
            scanned_ms=self.extras.scanned_ms,
        )

    def _refuse_wrong_call(self) -> None:
        """Raise ``InvalidJob`` if every job was refused for the same reason: the call is wrong, not the pages."""
        if len(self.wrong) == 1 and sum(self.wrong.values()) == len(self.queued.urls):
            raise InvalidJob(next(iter(self.wrong)))

    def _renew_baseline(self) -> None:
        """Print which barriers of the baseline are fixed, and write the new baseline if requested."""
        fixed = fixed_in(self.before, self.pages, disabled=self.options.disabled_rules)
        place = "and removed from the baseline" if self.options.write_baseline else "and still in the baseline"
        for barrier in fixed[:SHOWN_BARRIERS]:
            say(f"fixed, {place}: {barrier.text}")
        if len(fixed) > SHOWN_BARRIERS:
            say(f"and {counted(len(fixed) - SHOWN_BARRIERS, 'more fixed barrier')}")
        if not self.options.write_baseline:
            return
        file = Path(self.options.write_baseline)
        barriers = renewed(self.before, self.pages, disabled=self.options.disabled_rules)
        with replacing(file) as out:
            out.write(baseline_text(barriers))
        say(f"wrote {file}: {counted(len(barriers), 'known barrier')}")

    async def _scan(self, client: Client) -> None:
        timeout_s, began = self.options.timeout_s, monotonic()
        with progress(self.plan.jobs, may_mix=self._streams) as bar:
            try:
                async with asyncio.timeout(None if timeout_s is None else timeout_s + GRACE_S):
                    await take_kept(client, self.gate)
                    if not self.queued.is_complete:
                        await submit(client, self.plan, on_job=bar.queued, queued=self.queued)
            except TimeoutError:
                if timeout_s is None:
                    raise
                where = client.settings.public_redis_url
                msg = f"Redis at {where!r} did not reply in time: not all pages were queued within {timeout_s:g} s"
                raise WaitTimeout(msg) from None
            left_s = None if timeout_s is None else max(0.0, timeout_s + began - monotonic())
            for page in self.targets.refused:
                self._take(page)
            async with nullcontext() if self.options.local else warning_without_worker(client):
                async for page in self._pages(client, left_s):
                    self._take(page)
                    bar.advance(self.summary)
        self.extras = await read_extras(client, self.pages, self.outputs)
        self.pages = list(self.extras.pages)

    async def _pages(self, client: Client, left_s: float | None) -> AsyncIterator[Page]:
        """Yield the pages as they end, within ``left_s`` seconds; waits for pending assessments or their deadline."""
        pending: dict[str, Page] = {}
        wait_s = assess_wait(self.options)
        timeout_s = self.options.timeout_s
        async for page in pages_as_completed(client, self.queued, timeout_s=timeout_s, left_s=left_s):
            if wait_s and page.result is not None and page.result.is_awaited:
                pending[page.job_id] = page
            else:
                yield page
        if pending:
            async for result in client.assessed(list(pending), timeout_s=wait_s):
                pending.pop(result.job_id)
                state = self.queued.states.get(result.job_id, "")
                yield page_of(result, url=self.queued.urls[result.job_id], state=state)
        for page in pending.values():
            yield page

    def _take(self, page: Page) -> None:
        page = self.gate.mark(page)
        fail_on = threshold(self.options.fail_on)
        self.summary.add(page, fail_on=fail_on)
        self.count.add(page)
        self.unassessed += page.result is not None and page.result.assessed_by.is_pending
        self.timed_out |= page.outcome == "waiting"
        self.expired |= page.error == ResultExpired.__name__
        if page.outcome == "failed" and page.error == "InvalidJob":
            self.wrong[page.problem] += 1
        if self._streams and ci_system(environment()) and (fails(page, fail_on) or not page.is_scanned):
            self.failing.append(page)
        if self._streams:
            click.echo(line_of(page.document()))
        remembers = self.gate.baseline is not None or self.options.write_baseline
        if not self._streams or remembers or page.marks.is_set:
            self.pages.append(page)

    @property
    def _streams(self) -> bool:
        return len(self.outputs) == 1 and self.outputs[0] == Output("jsonl", None)
