"""Finds the descendants of a process and their memory, in ``/proc``."""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path


def descendants(pid: int | None = None) -> list[int]:
    """Return the living children, grandchildren and so on of ``pid`` (this process); zombies are dead."""
    children: dict[int, list[int]] = defaultdict(list)
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and (parent := _parent(folder)) is not None:
            children[parent].append(int(folder.name))
    found: list[int] = []
    waiting = [os.getpid() if pid is None else pid]
    while waiting:
        below = children[waiting.pop()]
        found += below
        waiting += below
    return found


def resident_mb(pids: list[int]) -> float:
    """Return the resident memory of the processes together."""
    return sum(_resident_pages(pid) for pid in pids) * os.sysconf("SC_PAGE_SIZE") / 2**20


async def settled(is_reached: Callable[[], bool], *, within_s: float = 30.0) -> bool:
    """Wait until ``is_reached()``; return False at the limit."""
    end_s = time.monotonic() + within_s
    while not is_reached():
        if time.monotonic() > end_s:
            return False
        await asyncio.sleep(0.05)
    return True


def command_of(pid: int) -> bytes:
    """Return the process's command line, each word ended by a zero byte; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def until_within(is_reached: Callable[[], bool], *, seconds: float, every_s: float = 0.05) -> None:
    """Return as soon as ``is_reached()``, asked ``every_s``; fail after ``seconds``."""
    end_s = time.monotonic() + seconds
    while not is_reached():
        assert time.monotonic() < end_s, f"not reached within {seconds:g} s"
        time.sleep(every_s)


def all_gone(pids: list[int], *, within_s: float) -> bool:
    """Wait until none of the processes runs any more; return False at the limit."""
    end_s = time.monotonic() + within_s
    while time.monotonic() < end_s:
        if not any(_parent(Path(f"/proc/{pid}")) is not None for pid in pids):
            return True
        time.sleep(0.05)
    return False


def _parent(folder: Path) -> int | None:
    try:
        state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return None
    return None if state == "Z" else int(parent)


def _resident_pages(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
