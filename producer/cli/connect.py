"""From the environment to a client: the only file of the commands that reads ``os.environ``."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from producer.client import Client
from producer.settings import ClientSettings, misspelt, setting_names

T = TypeVar("T")


def read_settings() -> ClientSettings:
    """Return the settings; warns on stderr of names that are nearly a setting's."""
    for line in misspelt(os.environ, setting_names(ClientSettings)):
        click.echo(f"sightline: warning: {line}", err=True)
    return ClientSettings.from_env(os.environ)


def with_client(action: Callable[[Client], Awaitable[T]]) -> T:
    """Run ``action`` with a client of the environment's settings; Ctrl-C cancels it and raises KeyboardInterrupt."""
    settings = read_settings()

    async def act() -> T:
        async with Client(settings) as client:
            return await action(client)

    return asyncio.run(act())
