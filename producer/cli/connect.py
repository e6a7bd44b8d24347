"""Creates a client from the environment; no other file of the commands reads ``os.environ``."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

from producer.cli.ci import say
from producer.errors import SightlineError, WaitTimeout
from producer.settings import ClientSettings, misspelt, setting_names

if TYPE_CHECKING:
    from producer.client.client import Client

T = TypeVar("T")
GRACE_S: Final = 5.0
PATIENCE_S: Final = 5.0
"""Longer than a worker takes to start: a wait and a worker may be started together."""


def environment() -> Mapping[str, str]:
    """Return the environment variables, for child processes."""
    return os.environ


def with_client(
    action: Callable[[Client], Awaitable[T]],
    *,
    variables: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
    doubt: str = "try again",
) -> T:
    """Run ``action`` with a client for the environment's settings; Ctrl-C cancels it and raises KeyboardInterrupt.

    ``variables`` override the environment. ``timeout_s`` bounds the whole call, plus ``GRACE_S`` in which the action
    can raise a better error; after that, raises ``WaitTimeout``, which ends with ``doubt``. Warns on stderr about names
    that resemble a setting's.
    """
    import asyncio

    from producer.client.client import Client

    for line in misspelt(os.environ, setting_names(ClientSettings)):
        say(f"warning: {line}")
    settings = ClientSettings.from_env({**os.environ, **(variables or {})})

    async def act() -> T:
        _cancel_on_ctrl_c()
        async with Client(settings) as client, asyncio.timeout(timeout_s and timeout_s + GRACE_S):
            return await action(client)

    try:
        return asyncio.run(act())
    except TimeoutError:
        if timeout_s is None:
            raise
        where = settings.public_redis_url
        raise WaitTimeout(f"Redis at {where!r} did not reply within {timeout_s:g} s: {doubt}") from None
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _cancel_on_ctrl_c() -> None:
    """Let Ctrl-C cancel the running task from the loop, between two of its steps.

    ``asyncio.run`` cancels from within the signal handler, possibly in the middle of a step. redis-py begins a command
    with ``asyncio.timeout(0)``, which mistakes such a cancellation for its own and drops it (python/cpython#134471):
    half of all Ctrl-C presses in ``watch`` did nothing. Remove once every supported Python has the fix.
    """
    import asyncio

    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        return  # started by a shell in the background: Ctrl-C is meant for others
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  a coroutine is run by a task
    with contextlib.suppress(NotImplementedError):  # Windows has no such handlers
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, task.cancel)


@contextlib.asynccontextmanager
async def warning_without_worker(client: Client) -> AsyncGenerator[None]:
    """Warn on stderr if no worker is alive after ``PATIENCE_S``: a missing worker looks like a slow one."""
    import asyncio

    async def look() -> None:
        await asyncio.sleep(PATIENCE_S)
        with contextlib.suppress(SightlineError):  # no permission to list keys, or an outage: the wait reports it
            if not (await client.queue()).workers:
                where = f"no worker is alive in environment {client.settings.environment!r}"
                say(f"{where}, so this will wait: start one with 'sightline worker'")

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
