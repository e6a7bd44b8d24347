"""The gate of ``sightline.toml`` for ``sightline result``, so that a later report judges as the run did.

Waivers, ``fail_on``, ``strict``, ``rules`` and ``report_only`` apply; limits, baselines and reports belong to the run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import click

from producer.cli.connect import environment
from producer.cli.scan.by_file import Wanted, config_file, without_faults
from producer.cli.scan.file_rules import FileRules, file_rules
from producer.cli.scan.limits import Limits
from producer.cli.scan.options import ScanOptions

_CONFIG = click.option(
    "--config",
    type=click.Path(),
    metavar="F",
    help="Settings file.  [default: sightline.toml, here or in a parent folder]",
)
_NO_CONFIG = click.option("--no-config", is_flag=True, help="Read no settings file.")


def config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name the file to a command."""
    return _CONFIG(_NO_CONFIG(command))


def later_rules(options: ScanOptions, given: Mapping[str, Any]) -> tuple[ScanOptions, FileRules]:
    """Return the options completed from the file, and its waivers; ``given`` are those on the command line.

    Prints the errors of the file and raises ``InputError`` for them.
    """
    path = config_file(options)
    if path is None:
        return options, FileRules()
    from producer.cli.scan.command import scan
    from producer.cli.scan.option_keys import option_keys
    from producer.config.options import given as given_in
    from producer.config.reading import read_config

    config = without_faults(read_config(path, option_keys(scan), environment()))
    of_file = {name: value for name, value in given_in(config.document.gate).items() if name in {"fail_on", "strict"}}
    options = replace(options, **{**of_file, **given})
    click.echo(f"sightline: waivers and gate of {config.shown}", err=True)
    return options, replace(file_rules(Wanted(options, config=config)), limits=Limits())
