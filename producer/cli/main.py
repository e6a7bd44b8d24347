"""The ``sightline`` program: finds the command, runs it, and turns every error into one line and an exit code.

Exit codes are listed in ``docs/ci.md``. 1 only ever means findings: an unexpected error is 70, a full stdout or disk
74. Only the module of the named command is imported, and it imports what it needs when it runs: ``sightline
--help`` loads click and the table below. Workers' commands come from the entry point group ``sightline.commands``.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final, cast

import click

from producer.contract.distribution import VERSION, has_worker, install_hint
from producer.contract.nearest import nearest
from producer.errors import DependencyMissing, SightlineError, os_reason

EXIT_USAGE: Final = 64
EXIT_CRASHED: Final = 70
"""EX_SOFTWARE of sysexits.h."""
EXIT_NOT_WRITTEN: Final = 74
"""EX_IOERR of sysexits.h."""
EXIT_INTERRUPTED: Final = 130
EXIT_PIPE_CLOSED: Final = 141
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
DEBUG: Final = "SIGHTLINE_DEBUG"
"""Variable that, if set, prints the traceback of an unexpected error."""
ENTRY_POINTS: Final = "sightline.commands"
_NO_PLUGINS: Final = "PYDANTIC_DISABLE_PLUGINS"
"""Variable of pydantic: to find plugins, which no command of a client uses, it reads about every installed package."""

_COMMANDS: Final = {
    "ask": "Ask about scan results.",
    "batch": "Close a batch whose submitter died.",
    "cancel": "Cancel a job or a batch.",
    "comment": "Post a report to its pull request, as one comment.",
    "config": "Write, check, show and import sightline.toml.",
    "dead": "List, show, replay and drop dead letters.",
    "drain": "Let a worker finish its jobs and exit.",
    "issues": "Keep a tracker's issues in step with scan results.",
    "limits": "Limit the scans of a host across all workers.",
    "pause": "Pause a lane, a batch, a host or a site.",
    "resume": "End a pause.",
    "review": "Decide what axe-core leaves undecided, with a reason.",
    "result": "Show the result of a job, or report a batch.",
    "scan": "Scan pages, and with --wait report the findings.",
    "schedule": "Scan pages regularly, on a cron schedule.",
    "status": "Show the queue, a job or a batch.",
    "top": "Watch lanes, workers, GPU slots, rates and errors, live.",
    "usage": "Sum model calls, tokens and GPU time.",
    "waive": "Accept a barrier, with a reason and an expiry date.",
    "workers": "List the workers: release, slots, models, browser.",
    "watch": "Follow the events of all jobs and batches.",
}
"""Each command is a module of this package or of ``scan/``."""
_WORKER_COMMANDS: Final = {
    "arq": "Move the jobs of an arq program onto the stream.",
    "backup": "Back up the contents of Redis to a folder.",
    "compare": "Show what changed between two batches, runs or dates.",
    "doctor": "Check Redis, indexes, workers, browser and models.",
    "eval": "Score the configured models on labelled findings and questions.",
    "history": "Show past scans and trends, and prune old records.",
    "reindex": "Change the embedding model without downtime.",
    "restore": "Load a backup into an empty Redis.",
    "up": "Start workers, and a Redis if none is configured.",
    "web": "Serve scan results as web pages.",
    "worker": "Run one worker, or check that workers are alive.",
}
_ROOT: Final = f"{os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))}{os.sep}"  # noqa: PTH100, PTH120  pathlib is not needed here


class _ReaderGone(Exception):
    """The reader of stdout has gone."""


class LazyGroup(click.Group):
    """A group that imports a command only when it is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the client's and the worker's commands, whether or not they are installed."""
        del ctx
        return sorted({*_COMMANDS, *_WORKER_COMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command; raises ``DependencyMissing`` if one of its dependencies is not installed."""
        del ctx
        if cmd_name in _COMMANDS:
            module = import_module(f"{__package__}.{'scan.command' if cmd_name == 'scan' else cmd_name}")
            return cast("click.Command", getattr(module, cmd_name))
        entry = _entry_points().get(cmd_name)
        if entry is None:
            return None
        try:
            # Not `entry.load()`: that would use the import function that `sightline.names` may give to this module.
            return cast("click.Command", getattr(__import__(entry.module, fromlist=[""]), entry.attr))
        except ModuleNotFoundError as error:
            raise _missing(error, f"the command {cmd_name!r}") from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; the error for an unknown one names the nearest."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            meant = nearest(args[0], self.list_commands(ctx))
            if not meant or args[0].startswith("-"):
                raise
            msg = f"No such command {args[0]!r}: did you mean {meant!r}?"
            raise click.UsageError(msg, ctx) from None

    def make_context(self, info_name: str | None, args: list[str], *given: Any, **extra: Any) -> click.Context:
        """Parse the call, which prints the program's own help; a closed pipe bypasses click, as in ``invoke``."""
        try:
            return super().make_context(info_name, args, *given, **extra)
        except BrokenPipeError:
            raise _ReaderGone from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a closed pipe bypasses click, which would exit with 1, the code for findings."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise _ReaderGone from None
        except SystemExit as end:
            if isinstance(end.__context__, BrokenPipeError):  # Rich itself exits with 1
                raise _ReaderGone from None
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the tables here without importing them."""
        helps = {**_COMMANDS, **_WORKER_COMMANDS}
        with formatter.section("Commands"):
            formatter.write_dl([(name, helps[name]) for name in self.list_commands(ctx)])
        if not has_worker():
            formatter.write_paragraph()
            formatter.write_text(f"Not installed: {', '.join(_WORKER_COMMANDS)}.")
            formatter.write(f"  To add them: {install_hint('worker')}\n")  # people copy this command: it must not wrap


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, message="%(prog)s %(version)s")
def cli() -> None:
    """Scan web pages for accessibility barriers in the background, and ask about the results.

    \b
    sightline up                                        a Redis and a worker, here
    sightline scan https://example.org/ --wait          one page, and its report
    sightline scan --file urls.txt --format html -o report.html
    """


def main() -> None:
    """Run the program and exit with its code; the console script ``sightline``."""
    # Closed by the caller, as by a daemon: a socket would get its number. Writing to stdout must fail.
    if sys.stdin is None:
        sys.stdin = open(os.open(os.devnull, os.O_RDONLY), encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a page's title may contain characters that the terminal's encoding lacks
            cast("Any", stream).reconfigure(errors="replace")
    if _NO_PLUGINS not in os.environ and _COMMANDS.keys() & set(sys.argv[1:2]):
        os.environ[_NO_PLUGINS] = "__all__"
    code = run(sys.argv[1:])
    gc.freeze()  # else exit collects garbage in all imported modules: a quarter of a short command's time
    sys.exit(code)


def run(args: Sequence[str]) -> int:
    """Run one command line and return its exit code; never raises."""
    try:
        code: object = cli.main(args=list(args), prog_name="sightline", standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        if error.format_message().startswith("Usage: "):  # a group without a command: click's message is its help
            click.echo(error.format_message(), err=True)
            return EXIT_USAGE
        where = f"; see '{error.ctx.command_path} --help'" if error.ctx else ""
        return _say(error.format_message().rstrip(".") + where, EXIT_USAGE)
    except click.ClickException as error:
        return _say(error.format_message(), EXIT_USAGE)
    except click.Abort as stop:
        return _say(str(stop) or "stopped", EXIT_INTERRUPTED)
    except SightlineError as error:
        return _say(str(error), error.exit_code)
    except ModuleNotFoundError as error:
        return _say(str(_missing(error, "this command")), DependencyMissing.exit_code)
    except (_ReaderGone, BrokenPipeError):
        return _reader_gone()
    except Exception as error:  # noqa: BLE001  else Python would exit with 1, which means findings
        if isinstance(error, UnicodeEncodeError) and (wrong := _not_text(args)):
            return _say(f"the argument {wrong!r} is not text in UTF-8", EXIT_USAGE)
        return _unforeseen(error)
    return code if isinstance(code, int) else 0


def _not_text(args: Sequence[str]) -> str:
    """Return the first argument that is not UTF-8, '' if all are; only names of files may be other bytes."""
    from producer.text_file import is_unicode

    return next((arg for arg in args if not is_unicode(arg)), "")


def _say(message: str, code: int) -> int:
    from producer.cli.ci import say

    with contextlib.suppress(OSError):  # there is nowhere left to report it
        say(" ".join(message.split()))
    return code


def _reader_gone() -> int:
    _drop_stdout()
    return EXIT_PIPE_CLOSED


def _drop_stdout() -> None:
    """Discard buffered output: flushing it at exit would fail again, with another message."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _unforeseen(error: Exception) -> int:
    """Print one line about the error and return the exit code: ``EXIT_NOT_WRITTEN`` if a write failed."""
    if os.environ.get(DEBUG):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, OSError):
        try:
            sys.stdout.flush()  # the unwritten text is still buffered and fails again, unless Python is unbuffered
            if error.errno in _NO_ROOM and error.filename is None:
                os.write(sys.stdout.fileno(), b"\n")
        except OSError as refused:
            _drop_stdout()
            return _say(f"cannot write to stdout: {os_reason(refused)}", EXIT_NOT_WRITTEN)
        where = f"{str(error.filename)!r}: " if error.filename else ""
        return _say(f"{where}{os_reason(error)} ({_place(error)})", EXIT_NOT_WRITTEN)
    what = f"{type(error).__name__}: {str(error)[:500]}" if str(error) else type(error).__name__
    hint = f"{DEBUG}=1 shows the traceback"
    return _say(f"internal error, please report it: {what} ({_place(error)}); {hint}", EXIT_CRASHED)


def _place(error: Exception) -> str:
    """Return the file and line that raised ``error``, preferably the innermost in Sightline's code."""
    place, trace = "", error.__traceback__
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename
        name = path.removeprefix(_ROOT)
        if not place or name.startswith(("producer", "worker")):
            place = f"{name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _missing(error: ModuleNotFoundError, what: str) -> DependencyMissing:
    package = (error.name or "").partition(".")[0]
    if package in {"producer", ""}:
        raise error
    extras = ("worker", "web") if package in {"starlette", "uvicorn"} else ("worker",)
    return DependencyMissing(f"{what} needs the package {package!r}: {install_hint(*extras)}")


def _entry_points() -> dict[str, Any]:
    from importlib.metadata import entry_points  # 15 ms that most commands need not spend

    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}


if __name__ == "__main__":
    main()
