"""Serves a batch's report in every format: the output of ``sightline result`` in a separate process, streamed.

A report of 10,000 pages occupies a processor for a minute; in this process it would delay live updates.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from asyncio import SubprocessTransport
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import IO, Any, Final, cast

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from producer.errors import ServiceError
from producer.reports.formats import FORMATS, load_report
from producer.reports.plain_text import one_line
from producer.settings import ClientSettings
from producer.web.desk import REPORTS, Desk
from producer.web.names import batch_asked

CHUNK: Final = 64 * 1024
WAIT_S: Final = 3.0
FIRST_S: Final = 15.0
"""Wait for the first byte or a failure, which is then shown as a page; a slower report is sent once it starts."""
_WHOLE: Final = range(5)
"""Exit codes of ``result`` that come with a whole report: 0 to 4, by what it says of the pages."""
_FILE: Final = "/dev/stdout"
"""A file, which ``result`` opens once it has read all pages: without one it prints JSON lines until it fails."""
SEND_S: Final = 300.0
"""Time for the client to take one part of a report; one that has stopped reading must not keep others from theirs."""
_PROGRAM: Final = "from sightline.__main__ import main; main()"
_TYPES: Final = {"html": "text/html", "json": "application/json", "csv": "text/csv", "junit": "application/xml"}


async def report(desk: Desk, request: Request) -> Response:
    """Return the batch's report in one of the formats."""
    name, form = batch_asked(request), str(request.path_params["format"])
    load_report(form)
    await desk.client.batch(name)
    kind = _TYPES.get(form, "text/plain")
    headers = {"Content-Disposition": f'attachment; filename="{name}-{FORMATS[form]}"'}
    media = f"{kind}; charset=utf-8"
    if request.method == "HEAD":
        return Response(media_type=media, headers=headers)
    return _Sent(await _begin(desk, name, form), media, headers)


@dataclass(slots=True)
class _Made:
    """A report being written: its process, and the beginning of its output."""

    process: Process
    said: IO[bytes]
    slots: asyncio.Semaphore
    first: asyncio.Task[bytes]

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Yield the report; raises ``ServiceError`` if its process broke off, so that no part looks like the whole."""
        chunk = await self.first
        while chunk:
            yield chunk
            chunk = await self._read()
        if (code := await self.process.wait()) not in _WHOLE:
            raise ServiceError(f"the report broke off: its process ended with {code}")

    async def _read(self) -> bytes:
        return await self.process.stdout.read(CHUNK) if self.process.stdout else b""

    def end(self) -> None:
        """Kill the process, unless it has ended, and let the next report begin. Does not wait."""
        # Process has no close(): a pipe that was not read to its end would be left to the garbage collector.
        transport: SubprocessTransport = cast("Any", self.process)._transport  # noqa: SLF001  see above
        transport.close()
        self.first.cancel()
        self.said.close()
        self.slots.release()


class _Sent(StreamingResponse):
    """A response that ends its report's process, however the response ends.

    If the client has disconnected, the stream may never begin, and nothing may be awaited when it ends.
    """

    def __init__(self, made: _Made, media: str, headers: dict[str, str]) -> None:
        super().__init__(made.chunks(), media_type=media, headers=headers)
        self._made = made

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the report; leaves it incomplete, which ends the connection, if the client does not take it in time."""

        async def sending(message: Message) -> None:
            async with asyncio.timeout(SEND_S):
                await send(message)

        try:
            with contextlib.suppress(TimeoutError):
                await super().__call__(scope, receive, sending)
        finally:
            self._made.end()


async def _begin(desk: Desk, name: str, form: str) -> _Made:
    """Start the report; raises ``ServiceError`` if it fails before its first byte."""
    try:
        async with asyncio.timeout(WAIT_S):
            await desk.reports.acquire()
    except TimeoutError:
        raise ServiceError(f"{REPORTS} reports are being written now: try again in a minute") from None
    said = tempfile.TemporaryFile()  # noqa: SIM115  closed by ``_Made.end``
    words = ("result", name, "--format", f"{form}={_FILE}", "--no-config", "--fail-on", "never")
    try:
        environment = environment_of(desk.client.settings)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-c", _PROGRAM, *words, stdin=DEVNULL, stdout=PIPE, stderr=said, env=environment
        )  # fmt: skip
    except BaseException:
        said.close()
        desk.reports.release()
        raise
    assert process.stdout is not None  # noqa: S101  a pipe was asked for
    made = _Made(process, said, desk.reports, asyncio.create_task(process.stdout.read(CHUNK)))
    try:
        await asyncio.wait([made.first], timeout=FIRST_S)
        why = await _why(made) if made.first.done() and not made.first.result() else ""
    except BaseException:
        made.end()
        raise
    if why:
        made.end()
        raise ServiceError(why)
    return made


async def _why(made: _Made) -> str:
    """Return why there is no report; the process has ended."""
    await made.process.wait()
    made.said.seek(0)
    why = one_line(made.said.read(4_000).decode("utf-8", "replace"), limit=1_000)
    return why or "the report could not be written: 'sightline result' says why"


def environment_of(settings: ClientSettings) -> dict[str, str]:
    """Return this process's environment with the Redis that it uses."""
    own = {"REDIS_URL": settings.redis_url, "ENVIRONMENT": settings.environment, "COLUMNS": "120", "NO_COLOR": "1"}
    return {**os.environ, **own}
