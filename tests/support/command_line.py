"""Runs ``sightline`` as people and pipelines do: to completion, in the background, or in a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping
from typing import Any, Final, Protocol

from tests.support.warm_start import start_module

SIGHTLINE: Final = "producer.cli.main"
DEADLINE_S: Final = 100.0
"""Time limit for a program to end."""


class Call(Protocol):
    """Runs ``sightline`` on the test's keys to completion; further variables are given by name."""

    def __call__(self, *words: str, given: str = ..., **variables: str) -> subprocess.CompletedProcess[str]: ...


class StartProgram(Protocol):
    """Starts ``sightline`` on the test's keys; ``options`` are those of ``start_module``."""

    def __call__(
        self, *words: str, variables: Mapping[str, str] | None = ..., **options: Any
    ) -> subprocess.Popen[str]: ...


def run_module(
    environment: Mapping[str, str], module: str, *words: str, given: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run one of the product's programs to completion with ``given`` on stdin; fails if it prints a traceback."""
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with start_module(module, *words, environment=environment, text=True, **pipes) as process:
        try:
            out, err = process.communicate(given, timeout=DEADLINE_S)
        except BaseException:
            process.kill()
            raise
    assert "Traceback" not in err
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def run_sightline(environment: Mapping[str, str], *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command line to completion."""
    return run_module(environment, SIGHTLINE, *words, given=given)


def start_sightline(environment: Mapping[str, str], *words: str, **options: Any) -> subprocess.Popen[str]:
    """Start the command line; its output goes to pipes unless ``options`` say otherwise."""
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return start_module(SIGHTLINE, *words, environment=environment, text=True, **{**pipes, **options})


def drawn_by_sightline(environment: Mapping[str, str], *words: str, columns: int = 80) -> tuple[int, str]:
    """Run the command line in a terminal; return its exit code and its output, escapes included."""
    ours, theirs = open_terminal(columns)
    process = start_sightline(environment, *words, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        drawn = read_terminal(ours)
        return process.wait(DEADLINE_S), drawn.decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def open_terminal(columns: int = 80) -> tuple[int, int]:
    """Open a terminal of 24 lines; return the test's end and the program's."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    return ours, theirs


def read_terminal(descriptor: int, *, until: bytes = b"") -> bytes:
    """Read a terminal's output until ``until`` appears; without it, to the end."""
    seen = b""
    while not (until and until in seen):
        try:
            piece = os.read(descriptor, 65_536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not piece:
            break
        seen += piece
    return seen
