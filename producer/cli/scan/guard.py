"""Runs a shell command in a new process group, and ends the group when standard input is closed.

Only ``app.py`` holds the other end of that pipe, so however it ends, even by SIGKILL, the application and its children
end too. Run by path in a separate interpreter; exits with the command's code.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Final

GRACE_S: Final = 5.0
"""Seconds from SIGTERM to SIGKILL."""
_LOOKS_EVERY_S: Final = 0.02


def main(command: str) -> int:
    """Run the command; returns its exit code as a shell reports it."""
    shell = subprocess.Popen(command, shell=True, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S602  the user's own command
    threading.Thread(target=_end_with_input, args=(shell,), daemon=True).start()
    os.waitid(os.P_PID, shell.pid, os.WEXITED | os.WNOWAIT)
    _signal(shell.pid, signal.SIGTERM)  # until the shell is reaped, no other process can get its group's number
    code = shell.wait()
    _end_group(shell.pid)
    return code if code >= 0 else 128 - code


def _end_with_input(shell: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1024):
        pass
    _signal(shell.pid, signal.SIGTERM)
    time.sleep(GRACE_S)
    _signal(shell.pid, signal.SIGKILL)


def _end_group(group: int) -> None:
    """Wait until the group is empty, then kill the rest: a shell may exit before its children."""
    until = time.monotonic() + GRACE_S
    while _signal(group, 0):
        if time.monotonic() > until:
            _signal(group, signal.SIGKILL)
            return
        time.sleep(_LOOKS_EVERY_S)


def _signal(group: int, number: int) -> bool:
    """Send a signal to the group; returns whether it still exists."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        return True
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
