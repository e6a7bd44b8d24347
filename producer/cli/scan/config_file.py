"""The options that name the settings file, and the file that they select."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from producer.config.finding import find_config

_CONFIG = click.option(
    "--config",
    type=click.Path(),
    metavar="F",
    help="Settings file.  [default: sightline.toml, here or in a parent folder]",
)
_NO_CONFIG = click.option("--no-config", is_flag=True, help="Read no settings file.")


def config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command."""
    return _CONFIG(_NO_CONFIG(command))


def config_file(config: str | None, *, no_config: bool) -> Path | None:
    """Return the settings file to use, or None."""
    if no_config:
        if config:
            raise click.UsageError("--config and --no-config are mutually exclusive: leave one of them out")
        return None
    return Path(config) if config else find_config(Path.cwd())
