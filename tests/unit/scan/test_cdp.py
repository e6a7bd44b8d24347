"""The pipe to the browser is closed cleanly, whatever ended its reader."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from worker.scan.cdp import BrowserGone, Connection, JsonObject


class Nowhere:
    """The writing end of a pipe that nobody reads."""

    @property
    def transport(self) -> Nowhere:
        return self

    def is_closing(self) -> bool:
        return False

    def write(self, _: bytes) -> None: ...

    def abort(self) -> None: ...

    async def wait_closed(self) -> None: ...


async def test_a_handler_that_raises_ends_the_calls_and_the_connection_is_closed_and_the_error_is_logged():
    def stumble(_: str, __: JsonObject) -> None:
        msg = "an event of another shape"
        raise KeyError(msg)

    reader = asyncio.StreamReader()
    connection = Connection(reader, cast("Any", Nowhere()))
    connection.listen("", stumble)
    waiting = connection.post("Browser.getVersion")

    reader.feed_data(b'{"method": "Target.attachedToTarget"}\0')

    with capture_logs() as logs, pytest.raises(BrowserGone):
        await asyncio.wait_for(waiting, 5)
    await connection.close()
    assert connection.closed.is_set()
    assert [(entry["event"], entry["task"]) for entry in logs] == [("background.failed", "cdp-pump")]
    assert isinstance(logs[0]["exc_info"], KeyError)


async def test_a_browser_that_reads_nothing_does_not_keep_its_connection_open() -> None:
    silent = "import signal; signal.pause()"
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", silent, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    connection = Connection(process.stdout, process.stdin)
    waiting = connection.post("Runtime.evaluate", {"expression": "x" * 2**22})

    try:
        await asyncio.wait_for(connection.close(), 20)
    finally:
        process.kill()
        await process.wait()

    with pytest.raises(BrowserGone):
        await waiting
