"""Serves the sample shop on loopback and runs workers to scan it: for the demo, the captures and the bench."""

from __future__ import annotations

import os
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
DATA: Final = Path(".cache/demo")
"""Where the demo keeps its Redis's data and the shop's port, for the board."""
ENVIRONMENT: Final = "demo"
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


def environment(redis_url: str) -> dict[str, str]:
    """Return the environment of the demo's programs; settings of other programs on this machine are unset."""
    return {
        **os.environ,
        "REDIS_URL": redis_url,
        "REDIS_PASSWORD_FILE": "",  # empty is unset
        "METRICS_PORT": "",
        "LOG_FORMAT": "console",
        "ENVIRONMENT": ENVIRONMENT,
        "SCAN_ALLOW_PRIVATE": "1",
        "HOST_PLACES": "8",  # the shop is on this machine: no need to be gentle
        "CHAT_MODEL": "builtin",
        "EMBEDDING_MODEL": "builtin",
    }


@contextmanager
def served(folder: Path = SITE, *, port: int = 0) -> Generator[str]:
    """Serve ``folder`` on loopback; yields its address with a trailing slash. Port 0 chooses a free one.

    Raises ``OSError`` if the port is in use.
    """
    handler = partial(_QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        # Its end waits for the next look: by default half a second.
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.05), daemon=True)
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
