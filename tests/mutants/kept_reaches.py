"""Keeps what each test reaches between two runs, so that only changed test files are run again without a mutant.

A record is of one product: a change of the product, or of what the tests share, discards all of it.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from tests.mutants.reach import Reach

CODE: Final = {".py", ".lua"}
OWN: Final = "mutants"
"""The folder of this file, which no test of the product uses."""


@dataclass(frozen=True, slots=True)
class Kept:
    """``shared`` is the digest of all that is no test file; of each test file there is its digest and its tests."""

    shared: str
    files: dict[str, tuple[str, list[Reach]]]


ADAPTER: Final = TypeAdapter(Kept)


def keep(record: Path, root: Path, files: Sequence[str], reaches: Sequence[Reach]) -> None:
    """Write what the tests of ``files`` reach in the copy ``root``, beside what is kept of other test files."""
    of_file = {file: [reach for reach in reaches if reach.file == file] for file in files}
    kept = {**kept_reaches(record, root), **of_file}
    rows = {file: (_digest(root, [root / file]), tests) for file, tests in kept.items()}
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_bytes(gzip.compress(ADAPTER.dump_json(Kept(_shared(root), rows)), compresslevel=1))


def kept_reaches(record: Path, root: Path) -> dict[str, list[Reach]]:
    """Return what is kept of the test files that are unchanged in the copy ``root``."""
    if not record.exists():
        return {}
    kept = ADAPTER.validate_json(gzip.decompress(record.read_bytes()))
    if kept.shared != _shared(root):
        return {}
    return {
        file: tests
        for file, (digest, tests) in kept.files.items()
        if (root / file).exists() and digest == _digest(root, [root / file])
    }


def _shared(root: Path) -> str:
    """Return the digest of the product, of what tests share and of the libraries' versions."""
    folders = [root / name for name in ("producer", "worker", "tests")]
    code = [file for folder in folders for file in folder.rglob("*") if file.suffix in CODE and file.parent.name != OWN]
    pins = [file for name in ("pyproject.toml", "requirements.lock") if (file := root / name).exists()]
    return _digest(root, [*pins, *(file for file in code if not file.name.startswith("test_"))])


def _digest(root: Path, files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(files):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(root)} {len(content)}\n".encode() + content)
    return digest.hexdigest()
