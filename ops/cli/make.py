"""Writes ops/cli.md, the help of every command as it is printed: ``python ops/cli/make.py``. A test compares."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "ops/cli.md"
WIDTH: Final = 100
HEAD: Final = """# The command line

The output of `sightline COMMAND --help`, written by `python ops/cli/make.py`. Exit codes: 0 success, 1 findings at or
above `--fail-on`, 2 a page could not be scanned, 3 the service is unreachable or time ran out, 4 a result is no longer
kept, 64 a usage error, 130 Ctrl-C ([all of them](../docs/ci.md#exit-codes)). In a pipe, every command prints JSON, one
object per line; `NO_COLOR=1` turns colours off, and so does output that is not a terminal.

## Completion

To complete commands and options with Tab, add one line to your shell's configuration:

```
eval "$(_SIGHTLINE_COMPLETE=bash_source sightline)"   # in ~/.bashrc
eval "$(_SIGHTLINE_COMPLETE=zsh_source sightline)"    # in ~/.zshrc
_SIGHTLINE_COMPLETE=fish_source sightline | source    # in ~/.config/fish/completions/sightline.fish
```
"""

sys.path.insert(0, str(ROOT))


def page() -> str:
    """Return the whole page."""
    from producer.cli.main import cli  # noqa: PLC0415  after the path is set

    parts = [HEAD]
    root = cli.make_context("sightline", [], resilient_parsing=True, terminal_width=WIDTH)
    for name, command, context in commands(cli, root):
        text = command.get_help(context).rstrip()
        parts.append(f"## {name}\n\n```\n{text}\n```\n")
    return "\n".join(parts)


def commands(group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command, click.Context]]:
    """Yield each command with its full name, groups before their commands."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        below = command.make_context(name, [], parent=context, resilient_parsing=True)
        yield below.command_path, command, below
        if isinstance(command, click.Group):
            yield from commands(command, below)


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"wrote {PAGE.relative_to(ROOT)}")
