"""``sightline drain``: stops a worker once its jobs have finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from producer.cli.connect import with_client
from producer.cli.controlling import change
from producer.client.controls_view import WORKER, Control
from producer.client.queue_view import unknown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from producer.client.client import Client


@click.command()
@click.argument("worker", metavar="WORKER")
def drain(worker: str) -> None:
    """Let WORKER finish its jobs, take no new ones, and exit with 0.

    WORKER is a name shown by 'sightline workers', or the start of one. No job is requeued, however long it takes.
    'sightline resume worker WORKER' cancels the drain. Make sure that nothing restarts the worker: use 'docker compose
    up --scale', or Restart=on-failure in a systemd unit.

    \b
    sightline drain gpu-box-2-4711-0f3a9c1e
    """

    async def act(client: Client) -> tuple[str, bool]:
        queue = await client.queue()
        name = named(worker, (info.name for info in queue.workers))
        if not name:
            raise unknown(f"worker {worker!r}", client.keys, see="workers")
        for gone in {one.name for one in queue.controls if one.kind == WORKER} - {info.name for info in queue.workers}:
            await change(client, Control(WORKER, gone), on=False)  # killed while it drained
        return name, await change(client, Control(WORKER, name), on=True)

    name, changed = with_client(act)
    click.echo(
        f"worker {name}: {'draining' if changed else 'already draining'}; it disappears from 'sightline workers' "
        f"when done"
    )


def named(text: str, names: Iterable[str]) -> str:
    """Return the only name that equals or begins with ``text``, else ``''``. Pure."""
    found = [name for name in names if text and name.startswith(text)]
    return text if text in found else found[0] if len(found) == 1 else ""
