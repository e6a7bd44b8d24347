"""``sightline worker``: one worker in the foreground, or the health check of the workers."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

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
    if processes > 1 and (watch is not None or check):
        raise click.UsageError("--processes cannot be combined with --watch or --check: leave one of them out")
    if settings is not None:
        options = {"path": settings, "burst": burst, "check": check, "watch": watch, "log_dict": log_dict}
        run = partial(run_program_process, **options, **({} if max_jobs is None else {"max_jobs": max_jobs}))
        sys.exit(run(0) if processes == 1 else _keep_programs(run, processes, burst=burst))
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
    sys.exit(run_worker(0, burst=burst) if processes == 1 else keep_workers(processes, os.environ, burst=burst))


def keep_workers(
    count: int, env: Mapping[str, str], *, burst: bool = False, look: Callable[[], None] | None = None
) -> int:
    """Run ``count`` workers with these variables until a signal: see ``keep_processes``.

    Raises ``SettingsError`` for a setting that cannot be used.
    """
    from worker.cli.processes import keep_processes
    from worker.settings import WorkerSettings
    from worker.telemetry import configure_logging

    os.environ.update(env)
    settings = WorkerSettings.from_env(os.environ)
    configure_logging(level=settings.log_level, form=settings.log_format)
    if count:
        load_main()  # once, for all of them
    return keep_processes(partial(run_worker, burst=burst), count, burst=burst, look=look)


def run_worker(number: int, *, burst: bool) -> int:
    """Run worker ``number`` of this machine, from 0; returns the exit code."""
    count_up_port(number)
    return load_main()(burst=burst)


def load_main() -> Callable[..., int]:
    """Import the worker's program, with the agent's packages, which takes a second; --check needs none."""
    from worker.__main__ import main

    return main


def _keep_programs(run: Callable[[int], int], count: int, *, burst: bool) -> int:
    from worker.cli.processes import keep_processes
    from worker.telemetry import configure_logging

    configure_logging(level="info", form="json")  # its settings are its own
    load_run_program()  # once, for all of them; each imports the program itself
    return keep_processes(partial(_run_program_alone, run), count, burst=burst)


def _run_program_alone(run: Callable[[int], int], number: int) -> int:
    """Run it with the logging of a process that nothing has configured: a program configures its own."""
    import logging

    import structlog

    structlog.reset_defaults()
    logging.basicConfig(handlers=[], force=True)
    return run(number)


def run_program_process(number: int, **options: Any) -> int:
    """Run process ``number`` of a program written for arq; returns the exit code."""
    count_up_port(number)
    return load_run_program()(**options)


def load_run_program() -> Callable[..., int]:
    """Import what runs a program written for arq, which takes a while."""
    from worker.cli.arq_program import run_program

    return run_program


def count_up_port(number: int) -> None:
    """Add ``number`` to METRICS_PORT, if it is set: each process has a port."""
    port = os.environ.get("METRICS_PORT", "").strip()
    if port.isdecimal() and port != "0":
        os.environ["METRICS_PORT"] = str(int(port) + number)


async def check_health(client: Client) -> None:
    """Print the live workers on this host; raises ``ServiceError`` if there is none."""
    host = os.uname().nodename
    here = [info for info in (await client.queue()).workers if info.host == host]
    if not here:
        raise ServiceError(f"no worker on host {host!r} has reported in the last 30 s: start one: sightline worker")
    for info in here:
        click.echo(f"{info.name}: {len(info.jobs)} of {info.max_jobs} slots in use, {info.complete} jobs complete")
