"""Sanitizes text from scanned pages: pages are hostile, and terminals, spreadsheets and CI systems interpret it.

Control characters form terminal escapes, format characters reverse the reading direction, and a line break starts a
line that looks like part of the report.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Step:
    """A part of axe-core's failure summary: a heading, and a line for each alternative."""

    heading: str
    items: tuple[str, ...]

    def __str__(self) -> str:
        """Return the step on one line; a single alternative has no heading."""
        if len(self.items) == 1:
            return self.items[0]
        return f"{self.heading} {'; '.join(self.items)}".strip()


def steps(summary: str) -> list[Step]:
    """Return the parts of axe-core's failure summary.

    It has lines that begin a part ("Fix any of the following:") and indented lines for the alternatives, which would
    run together if simply joined.
    """
    found: list[tuple[str, list[str]]] = []
    for line in summary.splitlines():
        if not line.strip():
            continue
        if line[0].isspace() and found:
            found[-1][1].append(one_line(line))
        else:
            found.append((one_line(line), []))
    return [Step(heading, tuple(items)) for heading, items in found]


def summary_line(summary: str) -> str:
    """Return axe-core's failure summary on one line: parts as sentences, alternatives separated by semicolons."""
    parts = [str(step) for step in steps(summary)]
    ended = [part if part.endswith((".", ":", "!", "?")) else f"{part}." for part in parts[:-1]]
    return " ".join([*ended, *parts[-1:]])
