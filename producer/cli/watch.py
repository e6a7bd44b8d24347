"""``sightline watch``: its options. What it does is in ``watch_command.py``."""

from __future__ import annotations

import click


@click.command()
@click.option(
    "--since", metavar="ID", default="$", help="Begin after this event; 0 is the oldest kept.  [default: now]"
)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON an event. Default in a pipe.")
@click.pass_context
def watch(context: click.Context, *, since: str, as_json: bool) -> None:
    """Print events as they happen, until Ctrl-C. It then says from where to go on, so that none is missed.

    \b
    sightline watch
    sightline watch --since 1763862000123-0 --json
    """  # noqa: D301  \b is click's mark for lines to keep
    from producer.cli.watch_command import follow  # noqa: PLC0415  --help needs none of it

    context.exit(follow(since, as_json=as_json))
