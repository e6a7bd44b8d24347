"""Runs ``make board``: the pages of ``sightline web`` on the results of the last ``make demo``, until Ctrl-C.

It starts the Redis with the demo's data, the shop on the port that it had, a worker for what is asked and scanned on
the board, and ``sightline web`` with its usual address. Everything is stopped at the end.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import ExitStack
from typing import Final
from urllib.parse import urlsplit

from shop import DATA, environment, served, workers

from producer.errors import SightlineError
from worker.own_redis.server import EmbeddedRedis

BOARD: Final = ("-m", "producer.cli.main", "web")


def board(options: list[str]) -> int:
    """Serve the board until a signal; ``options`` are those of ``sightline web``. Returns the exit code."""
    if not (DATA / "shop").is_file():
        print("board: there are no results yet: run 'make demo' first", file=sys.stderr)
        return 1
    with ExitStack() as stack:
        redis = stack.enter_context(EmbeddedRedis(DATA / "redis", die_with_parent=True))
        try:
            stack.enter_context(served(port=urlsplit((DATA / "shop").read_text()).port or 0))
        except OSError:
            print("board: another program has the shop's port: links to its pages do not work", file=sys.stderr)
        env = environment(redis.url)
        stack.enter_context(workers(1, env))
        web = subprocess.Popen([sys.executable, *BOARD, *options], env=env)
        is_stopped = False

        def stop(*_: object) -> None:
            nonlocal is_stopped
            is_stopped = True
            web.terminate()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        code = web.wait()
        return 0 if is_stopped else code


def main() -> int:
    """Serve the board; returns the exit code."""
    try:
        return board(sys.argv[1:])
    except SightlineError as error:
        print(f"board: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
