"""Keeps worker processes running, for ``sightline worker --processes N`` and ``sightline up``.

Owns the children's lives: start, restart with back-off, passing signals on, waiting for the end. Each child is an
ordinary worker that knows nothing of the others; what they share is in Redis, and the memory of what this process has
imported before it forks them (ops/decisions/0046-workers-are-forked.md). On SIGKILL of this process the children get
SIGTERM (``worker/own_redis/lifeline.py``), so they never outlive it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from multiprocessing.process import BaseProcess
from typing import Final

import structlog

from producer.errors import InputError, SightlineError
from worker.own_redis.lifeline import end_with

log = structlog.get_logger()

FORKS: Final = sys.platform == "linux"
"""Whether a child starts with what this process has imported; elsewhere a fork is not safe, and it imports itself."""
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
LONG_LIFE_S: Final = 60.0
"""A child that lived this long is restarted after the first pause again."""
_LOOK_EVERY_S: Final = 0.1
_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)


def keep_processes(
    run: Callable[[int], int], count: int, *, burst: bool = False, look: Callable[[], None] | None = None
) -> int:
    """Run ``count`` children until SIGTERM or SIGINT, and return the exit code; without children, until a signal.

    A child runs ``run`` with its number, from 0, and exits with what that returns, or with the exit code of the
    ``SightlineError`` that it raises. Elsewhere than on Linux ``run`` must be something that pickle can name. ``look``
    is called every 0.1 s meanwhile.

    A child that fails is restarted, after a pause that doubles while it dies young; with ``burst`` only one that a
    signal killed. One that ends with 0 was drained, or stopped by hand. A child that ends with the code of
    ``InputError``, such as a setting that cannot be used, ends all, as restarting cannot help: that code is returned.
    Otherwise it is ``first_failure`` of the children that were not restarted.
    """
    children = [_Child(run, number) for number in range(count)]
    signals: list[int] = []
    before = {one: signal.signal(one, lambda number, _: signals.append(number)) for one in _STOPPING}
    try:
        for child in children:
            child.start()
        _keep(children, signals, burst=burst, look=look)
    finally:
        for child in children:
            child.terminate()
        codes = [child.wait() for child in children]
        for one, handler in before.items():
            signal.signal(one, handler)
    if InputError.exit_code in codes:
        return InputError.exit_code
    return first_failure(codes)


def _keep(children: list[_Child], signals: list[int], *, burst: bool, look: Callable[[], None] | None) -> None:
    """Restart children and pass signals on until all have ended for good."""
    passed_on = 0
    while True:
        if look is not None:
            look()
        for _ in signals[passed_on:]:
            passed_on += 1
            for child in children:
                child.terminate()  # once per signal: a worker's second one ends its grace period
        are_kept = [child.look(burst=burst, is_ending=bool(signals)) for child in children]
        if not any(are_kept) and (children or signals):
            return
        if not signals and any(child.code == InputError.exit_code for child in children):
            signals.append(signal.SIGTERM)
        time.sleep(_LOOK_EVERY_S)


def first_failure(codes: Iterable[int]) -> int:
    """Return the first code other than 0; a child that SIGTERM killed before it could handle the signal has not failed.

    Pure.
    """
    return next((code for code in codes if code not in {0, -signal.SIGTERM}), 0)


class _Child:
    """One child and its restarts."""

    def __init__(self, run: Callable[[int], int], number: int) -> None:
        self.code: int | None = None
        """Its exit code, if it ended and is not restarted."""
        self._run = run
        self._number = number
        self._process: BaseProcess | None = None
        self._started_at = 0.0
        self._starts_at: float | None = None
        self._pause_s = FIRST_PAUSE_S

    def start(self) -> None:
        """Start it in a new session, so that Ctrl-C reaches this process only, which passes it on once."""
        context = multiprocessing.get_context("fork") if FORKS else multiprocessing.get_context("spawn")
        process = context.Process(target=_run_child, args=(self._run, self._number, os.getpid()))
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)  # until the child has reset its handlers
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
        self._process, self._started_at, self._starts_at = process, time.monotonic(), None
        log.info("process.started", number=self._number + 1, pid=process.pid)

    def look(self, *, burst: bool, is_ending: bool) -> bool:
        """Restart it if it has ended and its pause is over; False once it ended for good."""
        if self.code is not None:
            return False
        if self._process is None:
            if is_ending:
                self.code = 0
            elif self._starts_at is not None and time.monotonic() >= self._starts_at:
                self.start()
            return not is_ending
        code = self._process.exitcode
        if code is None:
            return True
        self._release()
        if is_ending or code in {0, InputError.exit_code} or (burst and code >= 0):
            self.code = code
            return False
        if time.monotonic() - self._started_at >= LONG_LIFE_S:
            self._pause_s = FIRST_PAUSE_S
        self._starts_at = time.monotonic() + self._pause_s
        log.warning("process.died", number=self._number + 1, exit_code=code, restarted_in_s=self._pause_s)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        return True

    def terminate(self) -> None:
        """Send SIGTERM, unless it has ended."""
        if self._process is not None:
            self._process.terminate()

    def wait(self) -> int:
        """Return its exit code once it has ended; 0 if it waited for a restart."""
        if self._process is not None:
            self._process.join()
            self.code = self._process.exitcode
            self._release()
        return self.code or 0

    def _release(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None


def _run_child(run: Callable[[int], int], number: int, parent: int) -> None:
    """Run a child to its end, in the child."""
    for one in _STOPPING:
        signal.signal(one, signal.SIG_DFL)
    os.setsid()
    end_with(parent)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
    try:
        code = run(number)
    except SightlineError as error:
        print(f"sightline: {error}", file=sys.stderr)  # noqa: T201  the user's answer, not a log
        code = error.exit_code
    sys.exit(code)
