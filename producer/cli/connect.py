"""From the environment to a client: the only file of the commands that reads ``os.environ``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import click

from producer.cli.scan.login_files import HEADERS_VARIABLE
from producer.client.client import Client
from producer.settings import ClientSettings, misspelt, setting_names

T = TypeVar("T")


def environment() -> Mapping[str, str]:
    """Return the variables, for what is started with them."""
    return os.environ


def read_settings(variables: Mapping[str, str] | None = None) -> ClientSettings:
    """Return the settings, ``variables`` first; warns on stderr of names that are nearly a setting's."""
    for line in misspelt(os.environ, setting_names(ClientSettings)):
        click.echo(f"sightline: warning: {line}", err=True)
    return ClientSettings.from_env({**os.environ, **(variables or {})})


def headers_variable() -> str:
    """Return the variable that holds the headers of pages behind a login, as it is; ``''`` where it is not set."""
    return os.environ.get(HEADERS_VARIABLE, "")


def with_client(action: Callable[[Client], Awaitable[T]], *, variables: Mapping[str, str] | None = None) -> T:
    """Run ``action`` with a client of the environment's settings; Ctrl-C cancels it and raises KeyboardInterrupt.

    ``variables`` win over the environment.
    """
    settings = read_settings(variables)

    async def act() -> T:
        _cancel_on_ctrl_c()
        async with Client(settings) as client:
            return await action(client)

    try:
        return asyncio.run(act())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _cancel_on_ctrl_c() -> None:
    """Let Ctrl-C cancel the running task from the loop, between two of its steps.

    ``asyncio.run`` cancels from within the signal handler, so also in the middle of a step. redis-py begins a command
    with ``asyncio.timeout(0)``, which takes such a cancellation for its own and drops it (python/cpython#134471): half
    of all Ctrl-C in ``watch`` did nothing. Can go when every supported Python has that mended.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  a coroutine is run by a task
    with contextlib.suppress(NotImplementedError):  # Windows has no such handlers
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, task.cancel)
