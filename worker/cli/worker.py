"""``sightline worker``: one worker in the foreground, or the health check of the workers."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from producer.cli.connect import with_client
from producer.errors import ServiceError

if TYPE_CHECKING:
    from producer.client.client import Client


@click.command()
@click.argument("settings", required=False)
@click.option(
    "--watch",
    metavar="DIR",
    help="With SETTINGS: restart when a file in this folder changes.",
)
@click.option(
    "--custom-log-dict",
    "log_dict",
    metavar="MODULE.NAME",
    help="With SETTINGS: a dict for logging.config.dictConfig, instead of arq's.",
)
@click.option("--max-jobs", type=click.IntRange(1, 1000), help="Jobs at a time; overrides MAX_JOBS.")
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Worker processes, such as one per core; a dead one is restarted.",
)
@click.option("--burst", is_flag=True, help="Exit when the queue is empty.")
@click.option("--check", is_flag=True, help="Exit 0 if a worker on this host has reported in the last 30 s, else 3.")
def worker(
    *,
    settings: str | None,
    watch: str | None,
    log_dict: str | None,
    max_jobs: int | None,
    processes: int,
    burst: bool,
    check: bool,
) -> None:
    """Run one worker, or several processes, until SIGTERM or Ctrl-C.

    SETTINGS names the WorkerSettings class of a program written for arq, such as tasks.WorkerSettings (docs/arq.md).
    Without it, the worker runs scans and answers questions.

    Settings are environment variables (docs/settings.md): REDIS_URL, ENVIRONMENT, CHAT_MODEL, …

    \b
    Examples:
      sightline worker
      sightline worker --processes 4
      CHAT_MODEL=builtin EMBEDDING_MODEL=builtin sightline worker --burst
      sightline worker --check
      sightline worker tasks.WorkerSettings --watch src
    """
    if processes > 1:
        if watch is not None or check:
            raise click.UsageError("--processes cannot be combined with --watch or --check: leave one of them out")
        sys.exit(_run_processes(processes, program=settings, burst=burst))
    if settings is not None:
        from worker.cli.arq_program import run_program  # arq takes a while to import

        options = {} if max_jobs is None else {"max_jobs": max_jobs}
        sys.exit(run_program(settings, burst=burst, check=check, watch=watch, log_dict=log_dict, **options))
    for option, value in {"--watch": watch, "--custom-log-dict": log_dict}.items():
        if value is not None:
            raise click.UsageError(
                f"{option} is for a program written for arq: name its WorkerSettings, such as tasks.WorkerSettings"
            )
    if check:
        with_client(check_health)
        return
    if max_jobs is not None:
        os.environ["MAX_JOBS"] = str(max_jobs)
    from worker.__main__ import main  # the agent's packages take a second to import; --check needs none

    sys.exit(main(burst=burst))


def _run_processes(count: int, *, program: str | None, burst: bool) -> int:
    """Run this command line ``count`` times as one worker each; METRICS_PORT counts up."""
    from worker.cli.processes import ChildCommand, keep_processes
    from worker.cli.up import env_of
    from worker.settings import WorkerSettings
    from worker.telemetry import configure_logging

    if program is None:
        settings = WorkerSettings.from_env(os.environ)
        configure_logging(level=settings.log_level, form=settings.log_format)
    else:  # its settings are its own
        configure_logging(level="info", form="json")
    one = [sys.executable, *sys.orig_argv[1:], "--processes", "1"]  # the last value of an option counts
    return keep_processes([ChildCommand(one, env_of(os.environ, n)) for n in range(count)], burst=burst)


async def check_health(client: Client) -> None:
    """Print the live workers on this host; raises ``ServiceError`` if there is none."""
    host = os.uname().nodename
    here = [info for info in (await client.queue()).workers if info.host == host]
    if not here:
        raise ServiceError(f"no worker on host {host!r} has reported in the last 30 s: start one: sightline worker")
    for info in here:
        click.echo(f"{info.name}: {len(info.jobs)} of {info.max_jobs} slots in use, {info.complete} jobs complete")
