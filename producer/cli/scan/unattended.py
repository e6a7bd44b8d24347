"""Says once, while a command waits, that no worker lives: a worker that never started looks like one that is slow."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Final

import click

from producer.client.client import Client
from producer.errors import SightlineError

PATIENCE_S: Final = 5.0
"""Longer than a worker's start takes, where both are started together."""


@contextlib.asynccontextmanager
async def told_if_unattended(client: Client) -> AsyncGenerator[None]:
    """Look for a worker after ``PATIENCE_S`` within the block, and say on stderr if none lives."""
    look = asyncio.create_task(_look(client))
    try:
        yield
    finally:
        look.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await look


async def _look(client: Client) -> None:
    await asyncio.sleep(PATIENCE_S)
    with contextlib.suppress(SightlineError):  # a user who may not list keys, an outage: the wait itself tells
        if not (await client.queue()).workers:
            environment = client.settings.environment
            text = f"no worker lives in environment {environment!r}, so this waits: start one with 'sightline worker'"
            click.echo(f"sightline: {text}", err=True)
