"""``sightline resume``: ends a pause, or a worker's drain."""

from __future__ import annotations

import click

from producer.cli.connect import with_client
from producer.cli.controlling import NAME, change
from producer.client.controls_view import PAUSED, WORKER


@click.command()
@click.argument("kind", type=click.Choice((*PAUSED, WORKER)), metavar="lane|batch|host|site|worker")
@click.argument("name", metavar=NAME)
def resume(kind: str, name: str) -> None:
    """End a pause, or a worker's drain, so that jobs run again.

    \b
    sightline resume host shop.example
    """
    from producer.stored.controls import control_of

    control = control_of(kind, name)
    changed = with_client(lambda client: change(client, control, on=False))
    click.echo(f"{kind} {control.name}: {'resumed' if changed else 'was not paused'}")
