"""Ties a program to this process: it ends when this process does, whatever ends it, SIGKILL included.

A shell waits beside the program for the end of a pipe that only this process holds. It is there before the program is,
so that no death falls between the two. Both are in one process group, whose number no other process can get while the
shell lives: it never ends a stranger. PR_SET_PDEATHSIG would be one process less, but fires when the *thread* that
started the program ends, and only Linux has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

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
"""The shell's parent ends at once: the program has no child that it did not start."""


def tied(command: Sequence[str], *, remove: Path | None = None) -> list[str]:
    """Return the command to start instead, with a pipe as its input and a session of its own.

    The process that starts is the program itself, by number and exit code. When the pipe ends it gets SIGTERM, and
    SIGKILL 5 s later; then the folder ``remove`` is removed. Close the pipe once the program has ended.
    """
    return ["/bin/sh", "-c", _TIED, "sh", str(remove or ""), *command]
