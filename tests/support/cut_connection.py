"""Cuts connections to Redis within a pipeline, as a failing network does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from redis.asyncio import Redis


@asynccontextmanager
async def cut_before(redis: Redis, command: bytes) -> AsyncGenerator[Redis]:
    """A client of the same server; its connections are cut before the first ``command``."""
    known = redis.connection_pool.connection_kwargs

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                before, found, _ = data.partition(command)
                writer.write(before)
                await writer.drain()
                if found:
                    break
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        replies, commands = await asyncio.open_connection(known["host"], known["port"])
        back = asyncio.create_task(pass_on(replies, writer))
        await pass_on(reader, commands)
        await back

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server, Redis(port=server.sockets[0].getsockname()[1]) as through:
        yield through
