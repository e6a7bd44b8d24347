"""The options that select the checks, and the fields of a request that follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click

from producer.contract.checks import CHECKS, checked_checks


def _check(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return checked_checks(given) if given else given
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


CHECK_OPTIONS: Final = (
    click.option(
        "--checks",
        multiple=True,
        type=click.Choice(CHECKS),
        callback=_check,
        help="Checks to run: axe, or live for a page in use (keyboard, zoom); repeatable.  [default: axe]",
    ),
    click.option("--live", is_flag=True, help="Run both checks: the same as --checks axe --checks live."),
)


def given_checks(checks: Sequence[str], *, live: bool) -> list[str]:
    """Return the request's ``checks``; empty for the default."""
    return list(CHECKS) if live else list(checks)
