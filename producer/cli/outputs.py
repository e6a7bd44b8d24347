"""Decides which report goes to which file, and checks this before anything is scanned.

A file is written under a temporary name and renamed when complete, so that half a report is never visible.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import tempfile
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Final, TextIO

import click

from producer.cli.ci import ci_system, harmless, say
from producer.cli.connect import environment
from producer.cli.job_log import with_sources, write_job_log
from producer.errors import InputError, os_reason
from producer.reports.formats import FORMATS, ReportContext, load_report

if TYPE_CHECKING:
    from producer.reports.page import Page

_BY_SUFFIX = {Path(file_name).suffix: name for name, file_name in reversed(FORMATS.items())}
"""If two formats share a suffix, the first wins: ``.json`` is ``json``."""
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


@dataclass(frozen=True, slots=True)
class Output:
    """One report: its format, and the file it goes to; ``None`` is stdout."""

    format: str
    path: Path | None


def plan_outputs(formats: Sequence[str], output: str | None, *, default: str) -> tuple[Output, ...]:
    """Return the reports to write, each with its file.

    Each of ``formats`` is ``FORMAT`` or ``FORMAT=PATH``. ``output`` is the file of the format without a path, or the
    folder of several; without formats, its suffix selects the format. Raises ``InputError`` for an unknown format, two
    reports for stdout or for one file, and a path that cannot be written.
    """
    named = [_parse(text) for text in formats or [_format_of(output) if output else default]]
    bare = [item for item in named if item.path is None]
    if output is None and len(bare) > 1:
        names = " and ".join(item.format for item in bare)
        raise InputError(f"{names} cannot both go to stdout: write --format {bare[0].format}=PATH")
    if output is not None:
        if not bare:
            raise InputError(f"-o {output!r} would get no report: every --format names its own file")
        is_folder = len(bare) > 1 or output.endswith(os.sep) or Path(output).is_dir()
        named = [
            item
            if item.path
            else Output(item.format, Path(output) / FORMATS[item.format] if is_folder else Path(output))
            for item in named
        ]
    for item in named:
        if item.path is not None:
            check_writable(item.path, creates_folder=output is not None and item.path.parent == Path(output))
    check_distinct(*((f"the {item.format} report", item.path) for item in named if item.path))
    return tuple(named)


def check_distinct(*files: tuple[str, Path]) -> None:
    """Raise ``InputError`` if two of ``files`` (path and purpose) are the same: one would overwrite the other."""
    taken: dict[Path, str] = {}
    for what, path in files:
        other = taken.setdefault(path.resolve(), what) if _is_replaceable(path) else what
        if other is not what:
            raise InputError(f"{other} and {what} cannot both be written to {str(path)!r}: give each its own file")


def write_reports(outputs: Iterable[Output], pages: Sequence[Page], context: ReportContext) -> None:
    """Write every report and print which files were written; raises ``InputError`` for one that cannot be written.

    If no report goes to stdout, and in CI, the reason for a failure is printed to stderr (``job_log.py``).
    """
    written: list[Path] = []
    outputs = tuple(outputs)
    context = with_sources({output.format for output in outputs}, context)
    for output in outputs:
        report = load_report(output.format)
        if output.path is None:
            print_report(partial(report, pages, context))
            continue
        with replacing(output.path, encoding=encoding_of(output.format)) as out:
            report(pages, context, out)
        written.append(output.path)
    write_job_log({output.format for output in outputs if output.path is None}, pages, context)
    for path in written:
        say(f"wrote {path}")


def print_report(write: Callable[[TextIO], None]) -> None:
    """Write a report to stdout; in CI, where that is a log, commands of the CI system are defused."""
    if not ci_system(environment()):
        write(sys.stdout)
        return
    drawn = io.StringIO()
    write(drawn)
    click.echo(harmless(drawn.getvalue()), nl=False)


def _parse(text: str) -> Output:
    name, has_path, path = text.partition("=")
    if name not in FORMATS:
        raise InputError(f"format {name!r} is unknown: expected one of {', '.join(FORMATS)}, or FORMAT=PATH")
    if has_path and not path:
        raise InputError(f"--format {text!r} names no file: expected {name}=PATH")
    return Output(name, Path(path) if has_path else None)


def _format_of(output: str) -> str:
    suffix = Path(output).suffix.lower()
    if suffix not in _BY_SUFFIX:
        raise InputError(f"-o {output!r} has no known format: add --format, one of {', '.join(FORMATS)}")
    return _BY_SUFFIX[suffix]


def check_writable(path: Path, *, creates_folder: bool = False) -> None:
    """Raise ``InputError`` if ``path`` cannot be written; ``creates_folder`` creates its folder."""
    try:
        if creates_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise InputError(f"cannot write {str(path)!r}: it is a folder")
        if _is_replaceable(path):
            with tempfile.TemporaryFile(dir=path.parent):
                pass
    except OSError as error:
        raise InputError(f"cannot write {str(path)!r}: {error.strerror or error}") from None


def _is_replaceable(path: Path) -> bool:
    """Return whether ``path`` is a file or does not exist; /dev/null and named pipes must be written directly."""
    return path.is_file() or not path.exists()


def encoding_of(format_name: str) -> str:
    """Return the encoding of a report's file: CSV has a byte order mark, without which Excel assumes Latin-1."""
    return "utf-8-sig" if format_name == "csv" else "utf-8"


@contextlib.contextmanager
def replacing(path: Path, *, encoding: str = "utf-8") -> Generator[TextIO]:
    """Open a temporary file beside ``path`` and rename it when complete.

    Raises ``InputError``, but ``OSError`` if the disk is full or broken: that is no wrong call.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}-{token_hex(4)}.part") if _is_replaceable(path) else path
    try:
        with part.open("w", encoding=encoding, newline="") as out:
            yield out
        if part != path:
            part.replace(path)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise OSError(error.errno, os_reason(error), str(path)) from None
        raise InputError(f"cannot write {str(path)!r}: {error.strerror or error}") from None
    finally:
        if part != path:
            part.unlink(missing_ok=True)
