"""``sightline top``: its options. What it does is in ``top_command.py``."""

from __future__ import annotations

import click


@click.command()
@click.option("--once", is_flag=True, help="Show the board once and end.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON a second. Default in a pipe.")
@click.pass_context
def top(context: click.Context, *, once: bool, as_json: bool) -> None:
    """Show what goes on, renewed every second: q or Ctrl-C ends.

    Rates are of the last minute, tokens of the day (UTC). What has failed lately is at the bottom; all of it is in
    'sightline dead list' and 'sightline watch'.

    \b
    sightline top
    sightline top --once
    sightline top --once --json | jq .queue.lanes.batch.queued
    """  # noqa: D301  \b is click's mark for lines to keep
    from producer.cli.top_command import show  # noqa: PLC0415  --help needs none of it

    context.exit(show(once=once, as_json=as_json))
