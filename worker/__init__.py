"""The worker: claims jobs from the stream, runs the agent, commits the results. Start at ``__main__.py``."""

from __future__ import annotations

import sys


def command() -> list[str]:
    """Return the command that runs one worker: ``sightline``, since other distributions may have a module ``worker``.

    Without ``-P`` Python would first import from the current folder, which is the user's: a module ``redis``
    there would replace the library's.
    """
    return [sys.executable, "-P", "-m", *(("worker",) if __name__ == "worker" else ("sightline", "worker"))]
