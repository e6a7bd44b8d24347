"""Imports packages, then forks on request: ``python -m tests.support.warm_process FD PACKAGE…``.

A request on the Unix socket ``FD`` is a JSON object of ``module``, ``words`` and ``environment``, and four file
descriptors: the new process's standard input, output and error, and a pipe that receives its exit code, in ``Popen``'s
form. The reply is the process id. The new process does what ``python -m module words…`` does. Started by
``warm_start.py``, which decides when this may replace a real start.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import sys
import tempfile
import time
from importlib import import_module
from types import FrameType
from typing import Any, Final

MAX_REQUEST_BYTES: Final = 200_000
PROGRAMS: Final = ("producer.cli.main", "worker.__main__", "tests.support.worker_program")
"""Programs to run here, which nothing else imports."""
EXTRA: Final = "worker.models.cloud."
"""Modules that need optional packages."""
BESIDE: Final = ("jinja2", "rich.live", "rich.progress", "rich.table")
"""Modules that programs import on demand."""


def import_all(packages: list[str]) -> None:
    """Import all modules of the packages except their programs."""
    for package in map(import_module, packages):
        for one in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if one.name not in PROGRAMS and not one.name.startswith(EXTRA):
                import_module(one.name)
    for name in BESIDE:
        import_module(name)
    for name in PROGRAMS:
        sys.modules.pop(name, None)


def serve(requests: socket.socket) -> tuple[str, list[str]]:
    """Fork at each request. Returns only in the forked processes, with the module to run and its arguments."""
    running: dict[int, int] = {}
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, woken_by)
    signal.set_wakeup_fd(wake)
    with selectors.DefaultSelector() as ready:
        for source in (requests, woken):
            ready.register(source, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                if key.fileobj is not requests:
                    with contextlib.suppress(BlockingIOError):
                        os.read(woken, 4096)
                    tell_ends(running)
                    continue
                content, descriptors, _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, 4)
                if not content:
                    sys.exit()
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    os.close(woken)
                    os.close(wake)
                    return become(requests, json.loads(content), descriptors, [*running.values()])
                running[pid] = descriptors[3]
                for descriptor in descriptors[:3]:
                    os.close(descriptor)
                requests.send(str(pid).encode())


def woken_by(number: int, frame: FrameType | None) -> None:
    """Do nothing: the byte in the pipe wakes the loop."""
    del number, frame


def tell_ends(running: dict[int, int]) -> None:
    """Write the exit codes of ended processes to their pipes."""
    for pid, pipe in list(running.items()):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            with contextlib.suppress(BrokenPipeError):  # nobody waits for it
                os.write(pipe, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(running.pop(pid))


def become(
    requests: socket.socket, request: dict[str, Any], descriptors: list[int], others: list[int]
) -> tuple[str, list[str]]:
    """Replace this process's descriptors and environment by the requested ones."""
    requests.close()
    for target, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, target)
    for descriptor in {*descriptors, *others} - {0, 1, 2}:
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    tempfile.tempdir = None  # it was asked for by an import
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", buffering=1 if os.isatty(1) else -1, closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", buffering=1, errors="backslashreplace", closefd=False)
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
    return request["module"], request["words"]


if __name__ == "__main__":
    gc.disable()  # nearly all that is imported stays
    import_all(sys.argv[2:])
    gc.freeze()
    gc.enable()
    with socket.socket(fileno=int(sys.argv[1])) as opened:
        name, words = serve(opened)
    sys.argv[1:] = words
    runpy.run_module(name, run_name="__main__", alter_sys=True)
