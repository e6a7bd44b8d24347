"""A backup on disk: ``dump.rdb`` and ``manifest.json``, which is named last and makes it a backup.

Both get their names once both are written, so that a killed attempt never leaves a ``dump.rdb`` alone, which may be
another program's.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from producer.errors import InputError

SNAPSHOT: Final = "dump.rdb"
MANIFEST: Final = "manifest.json"
PART: Final = f"{SNAPSHOT}.part"
MANIFEST_PART: Final = f"{MANIFEST}.part"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The contents of a backup. ``keys``, counted before the snapshot, is approximate; ``sha256`` is the snapshot's."""

    made_at: str
    redis_version: str
    modules: tuple[str, ...]
    keys: int
    bytes: int
    sha256: str
    v: int = 1


def prepare(folder: Path) -> None:
    """Create ``folder`` for its owner only; raises ``InputError`` if it holds anything but a broken attempt."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if held := holds(folder):
            msg = f"{str(folder)!r} is not empty ({min(held)!r}): name a new folder for each backup"
            raise InputError(msg)
        os.close(_new(folder / PART))
        delete(folder)
    except OSError as error:
        msg = f"{str(folder)!r} cannot be written: {error.strerror}"
        raise InputError(msg) from None


def keep(folder: Path, pieces: Iterable[bytes]) -> tuple[int, str]:
    """Write the snapshot to disk, completely or not at all; returns its size and SHA-256. Raises ``InputError``."""
    return _write(folder / PART, pieces)


def _write(part: Path, pieces: Iterable[bytes]) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    try:
        with os.fdopen(_new(part), "wb") as file:
            for piece in pieces:
                file.write(piece)
                digest.update(piece)
                size += len(piece)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        part.unlink(missing_ok=True)
        msg = f"{str(part)!r} cannot be written: {error.strerror or error}: free some space, or name another folder"
        raise InputError(msg) from None
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return size, digest.hexdigest()


def _new(path: Path) -> int:
    """Return a handle of a new file for its owner only: a file left by an earlier attempt is not trusted.

    The folder's creator may have put a link or a file there to read the secrets in a snapshot.
    """
    path.unlink(missing_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def seal(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, name both files, and sync the folder. Raises ``InputError``; the snapshot is then deleted."""
    try:
        _write(folder / MANIFEST_PART, [f"{json.dumps(asdict(manifest), indent=2)}\n".encode()])
        (folder / PART).rename(folder / SNAPSHOT)
        (folder / MANIFEST_PART).rename(folder / MANIFEST)
    except OSError as error:
        delete(folder)
        raise InputError(f"{str(folder / MANIFEST)!r} cannot be written: {error.strerror}") from None
    except BaseException:
        delete(folder)
        raise
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def delete(folder: Path) -> None:
    """Delete the files of a backup or of a broken attempt; killed in between, it leaves a broken attempt."""
    if (folder / MANIFEST).is_file():
        (folder / MANIFEST).rename(folder / MANIFEST_PART)
    for name in (SNAPSHOT, PART, MANIFEST_PART):
        (folder / name).unlink(missing_ok=True)


def holds(folder: Path) -> set[str]:
    """Return the names in ``folder``; none if they are those of a broken attempt. Raises ``OSError``."""
    names = {path.name for path in folder.iterdir()}
    is_broken = names <= {SNAPSHOT, PART, MANIFEST_PART} and (SNAPSHOT not in names or MANIFEST_PART in names)
    return set[str]() if is_broken else names


def holds_something(folder: Path) -> bool:
    """Return whether ``folder`` holds anything but a broken attempt."""
    try:
        return bool(holds(folder))
    except OSError:
        return False


def check(folder: Path) -> Manifest:
    """Return the manifest of a complete backup; raises ``InputError`` naming the problem."""
    manifest = read(folder)
    found = _digest(folder / SNAPSHOT)
    if found != manifest.sha256:
        name, short = str(folder / SNAPSHOT), manifest.sha256[:16]
        msg = f"{name!r} is damaged: its SHA-256 is {found[:16]}…, but the manifest says {short}…"
        raise InputError(msg)
    return manifest


def read(folder: Path) -> Manifest:
    """Return a backup's manifest; raises ``InputError`` if there is none, or if Sightline did not write it."""
    try:
        return TypeAdapter(Manifest).validate_json((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        msg = f"{str(folder)!r} is not a backup: it has no {MANIFEST}, which 'sightline backup' writes last"
        raise InputError(msg) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        msg = f"{str(folder / MANIFEST)!r} was not written by 'sightline backup': {where}: {first['msg']}"
        raise InputError(msg) from None
    except OSError as error:
        msg = f"{str(folder / MANIFEST)!r} cannot be read: {error.strerror}"
        raise InputError(msg) from None


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        msg = f"{str(path)!r} cannot be read: {error.strerror}"
        raise InputError(msg) from None
