"""Ctrl-C while the command line waits for Redis."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from producer.cli.connect import with_client
from producer.client.client import Client


@contextmanager
def handling(how: Any) -> Generator[None]:
    """Handle SIGINT like ``how`` inside the block."""
    before = signal.signal(signal.SIGINT, how)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


async def press_ctrl_c(_: Client) -> str:
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(0.05)  # the loop's handler runs in its next round
    return "went on"


def test_ctrl_c_ends_a_command() -> None:
    with handling(signal.default_int_handler), pytest.raises(KeyboardInterrupt):
        with_client(press_ctrl_c)


def test_a_command_started_in_a_shell_s_background_leaves_ctrl_c_to_the_foreground() -> None:
    ended = "by Ctrl-C"
    with handling(signal.SIG_IGN), suppress(KeyboardInterrupt):
        ended = with_client(press_ctrl_c)

    assert ended == "went on"
