"""Records which lines and scripts each test reaches, in pytest's process and in those it starts; read by ``reach.py``.

Loaded only in the copies of ``random_mutants.py``: as a plugin of pytest, and at the end of the copied
``producer/__init__.py``, as every program of ours imports it. A line is written when it is first run, so that a killed
process has left its record. Imports the standard library alone: a program's start must not change by it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, Protocol

ROOT: Final = Path(__file__).resolve().parents[2]
RECORDS: Final = ROOT / ".reach"
CURRENT: Final = RECORDS / "current"
ENDING: Final = """

import sys

if "pytest" not in sys.modules:
    sys.path.append({root!r})
    import tests.mutants.recorder

    tests.mutants.recorder.RECORDER.join()
"""

Trace = Callable[[FrameType, str, Any], Any]


def ending(root: Path) -> str:
    """Return the code added to ``producer/__init__.py`` of the copy ``root``, so that programs record too."""
    return ENDING.format(root=str(root))


class _Report(Protocol):
    @property
    def failed(self) -> bool: ...


class Recorder:
    """Traces this process; the record of a test is a file of its lines: ``path:line``, ``lua:name``, and its end."""

    def __init__(self) -> None:
        self._folders = tuple(f"{ROOT}/{folder}/" for folder in ("worker", "producer"))
        self._traces: dict[CodeType, Trace | None] = {}
        self._written: set[str] = set()
        self._file = -1
        self._began = 0.0

    def begin(self, test: str, number: int) -> None:
        """Record for ``test`` from now on, here and in processes started from here."""
        record = RECORDS / f"{number}.txt"
        record.write_text(f"{test}\n", "utf-8")
        CURRENT.write_text(record.name, "utf-8")
        self._began = time.monotonic()
        self.join()

    def join(self) -> None:
        """Record for the test that runs now."""
        before, self._file = self._file, os.open(RECORDS / CURRENT.read_text("utf-8"), os.O_WRONLY | os.O_APPEND)
        self._written.clear()
        if before >= 0:
            os.close(before)
        threading.settrace(self._called)
        sys.settrace(self._called)

    def end(self) -> None:
        """Write how long the test has taken."""
        sys.settrace(None)
        self.write(f"took:{time.monotonic() - self._began:.3f}")

    def write(self, what: str) -> None:
        """Write it once for a test."""
        if what not in self._written:
            self._written.add(what)
            with contextlib.suppress(OSError):  # a thread of the test before, whose file has just been closed
                os.write(self._file, f"{what}\n".encode())

    def _called(self, frame: FrameType, event: str, argument: object) -> Trace | None:
        del event, argument
        code = frame.f_code
        if code not in self._traces:
            arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            trace = self._script if "script" in arguments else self._line
            self._traces[code] = trace if code.co_filename.startswith(self._folders) else None
        return self._traces[code]

    def _script(self, frame: FrameType, event: str, argument: object) -> Trace:
        name = getattr(frame.f_locals.get("script"), "name", "")
        self.write(f"lua:{name}")
        return self._line(frame, event, argument)

    def _line(self, frame: FrameType, event: str, argument: object) -> Trace:
        del argument
        if event == "line":
            self.write(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        return self._line


RECORDER: Final = Recorder()
_numbers = iter(range(1_000_000))


def pytest_runtest_logstart(nodeid: str) -> None:
    RECORDER.begin(nodeid, next(_numbers))


def pytest_runtest_logreport(report: _Report) -> None:
    if report.failed:
        RECORDER.write("failed:")


def pytest_runtest_logfinish() -> None:
    RECORDER.end()
