"""The end of the terminal's table: pages that could not be scanned, doubts and totals; and its colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from producer.contract import Impact
from producer.reports.doubts import MAX_LINES, counts_text, doubt_lines
from producer.reports.formats import ReportContext
from producer.reports.page import WORST_FIRST, Page
from producer.reports.plain_text import counted, middle_cut, one_line
from producer.reports.summary import Summary

INDENT: Final = 4
STYLE: Final[dict[Impact, str]] = {
    Impact.CRITICAL: "bold red",
    Impact.SERIOUS: "red",
    Impact.MODERATE: "yellow",
    Impact.MINOR: "cyan",
}


def indented(content: Text | Table) -> Padding:
    """Return ``content`` indented under a heading."""
    return Padding(content, (0, 0, 0, INDENT), expand=False)


def impact_counts(counts: Mapping[Impact, int]) -> Text:
    """Return ``3 critical, 1 minor``, each in its colour."""
    line = Text()
    for impact in WORST_FIRST:
        if counts[impact]:
            line.append(", " if line else "").append(f"{counts[impact]:,} {impact.value}", style=STYLE[impact])
    return line


def print_problems(console: Console, pages: Sequence[Page], names: Sequence[str], *, unit: str) -> None:
    """Print the pages that do not pass, and why; then other doubts."""
    named = list(zip(names, pages, strict=True))
    unread = [(name, page) for name, page in named if not page.is_scanned and page.outcome != "doubtful"]
    doubtful = [(name, page) for name, page in named if page.outcome == "doubtful"]
    for heading, problems in (("Not scanned", unread), ("In doubt", doubtful)):
        if not problems:
            continue
        console.print()
        console.print(Text(f"{heading}, so not a pass: {counted(len(problems), unit)}", style="bold magenta"))
        for name, page in problems:
            text = Text.assemble((name, "bold"), "  ", f"{page.outcome}: ", one_line(page.problem, limit=500))
            console.print(indented(text), overflow="fold")
    _print_doubts(console, [(name, line) for name, page in named for line in doubt_lines(page, untold=True)])


def _print_doubts(console: Console, lines: Sequence[tuple[str, str]]) -> None:
    """Print the doubts that no problem has mentioned, one per line."""
    if not lines:
        return
    console.print()
    console.print(Text(f"Also in doubt: {counted(len(lines), 'remark')}", style="bold yellow"))
    for name, line in lines[:MAX_LINES]:
        text = Text.assemble((middle_cut(name, max(console.width * 2 // 5, 12)), "bold"), "  ", line)
        console.print(indented(text), overflow="fold")
    if len(lines) > MAX_LINES:
        text = f"and {counted(len(lines) - MAX_LINES, 'more doubt')}; all are in the JSON report"
        console.print(indented(Text(text, style="dim")))


def print_sums(console: Console, summary: Summary, context: ReportContext) -> None:
    """Print the numbers of pages, barriers and doubts, and what fails."""
    console.print()
    line = Text(f"{summary.pages_text}: ", style="bold")
    line.append(f"{summary.with_barriers:,} with barriers, {summary.passed:,} without")
    if unread := summary.not_scanned - summary.doubtful:
        line.append(f", {unread:,} not scanned", style="bold magenta")
    if summary.doubtful:
        line.append(f", {summary.doubtful:,} in doubt", style="bold magenta")
    console.print(line)
    if summary.total:
        line = Text(f"{summary.found('new ' if summary.marked else '')}: ", style="bold")
        line.append_text(impact_counts(summary.elements))
        console.print(line)
    if summary.needs_review:
        console.print(Text(f"{counted(summary.needs_review, 'finding')} to review", style="dim"))
    if summary.in_doubt:
        line = Text(f"{counted(summary.in_doubt, summary.unit)} in doubt: ", style="bold yellow")
        console.print(line.append(counts_text(summary.doubts), style="not bold"))
    if context.fail_on:
        new = "new " if summary.marked else ""
        text = f"{counted(summary.failing, summary.unit)} with {new}findings that are {context.fail_on.value} or worse"
        console.print(Text(text, style="red" if summary.failing else "green"))
