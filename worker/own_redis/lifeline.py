"""Ties a program, or a forked child, to this process, so that it ends when this process ends, even by SIGKILL.

For a program, a shell waits for the end of a pipe that only this process holds. It starts before the program, so that
there is no gap between the two. Both are in one process group, whose number cannot be reused while the shell lives, so
no other process can be killed by mistake. A forked child shares all pipes with its siblings; a thread of it looks
whether its parent is still there. PR_SET_PDEATHSIG would need neither, but it fires when the *thread* that started the
child ends, and only Linux has it.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_LOOK_EVERY_S: Final = 0.5
_GRACE_S: Final = 5.0
_TIED: Final = """
folder=$1; shift
exec 3<&0 </dev/null
( ( read -r _ <&3
    kill "$$"
    for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$$" || break; sleep 0.5; done
    kill -9 "$$"
    sleep 0.2
    [ -z "$folder" ] || rm -rf "$folder"
  ) >/dev/null 2>&1 & )
exec "$@" 3<&-
"""
"""The shell's parent exits at once, so that the program has no unexpected child."""


def tied(command: Sequence[str], *, remove: Path | None = None) -> list[str]:
    """Return the command to start instead, with a pipe as standard input and in a new session.

    The started process is the program itself: same PID and exit code. When the pipe closes, it gets SIGTERM, SIGKILL
    5 s later, and then the folder ``remove`` is deleted. Close the pipe once the program has ended.
    """
    return ["/bin/sh", "-c", _TIED, "sh", str(remove or ""), *command]


def end_with(parent: int) -> None:
    """Have this process end after its parent, whose PID is ``parent``: SIGTERM within 0.5 s, SIGKILL 5 s later."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_EVERY_S)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE_S)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
