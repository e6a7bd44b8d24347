"""Finds the line of each key and list entry in a TOML text, which ``tomllib`` does not provide.

Only for text that ``tomllib`` accepts; nothing is validated. Source: https://toml.io/en/v1.0.0.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from typing import Final

Path = tuple[str | int, ...]

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BETWEEN: Final = re.compile(r"(?:[ \t\r\n,]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_STRING: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})' r"|'''.*?'''(?:'{0,2})" r'|"(?:\\.|[^"\\\n])*"' r"|'[^'\n]*'", re.DOTALL
)
_OTHER: Final = re.compile(r"[^,\]}\n#]*")


def lines_of(text: str) -> dict[Path, int]:
    """Return the line of each key by its path, such as ``("site", 0, "pages", 2)``; the first line is 1."""
    reader = _Reader(text)
    reader.read()
    return reader.lines


class _Reader:
    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._breaks = [found.start() for found in re.finditer("\n", text)]
        self._next: dict[Path, int] = {}
        self.lines: dict[Path, int] = {}

    def read(self) -> None:
        table: Path = ()
        while True:
            self._skip(_BLANK)
            if self._at >= len(self._text):
                return
            line = self._line()
            if self._text.startswith("[[", self._at):
                table = self._list_entry(line)
            elif self._text[self._at] == "[":
                self._at += 1
                table = self._inside(self._keys())
                self._at += 1
                self._note(table, line)
            else:
                self._pair(table)

    def _list_entry(self, line: int) -> Path:
        self._at += 2
        *above, name = self._keys()
        self._at += 2
        path = (*self._inside(above), name)
        number = self._next.get(path, 0)
        self._next[path] = number + 1
        self._note(path, line)
        self._note((*path, number), line)
        return (*path, number)

    def _inside(self, keys: list[str]) -> Path:
        """Return the path of a table; in an array of tables, the path of the last one so far."""
        path: Path = ()
        for key in keys:
            path = (*path, key)
            if path in self._next:
                path = (*path, self._next[path] - 1)
        return path

    def _pair(self, path: Path) -> None:
        line = self._line()
        for key in self._keys():
            path = (*path, key)
            self._note(path, line)
        self._at += 1  # the equals sign
        self._value(path)

    def _keys(self) -> list[str]:
        keys: list[str] = []
        while True:
            self._skip(_SPACE)
            if found := _STRING.match(self._text, self._at):
                keys.append(str(tomllib.loads(f"key = {found[0]}")["key"]))
                self._at = found.end()
            else:
                start = self._at
                self._skip(_BARE)
                keys.append(self._text[start : self._at])
            self._skip(_SPACE)
            if not self._text.startswith(".", self._at):
                return keys
            self._at += 1

    def _value(self, path: Path) -> None:
        self._skip(_SPACE)
        begins = self._text[self._at : self._at + 1]
        if begins in {"[", "{"}:
            self._at += 1
            self._entries(path, end="]" if begins == "[" else "}")
        elif _STRING.match(self._text, self._at):
            self._skip(_STRING)
        else:
            self._skip(_OTHER)

    def _entries(self, path: Path, *, end: str) -> None:
        number = 0
        while True:
            self._skip(_BETWEEN)
            if self._text[self._at : self._at + 1] in {end, ""}:
                self._at += 1
                return
            if end == "}":
                self._pair(path)
            else:
                self._note((*path, number), self._line())
                self._value((*path, number))
                number += 1

    def _skip(self, pattern: re.Pattern[str]) -> None:
        if found := pattern.match(self._text, self._at):
            self._at = found.end()

    def _note(self, path: Path, line: int) -> None:
        self.lines.setdefault(path, line)

    def _line(self) -> int:
        return bisect_left(self._breaks, self._at) + 1
