"""Sanitizes text from scanned pages: pages are hostile, and terminals, spreadsheets and CI systems interpret it.

Control characters form terminal escapes, format characters reverse the reading direction, and a line break starts a
line that looks like part of the report.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_UNFIT: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS: Final = frozenset("\u200c\u200d")
"""Zero-width joiners: Persian, Hindi and emoji need them, and they cannot reorder anything."""

_LONG_WORD: Final = 24
"""Maximum number of characters given up to end at a word boundary; addresses and selectors are cut anywhere."""


def one_line(text: str, *, limit: int | None = None) -> str:
    """Return ``text`` as one printable line, with runs of white space and unsafe characters as one space.

    With ``limit``, a longer text is shortened by ``cut``.
    """
    # Printable text, by str.isprintable(), is always fit, and most text is: this avoids a look at each character.
    fit = text if text.isprintable() else "".join(" " if _is_unfit(c) else c for c in text)
    line = " ".join(fit.split())
    return line if limit is None else cut(line, limit)


def cut(line: str, limit: int) -> str:
    """Return at most ``limit`` characters of ``line``; a cut ends in ``…``, at a word boundary if one is near."""
    if len(line) <= limit:
        return line
    head = line[: max(limit - 1, 0)]
    if not line[len(head)].isspace():
        end = max(head.rfind(" "), 0)
        head = head[:end] if len(head) - end <= min(_LONG_WORD, limit // 3) else head
    return head.rstrip(" ,;:") + "…"


def printable(text: str) -> str:
    """Return ``text`` without unsafe characters, except line breaks and tabs."""
    if text.isprintable():
        return text
    return "".join(c for c in text if c in "\n\t" or not _is_unfit(c))


def middle_cut(text: str, limit: int) -> str:
    """Return ``text``, without its middle if it is longer than ``limit``: both ends of a path matter."""
    if len(text) <= limit:
        return text
    head = (limit - 1) // 3
    return f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"


def counted(number: int, one: str, many: str = "") -> str:
    """Return ``1 page`` or ``3 pages``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _is_unfit(character: str) -> bool:
    return character not in _JOINERS and unicodedata.category(character) in _UNFIT
