"""``sightline compare``: what changed between two batches, pipeline runs or times, by component barrier."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from producer.cli.ci import say
from producer.cli.outputs import Output, encoding_of, plan_outputs, print_report, replacing
from producer.cli.scan.report_options import FAIL_ON
from producer.cli.terminal import is_for_people
from producer.errors import InputError
from worker.cli.connect import read_settings, with_redis

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from producer.keys import Keys
    from producer.reports.comparison import Comparison
    from worker.memory.history.history import ScanFilter
    from worker.settings import WorkerSettings

FINDINGS = 1
NOT_COMPARED = 2


@click.command()
@click.argument("before")
@click.argument("after")
@click.option("--site", metavar="HOST", help="Only this site, such as localhost:3000, or 'localhost:*'.")
@click.option("--group", metavar="G", help="Only pages in this group.")
@click.option("--fail-on", type=click.Choice(FAIL_ON), help="Exit 1 if a new barrier has this impact or worse.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    metavar="F[=PATH]",
    help="table, json, jsonl, csv, markdown or html; repeatable.",
)
@click.option("-o", "--output", metavar="PATH", help="File, or a folder for several formats.")
def compare(
    before: str,
    after: str,
    *,
    site: str | None,
    group: str | None,
    fail_on: str | None,
    formats: tuple[str, ...],
    output: str | None,
) -> int:
    """Show which component barriers are new, fixed or on other pages in AFTER, compared with BEFORE.

    \b
    sightline compare nightly-1 nightly-2
    sightline compare 2026-11-01 today --site shop.example
    sightline compare 'last week' now --format html -o changes.html
    sightline compare main-4711 branch-4712 --fail-on serious --format markdown

    BEFORE and AFTER are each the name of a batch, the id of a pipeline run ('scan --run'), or a time: 2026-11-01,
    yesterday, May, '3 weeks ago'. A day means its beginning (UTC). A batch or run stands for its pages at its end, a
    time for all pages at that time. Only pages known at both times are compared, and only if both scans used the same
    standard, parts and width. If a page was not seen completely at one of the times, changes on it are listed as
    uncertain.

    Exits 0. With --fail-on, exits 1 for a new component barrier of this impact or worse, else 2 if pages could not be
    fully compared.
    """
    from producer.reports.comparison_formats import WRITERS, write_comparison

    outputs = plan_outputs(formats, output, default="table" if is_for_people() else "json")
    if wrong := [item.format for item in outputs if item.format not in WRITERS]:
        raise InputError(f"format {wrong[0]!r} is not available for a comparison: expected one of {', '.join(WRITERS)}")
    act = partial(_compare, before=before, after=after, site=site, group=group)
    found = with_redis(read_settings(), act)
    for item in outputs:
        if item.path is None:
            print_report(partial(write_comparison, item.format, found))
            continue
        with replacing(item.path, encoding=encoding_of(item.format)) as out:
            write_comparison(item.format, found, out)
        say(f"wrote {item.path}")
    _say_sums(outputs, found)
    return _exit_code(found, fail_on)


async def _compare(
    _: WorkerSettings, redis: Redis, keys: Keys, *, before: str, after: str, site: str | None, group: str | None
) -> Comparison:
    from worker.cli.history import checked_host, now_of
    from worker.memory.history.comparison import compare_moments
    from worker.memory.history.history import ScanFilter, recorded_history
    from worker.memory.history.periods import moment_of

    wanted = ScanFilter(host=None if site is None else checked_host(site), group=group)
    now_ms = await now_of(redis)
    sides = [await moment_of(redis, keys, name, now_ms=now_ms) for name in (before, after)]
    history = await recorded_history(redis, keys)
    if history is None:
        raise InputError("there are no recorded scans to compare")
    found = await compare_moments(history, sides[0], sides[1], wanted)
    _refuse_nothing(found, wanted)
    return found


def _refuse_nothing(found: Comparison, wanted: ScanFilter) -> None:
    """Raise ``InputError`` if no page is known at both times: "nothing changed" would be wrong."""
    if found.compared:
        return
    where = f" of {wanted.host or wanted.group!r}" if wanted.host or wanted.group else ""
    why = "; ".join(found.remarks) or "no page is recorded at either"
    raise InputError(f"no page{where} is known both at {found.before.text} and at {found.after.text}: {why}")


def _say_sums(outputs: tuple[Output, ...], found: Comparison) -> None:
    """Print the findings to stderr if all reports go to files: a log must say why the command failed."""
    if all(item.path is not None for item in outputs):
        click.echo(f"{found.verdict}: {found.sentence}", err=True)


def _exit_code(found: Comparison, fail_on: str | None) -> int:
    if fail_on in {None, "never"}:
        return 0
    from producer.contract import Impact

    least = Impact(fail_on).rank
    if any((one.impact or Impact.SERIOUS).rank >= least for one in found.of("new")):
        return FINDINGS
    return NOT_COMPARED if found.not_whole or found.is_part else 0
