"""``sightline status``, ``result`` and ``cancel``: their options. Next: ``jobs_command.py``, ``result_command.py``."""

from __future__ import annotations

import click

from producer.cli.scan.options import FAIL_ON


@click.command()
@click.argument("name", required=False, metavar="[JOB|BATCH]")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON. Default in a pipe.")
def status(name: str | None, *, as_json: bool) -> None:
    """Show how many jobs wait and run and which workers live, or what became of one job or batch.

    \b
    sightline status
    sightline status nightly-2026-11-23
    """  # noqa: D301  \b is click's mark for lines to keep
    from producer.cli.jobs_command import show_status  # noqa: PLC0415  --help needs none of it

    show_status(name, as_json=as_json)


@click.command()
@click.argument("job_id", metavar="JOB|BATCH")
@click.option("--wait", is_flag=True, help="Wait for the result.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(0, min_open=True), metavar="S", help="Seconds to wait.")
@click.option(
    "--fail-on",
    type=click.Choice(FAIL_ON),
    default="serious",
    show_default=True,
    help="Exit 1 if any counted finding has this impact or worse.",
)
@click.option("--format", "formats", multiple=True, metavar="FORMAT[=PATH]", help="Report to write; may be repeated.")
@click.option("--output", "-o", type=click.Path(), metavar="PATH", help="File of the report, or folder of several.")
@click.option("--json", "as_json", is_flag=True, help="The JSON as it is in Redis. Default in a pipe.")
@click.pass_context
def result(
    context: click.Context,
    job_id: str,
    *,
    wait: bool,
    timeout_s: float | None,
    fail_on: str,
    formats: tuple[str, ...],
    output: str | None,
    as_json: bool,
) -> None:
    """Show the result of a job, or report a batch: a table in a terminal, JSON in a pipe. Exit codes are those of scan.

    \b
    sightline result 3f2b8c6e5a --wait --timeout 120
    sightline result 3f2b8c6e5a --format html -o page.html
    sightline result nightly-20261125T0300 --format html -o nightly.html
    """  # noqa: D301  \b is click's mark for lines to keep
    from producer.cli.result_command import show_result  # noqa: PLC0415  --help needs none of it

    if as_json and (formats or output):
        msg = "--json goes to stdout as it is: leave out --format and --output, or write --format jsonl=PATH"
        raise click.UsageError(msg)
    waits_s = (timeout_s or float("inf")) if wait or timeout_s else None
    context.exit(show_result(job_id, waits_s, fail_on=fail_on, formats=formats, output=output, as_json=as_json))


@click.command()
@click.argument("name", metavar="JOB|BATCH")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON. Default in a pipe.")
def cancel(name: str, *, as_json: bool) -> None:
    """Cancel a job, or all jobs of a batch.

    Queued jobs are cancelled at once, running jobs within 5 s; finished jobs are unaffected.

    \b
    sightline cancel 3f2b8c6e5a
    sightline cancel nightly-2026-11-23
    """  # noqa: D301  \b is click's mark for lines to keep
    from producer.cli.jobs_command import cancel_named  # noqa: PLC0415  --help needs none of it

    cancel_named(name, as_json=as_json)
