"""Runs ``python -m module …`` without a second of imports: forked from a process that has them.

A quarter of the time of the suite's programs was their start. The result is a separate process in everything that tests
observe: pid, signals, exit code, descriptors, environment. Only the imported modules differ, so tests of start-up, of
Python's options or of another tree start their programs as usual: see ``may_be_warm``. With ``COLD_STARTS=1`` all
programs are started as usual.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, AnyStr, Final

from producer.cli import main

ROOT: Final = Path(__file__).resolve().parents[2]
CLIENT: Final = "producer.cli.main"
_SUPPORT: Final = ("tests.support.gpu_worker", "tests.support.ollama_server", "tests.support.worker_program")
MODULES: Final = frozenset({CLIENT, "worker", *_SUPPORT})
OF_THE_START: Final = ("PYTHON", "LC_", "LANG")
"""Variables that the interpreter reads when it starts."""
OPTIONS: Final = frozenset({"stdin", "stdout", "stderr", "text"})
"""Of ``Popen``; what others ask for is done between fork and exec."""


def may_be_warm(module: str, environment: Mapping[str, str], folder: Path) -> bool:
    """Return whether the program behaves the same when it is forked."""
    own = {**os.environ, "PYTHONPATH": str(ROOT)}
    given = {name: value for name, value in environment.items() if name.startswith(OF_THE_START)}
    is_usual = all(own.get(name) == value for name, value in given.items())
    return is_usual and folder == ROOT and module in MODULES and not os.environ.get("COLD_STARTS")


def start_module(
    module: str,
    *words: str,
    environment: Mapping[str, str],
    folder: Path = ROOT,
    warm: bool = True,
    **options: Any,
) -> subprocess.Popen[Any]:
    """Start ``python -m module words…`` in ``folder``, forked if it ``may_be_warm``; ``options`` are ``Popen``'s."""
    command = [sys.executable, "-m", module, *words]
    is_warm = warm and set(options) <= OPTIONS and may_be_warm(module, environment, folder)
    return (WarmPopen if is_warm else subprocess.Popen)(command, cwd=folder, env=environment, **options)


class WarmPopen(subprocess.Popen[AnyStr]):
    """A ``Popen`` of ``[python, "-m", module, …]`` whose process is a fork, and child, of the warm one."""

    _ended: int
    """A pipe that holds the exit code once there is one."""

    def _execute_child(self, args: Sequence[str], *options: Any) -> None:
        environment, pipes = options[5], options[9:15]
        p2cread, _, _, c2pwrite, _, errwrite = pipes
        _, _, module, *words = args
        request = {"module": module, "words": words, "environment": dict(environment)}
        is_client = module == CLIENT and set(words[:1]).isdisjoint(main._WORKER_COMMANDS)
        given = [own if one == -1 else one for own, one in enumerate((p2cread, c2pwrite, errwrite))]
        self._ended, ended = os.pipe()
        weakref.finalize(self, os.close, self._ended)
        try:
            self.pid = _WARM[is_client].start(request, [*given, ended])
        finally:
            os.close(ended)
        self._child_created = True
        self._close_pipe_fds(*pipes)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  # of CPython's Popen

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code; raises ``TimeoutExpired``."""
        ready = select.poll()
        ready.register(self._ended, select.POLLIN)
        is_known = self.returncode is not None  # pyright: ignore[reportUnnecessaryComparison]  # None until it is known
        if not is_known and not ready.poll(None if timeout is None else max(timeout, 0) * 1000):
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        with self._waitpid_lock:  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
            if self.returncode is None:  # pyright: ignore[reportUnnecessaryComparison]
                self.returncode = int(os.read(self._ended, 100))
        return self.returncode

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None


class _WarmProcess:
    """The process to fork from: started at its first use, ended with this one."""

    def __init__(self, *packages: str) -> None:
        self._packages = packages
        self._lock = threading.Lock()
        self._requests: socket.socket | None = None

    def start(self, request: Mapping[str, Any], descriptors: Sequence[int]) -> int:
        """Return the id of the new process."""
        with self._lock:
            if self._requests is None:
                self._requests = self._started()
            socket.send_fds(self._requests, [json.dumps(request).encode()], descriptors)
            reply = self._requests.recv(100)
        assert reply, "the warm process has ended: its last words are in pytest's standard error"
        return int(reply)

    def _started(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
            command = [sys.executable, "-m", "tests.support.warm_process", str(theirs.fileno()), *self._packages]
            process = subprocess.Popen(command, cwd=ROOT, env=environment, pass_fds=[theirs.fileno()])
        atexit.register(process.wait)
        atexit.register(ours.close)  # which ends it; registered last, called first
        return ours


_WARM: Final = {True: _WarmProcess("producer"), False: _WarmProcess("producer", "worker")}
"""By whether it is for commands of the client alone: a small process is forked in a quarter of the time."""
