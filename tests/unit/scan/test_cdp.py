"""The pipe to the browser is closed cleanly, whatever ended its reader."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from worker.scan.cdp import BrowserGone, Connection, JsonObject


class Nowhere:
    """The writing end of a pipe that nobody reads."""

    def write(self, _: bytes) -> None: ...

    def close(self) -> None: ...

    async def wait_closed(self) -> None: ...


async def test_a_handler_that_raises_ends_the_calls_and_the_connection_is_closed():
    def stumble(_: str, __: JsonObject) -> None:
        msg = "an event of another shape"
        raise KeyError(msg)

    reader = asyncio.StreamReader()
    connection = Connection(reader, cast("Any", Nowhere()))
    connection.listen("", stumble)
    waiting = connection.post("Browser.getVersion")

    reader.feed_data(b'{"method": "Target.attachedToTarget"}\0')

    with pytest.raises(BrowserGone):
        await asyncio.wait_for(waiting, 5)
    await connection.close()
    assert connection.closed.is_set()
