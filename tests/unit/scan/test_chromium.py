"""A browser that cannot be started leaves nothing behind."""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest

from worker.scan.cdp import BrowserGone
from worker.scan.chromium import Chromium, remove_stale_profiles
from worker.scan.settings import ScanSettings


def left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_a_browser_without_a_free_descriptor_is_gone_and_leaves_no_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)

    with pytest.raises(BrowserGone, match="Too many open files"):
        await Chromium.launch(Path("/bin/false"), ScanSettings(sandbox="off"))

    assert left_in(tmp_path) == []


async def test_a_start_that_is_cancelled_leaves_no_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = asyncio.Event()

    async def endless(*_: object, **__: object) -> NoReturn:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(asyncio, "create_subprocess_exec", endless)
    starting = asyncio.create_task(Chromium.launch(Path("/bin/false"), ScanSettings(sandbox="off")))
    await asyncio.wait_for(begun.wait(), 20)

    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    assert left_in(tmp_path) == []


def test_profiles_of_ended_processes_are_removed_whatever_their_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for owner in (os.getpid(), 2**22 + 1, 10**30):  # a running process, and two above Linux's largest number
        (tmp_path / f"sightline-browser-{owner}-x").mkdir()

    remove_stale_profiles()

    assert [folder.name for folder in left_in(tmp_path)] == [f"sightline-browser-{os.getpid()}-x"]
