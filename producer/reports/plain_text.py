"""Text from scanned pages made fit to print: pages are hostile, and terminals, spreadsheets and CI systems obey.

Control characters carry terminal escapes, format characters turn the direction of reading, and a line break starts
a line that the report did not write.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_UNFIT: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS: Final = frozenset("\u200c\u200d")
"""Zero-width joiners: Persian, Hindi and emoji need them, and they cannot reorder anything."""


def one_line(text: str, *, limit: int | None = None) -> str:
    """Return ``text`` as one printable line, runs of white space and unfit characters as one space.

    With ``limit`` a longer text is cut there and ends in ``…``.
    """
    fit = "".join(" " if _is_unfit(character) else character for character in text)
    line = " ".join(fit.split())
    return line if limit is None or len(line) <= limit else line[: max(limit - 1, 0)].rstrip() + "…"


def printable(text: str) -> str:
    """Return ``text`` without unfit characters, its line breaks and tabs kept."""
    return "".join(c for c in text if c in "\n\t" or not _is_unfit(c))


def middle_cut(text: str, limit: int) -> str:
    """Return ``text`` with its middle left out where it is longer than ``limit``: both ends of a path tell."""
    if len(text) <= limit:
        return text
    head = (limit - 1) // 3
    return f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"


def counted(number: int, one: str, many: str = "") -> str:
    """Return ``1 page`` or ``3 pages``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _is_unfit(character: str) -> bool:
    return character not in _JOINERS and unicodedata.category(character) in _UNFIT
