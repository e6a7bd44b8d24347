"""``sightline pause``: pauses a lane, a batch, a host or a site."""

from __future__ import annotations

import click

from producer.cli.connect import with_client
from producer.cli.controlling import KIND, NAME, change
from producer.client.controls_view import PAUSED


@click.command()
@click.argument("kind", type=click.Choice(PAUSED), metavar=KIND)
@click.argument("name", metavar=NAME)
def pause(kind: str, name: str) -> None:
    """Pause a lane, batch, host or site: no worker starts its jobs until it is resumed.

    Running jobs continue. Waiting jobs are kept; other jobs overtake them. Pausing twice has no further effect.

    \b
    sightline pause host shop.example
    sightline pause batch nightly-2026-11-23
    sightline pause lane batch
    """
    from producer.stored.controls import control_of

    control = control_of(kind, name)
    changed = with_client(lambda client: change(client, control, on=True))
    click.echo(f"{kind} {control.name}: {'paused' if changed else 'was already paused'}")
