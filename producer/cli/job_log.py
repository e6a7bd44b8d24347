"""Writes a job's log: a line for each failing component barrier, the totals, and GitHub's annotations.

It goes to stderr, so that a report on stdout stays intact. Nothing is written if the table is shown in a terminal.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from producer.cli.ci import ci_system, harmless, say
from producer.cli.connect import environment

if TYPE_CHECKING:
    from producer.reports.formats import ReportContext
    from producer.reports.page import Page

_NAMING_FILES: Final = frozenset({"sarif", "gitlab"})
"""Formats that name files of the repository."""


def write_job_log(to_stdout: Collection[str], pages: Sequence[Page], context: ReportContext) -> None:
    """Print to stderr why the run fails, if all reports are files or in CI; then totals that no table has shown.

    ``to_stdout`` are the formats that went to stdout.
    """
    system = ci_system(environment())
    if to_stdout and not system:
        return
    from producer.reports.failures import failures, github_annotations, log_lines, unread

    found, problems = failures(pages, context), unread(pages)
    lines = log_lines(found)
    if to_stdout and "table" not in to_stdout:  # nor are they in the totals below
        lines += log_lines(problems, "page")
    for line in lines:
        say(line)
    if system == "github":
        for annotation in github_annotations([*problems, *found]):
            click.echo(annotation, err=True)
    if not to_stdout:
        from producer.reports.table import write_sums  # imports Rich: only if it is shown

        if not system:
            write_sums(pages, context, sys.stderr)
            return
        drawn = io.StringIO()
        write_sums(pages, context, drawn)
        click.echo(harmless(drawn.getvalue()), nl=False, err=True)


def say_nothing_was_tested(queued: str) -> None:
    """Warn in CI that pages were queued and none was tested: a green job would look like a pass."""
    system = ci_system(environment())
    if not system:
        return
    text = "nothing was tested yet: the pages are queued, and this job passes whatever is found; add --wait"
    say(f"warning: {text}, or let a later job run: sightline result {queued} --wait")
    if system == "github":
        click.echo(f"::warning title=Sightline%3A nothing was tested yet::{text}", err=True)


def with_sources(formats: Collection[str], context: ReportContext) -> ReportContext:
    """Return the context with the repository's files if one of ``formats`` or the job's log can name them."""
    if ci_system(environment()) != "github" and not _NAMING_FILES.intersection(formats):
        return context
    from dataclasses import replace

    from producer.cli.source_files import read_sources

    return replace(context, sources=read_sources(Path.cwd()))
