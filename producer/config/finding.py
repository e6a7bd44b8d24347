"""Finds the settings file: the nearest one in or above the working directory, up to the repository's folder.

``sightline.toml`` takes precedence over ``[tool.sightline]`` of ``pyproject.toml`` in the same folder. Needs no
pydantic, so that runs without a file stay fast.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from producer.errors import InputError
from producer.text_file import read_text

NAME: Final = "sightline.toml"
PYPROJECT: Final = "pyproject.toml"
_MARK: Final = re.compile(r"^\s*\[\[?\s*tool\s*\.\s*sightline\b", re.MULTILINE)


def find_config(folder: Path) -> Path | None:
    """Return the settings file of ``folder`` or None; raises ``InputError``."""
    for above in (folder, *folder.parents):
        if (file := above / NAME).is_file():
            return file
        if (file := above / PYPROJECT).is_file() and _MARK.search(text_of(file, str(file))):
            return file
        if (above / ".git").exists():
            return None
    return None


def text_of(file: Path, shown: str) -> str:
    """Return the file's text; raises ``InputError``."""
    try:
        return read_text(file)
    except OSError as error:
        raise InputError(f"cannot read {shown!r}: {error.strerror}") from None
