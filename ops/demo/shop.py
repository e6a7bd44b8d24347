"""Serves the sample shop on loopback and runs workers to scan it: for the demo, the captures and the bench."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

SITE: Final = Path(__file__).parent / "site"
PAGES: Final = (
    "index.html",
    "teas.html",
    "kettle.html",
    "offers.html",
    "delivery.html",
    "journal.html",
    "visit.html",
    "account.html",
    "checkout.html",
    "story.html",
    "repaired/kettle.html",
    "repaired/checkout.html",
)


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class names it so
        """Log nothing: the terminal belongs to the calling program."""


@contextmanager
def served(folder: Path = SITE) -> Generator[str]:
    """Serve ``folder`` on a free loopback port; yields its address with a trailing slash."""
    handler = partial(_QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def workers(count: int, environment: Mapping[str, str]) -> Generator[None]:
    """Run workers until the end of the block; their output is discarded."""
    quiet = subprocess.DEVNULL
    command = [sys.executable, "-m", "worker"]
    running = [subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
