"""The options about waiting, the gate and reports, shared by ``scan``, ``result`` and ``schedule report``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from producer.cli.terminal import Seconds

FAIL_ON: Final = ("minor", "moderate", "serious", "critical", "never")
_Command = TypeVar("_Command", bound=Callable[..., Any])


def together(*options: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    """Return one decorator for several options, listed in the help in the order given."""

    def give(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return give


report_options = together(
    click.option("--timeout", "timeout_s", type=Seconds(), metavar="S", help="Seconds to wait."),
    click.option(
        "--assess-wait",
        "assess_wait_s",
        type=click.FloatRange(0),
        metavar="S",
        help="Seconds to wait for assessments and tried fixes after all scans.  [default: 0, in a terminal 60]",
    ),
    click.option(
        "--fail-on",
        type=click.Choice(FAIL_ON),
        help="Exit 1 if any counted finding has this impact or worse.  [default: serious]",
    ),
    click.option("--strict", is_flag=True, help="Also exit 2 for pages with a remark, listed in docs/doubts.md."),
    click.option("--format", "formats", multiple=True, metavar="FORMAT[=PATH]", help="Report to write; repeatable."),
    click.option(
        "--output", "-o", type=click.Path(), metavar="PATH", help="File for the report, or folder for several."
    ),
)
