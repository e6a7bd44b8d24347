"""Keeps several worker processes running: ``sightline worker --processes N``.

Owns the children's lives: start, restart with back-off, passing signals on, waiting for the end. Each child is an
ordinary worker that knows nothing of the others; what they share is in Redis. On SIGKILL of this process the children
get SIGTERM (``worker/own_redis/lifeline.py``), so they never outlive it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from producer.errors import InputError
from worker.own_redis.lifeline import tied

log = structlog.get_logger()

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
LONG_LIFE_S: Final = 60.0
"""A child that lived this long is restarted after the first pause again."""
_LOOK_EVERY_S: Final = 0.1


@dataclass(frozen=True)
class ChildCommand:
    """The command of one child; ``env`` replaces this process's environment."""

    arguments: Sequence[str]
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


def keep_processes(commands: Sequence[ChildCommand], *, burst: bool = False) -> int:
    """Run one child per command until SIGTERM or SIGINT, and return the exit code.

    A child that fails is restarted, after a pause that doubles while it dies young; with ``burst`` only one that a
    signal killed. One that ends with 0 was drained, or stopped by hand. A child that ends with the code of
    ``InputError``, such as a setting that cannot be used, ends all, as restarting cannot help: that code is returned.
    Otherwise it is ``first_failure`` of the children that were not restarted.
    """
    children = [_Child(number, command) for number, command in enumerate(commands, start=1)]
    stopping: list[int] = []

    def pass_on(signum: int, _: object) -> None:
        stopping.append(signum)
        for child in children:
            child.terminate()  # once per signal: a worker's second one ends its grace period

    before = {one: signal.signal(one, pass_on) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        for child in children:
            child.start()
        while not stopping:
            are_kept = [child.look(burst=burst) for child in children]
            if not any(are_kept) or any(child.code == InputError.exit_code for child in children):
                break
            time.sleep(_LOOK_EVERY_S)
    finally:
        for child in children:
            child.end()
        codes = [child.wait() for child in children]
        for one, handler in before.items():
            signal.signal(one, handler)
    if InputError.exit_code in codes:
        return InputError.exit_code
    return first_failure(codes)


def first_failure(codes: Iterable[int]) -> int:
    """Return the first code other than 0; a child that SIGTERM killed before it could handle the signal has not failed.

    Pure.
    """
    return next((code for code in codes if code not in {0, -signal.SIGTERM}), 0)


class _Child:
    """One child and its restarts."""

    def __init__(self, number: int, command: ChildCommand) -> None:
        self.code: int | None = None
        """Its exit code, if it ended and is not restarted."""
        self._number = number
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._starts_at: float | None = None
        self._pause_s = FIRST_PAUSE_S
        self._is_ending = False

    def start(self) -> None:
        """Start it in a new session, so that Ctrl-C reaches this process only, which passes it on once."""
        self._process = subprocess.Popen(  # noqa: S603  our own program
            tied(self._command.arguments), env=self._command.env, stdin=subprocess.PIPE, start_new_session=True
        )
        self._started_at, self._starts_at = time.monotonic(), None
        log.info("process.started", number=self._number, pid=self._process.pid)

    def look(self, *, burst: bool) -> bool:
        """Restart it if it has ended and its pause is over; False once it ended for good."""
        if self._starts_at is not None:
            if time.monotonic() >= self._starts_at:
                self.start()
            return True
        if self.code is not None or self._process is None:
            return False
        code = self._process.poll()
        if code is None:
            return True
        self._release()
        if code in {0, InputError.exit_code} or (burst and code >= 0):
            self.code = code
            return False
        if time.monotonic() - self._started_at >= LONG_LIFE_S:
            self._pause_s = FIRST_PAUSE_S
        self._starts_at = time.monotonic() + self._pause_s
        log.warning("process.died", number=self._number, exit_code=code, restarted_in_s=self._pause_s)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        return True

    def terminate(self) -> None:
        """Send SIGTERM, unless it has ended; safe to call in a signal handler."""
        self._starts_at = None
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            self._is_ending = True

    def end(self) -> None:
        """Send SIGTERM, unless it was sent before."""
        if not self._is_ending:
            self.terminate()

    def wait(self) -> int:
        """Return its exit code once it has ended; 0 if it waited for a restart."""
        if self.code is None:
            process = self._process
            running = process is not None and process.stdin is not None and not process.stdin.closed
            self.code = process.wait() if process is not None and running else 0
            self._release()
        return self.code

    def _release(self) -> None:
        """Close the lifeline, which removes its shell."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
