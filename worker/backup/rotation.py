"""Deletes the oldest backups beside a new one, so that scheduled backups never fill the disk."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from producer.errors import InputError
from worker.backup.folder import Manifest, delete, holds, read

ABANDONED_S: Final = 86_400.0
"""Age of the files of a killed attempt; a running one writes to its own."""


def rotate(newest: Path, *, keep: int) -> list[Path]:
    """Keep the ``keep`` newest backups in the folder that holds ``newest``; returns the deleted ones.

    Only folders with a manifest count, and only a backup's two files are deleted: other files stay, with their folder.
    Folders that hold only what a killed attempt left a day ago are deleted, too. Raises ``InputError`` if one cannot be
    deleted.
    """
    newest = newest.absolute()
    others = (backup for backup in _backups(newest.parent) if backup[0] != newest)  # regardless of the clock
    dropped = [*old_ones(others, keep=keep - 1), *_abandoned(newest.parent, before_s=time.time() - ABANDONED_S)]
    for folder in dropped:
        try:
            delete(folder)
            with suppress(OSError):
                folder.rmdir()
        except OSError as error:
            raise InputError(f"the old backup {str(folder)!r} cannot be deleted: {error.strerror}") from None
    return dropped


def old_ones(backups: Iterable[tuple[Path, Manifest]], *, keep: int) -> list[Path]:
    """Return all but the ``keep`` most recent ones, oldest first. Pure."""
    by_age = sorted(backups, key=lambda backup: (backup[1].made_at, backup[0].name))
    return [folder for folder, _ in by_age[: max(0, len(by_age) - keep)]]


def _backups(parent: Path) -> Iterable[tuple[Path, Manifest]]:
    for folder in parent.iterdir():
        if folder.is_symlink() or not folder.is_dir():
            continue
        with suppress(InputError):  # not a backup, or not one of Sightline's
            yield folder, read(folder)


def _abandoned(parent: Path, *, before_s: float) -> list[Path]:
    found: list[Path] = []
    for folder in parent.iterdir():
        with suppress(OSError):  # not a folder, or another user's
            written_s = [path.lstat().st_mtime for path in folder.iterdir()]
            if written_s and max(written_s) < before_s and not folder.is_symlink() and not holds(folder):
                found.append(folder)
    return found
