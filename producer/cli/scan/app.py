"""``--start``: the application whose pages are scanned, started before the run and ended with it (``guard.py``)."""

from __future__ import annotations

import contextlib
import http.client
import os
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

from producer.cli.ci import ci_system, say
from producer.cli.scan.by_file import Start
from producer.errors import ServiceError, os_reason
from producer.reports.plain_text import one_line

GUARD: Final = Path(__file__).with_name("guard.py")
_ASKS_EVERY_S: Final = 0.1
_ANSWER_S: Final = 5.0
"""Timeout of one request; a page that is still being compiled is requested again later."""
_LAST_LINES: Final = 10
_LAST_BYTES: Final = 8_000
_OK: Final = range(200, 404)
"""Statuses of an application that is up, including those that ask for a login. 404 means that it is not built yet."""


class Application:
    """A started application."""

    def __init__(self, command: str, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        self.command = command
        self._process = process
        self._log = log

    def why_dead(self) -> str | None:
        """Return how it exited and its last lines, None while it runs."""
        code = self._process.poll()
        return None if code is None else f"{self.command!r} has ended with {code}{self.last_lines()}"

    def last_lines(self) -> str:
        """Return its last output in one line, after a colon."""
        size = os.fstat(self._log.fileno()).st_size
        start = max(size - _LAST_BYTES, 0)
        lines = os.pread(self._log.fileno(), _LAST_BYTES, start).decode(errors="replace").splitlines()[-_LAST_LINES:]
        text = " | ".join(filter(None, map(one_line, lines)))
        return f"; its last lines: {text}" if text else "; it has written nothing"


@contextlib.contextmanager
def started(start: Start, variables: Mapping[str, str]) -> Generator[Application | None]:
    """Start it, wait until it answers, yield it, stop it; yields None if something already answers, which is then used.

    Raises ``ServiceError`` if the application exits or does not answer in time, and in CI if something already answers,
    since it may serve something else.
    """
    if (status := _status(start.url)) in _OK:
        if ci_system(variables):
            msg = f"something already answers at {start.url}, where {start.command!r} should: it may be another site"
            raise ServiceError(f"{msg}; stop it, or use another port")
        _say(f"{start.url} already answers: {start.command!r} is not started")
        yield None
        return
    with tempfile.TemporaryFile() as log, _running(start, log) as application:
        _say(f"started {start.command!r}, waiting for {start.url}")
        _await_answer(start, application, status)
        yield application


@contextlib.contextmanager
def _running(start: Start, log: IO[bytes]) -> Generator[Application]:
    try:
        process = subprocess.Popen(  # noqa: S603  our own program
            [sys.executable, "-I", str(GUARD), start.command],
            cwd=start.folder,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C goes to this program only, which then ends the application
        )
    except OSError as error:
        raise ServiceError(f"cannot start {start.command!r}: {os_reason(error)}") from None
    try:
        yield Application(start.command, process, log)
    finally:
        if process.stdin:
            process.stdin.close()
        process.wait()


def _await_answer(start: Start, application: Application, status: int) -> None:
    until = time.monotonic() + start.timeout_s
    while status not in _OK:
        if (why := application.why_dead()) is not None:
            raise ServiceError(f"{why}; {start.url} never answered")
        if time.monotonic() > until:
            said = f"answers with {status}" if status else "does not answer"
            msg = f"{start.url} {said} {start.timeout_s:g} s after the start of {start.command!r}"
            raise ServiceError(f"{msg}{application.last_lines()}")
        time.sleep(_ASKS_EVERY_S)
        status = _status(start.url)


def _status(url: str) -> int:
    """Return the HTTP status at ``url``, 0 without an answer; ignores certificates and proxies."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "https":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=_ANSWER_S, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_S)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("GET", path, headers={"User-Agent": "sightline", "Connection": "close"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _say(text: str) -> None:
    say(one_line(text, limit=400))
