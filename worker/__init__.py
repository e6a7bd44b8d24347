"""The worker: claims jobs from the stream, runs the agent, commits the results. Start at ``__main__.py``."""

from __future__ import annotations

import sys


def command() -> list[str]:
    """Return the command that runs one worker: ``sightline``, since the folder may have a module of the same name."""
    return [sys.executable, "-m", *(("worker",) if __name__ == "worker" else ("sightline", "worker"))]
