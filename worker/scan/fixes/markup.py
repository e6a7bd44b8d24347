"""Reads and changes the attributes of a serialized opening tag, and shows the diff. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import unified_diff
from html import escape, unescape
from typing import Final

MAX_DIFF_BYTES: Final = 2_000
_OPENING: Final = re.compile(r"\s*<([a-zA-Z][^\s/>]*)")
_ATTRIBUTE: Final = re.compile(r"""\s+([^\s"'<>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'=<>`]+)))?""")
_CUT: Final = " … "


def attributes(markup: str) -> dict[str, str]:
    """Return the attributes of the first tag in ``markup``, names in lower case; of duplicates, the first counts."""
    found: dict[str, str] = {}
    for match in _found(markup):
        found.setdefault(match[1].lower(), unescape(next((value for value in match.groups()[1:] if value), "")))
    return found


def tag_of(markup: str) -> str:
    """Return the first tag's name in lower case; '' if ``markup`` does not begin with one."""
    match = _OPENING.match(markup)
    return match[1].lower() if match else ""


def with_attributes(markup: str, changes: Mapping[str, str | None]) -> str:
    """Return ``markup`` with attributes of its first tag set, or removed (None); everything else is unchanged."""
    left = dict(changes)
    start = _OPENING.match(markup)
    if start is None:
        return markup
    parts, end = [markup[: start.end()]], start.end()
    for match in _found(markup):
        name = match[1].lower()
        value = left.pop(name, None)
        if name not in changes:
            parts.append(match[0])
        elif value is not None:
            parts.append(f" {match[1]}{_written(value)}")
        end = match.end()
    parts += [f" {name}{_written(value)}" for name, value in left.items() if value is not None]
    return "".join([*parts, markup[end:]])


def _found(markup: str) -> list[re.Match[str]]:
    start = _OPENING.match(markup)
    found: list[re.Match[str]] = []
    at = start.end() if start else len(markup)
    while match := _ATTRIBUTE.match(markup, at):
        found.append(match)
        at = match.end()
    return found


def _written(value: str) -> str:
    return f'="{escape(value)}"'


def diff_of(before: str, after: str) -> str:
    """Return the unified diff of two pieces of markup, without a header and within ``MAX_DIFF_BYTES``."""
    lines = list(unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1))[2:]
    shown = [line for line in lines if not line.startswith("@@")]
    for limit in (1_000, 300, 100):
        text = "\n".join(shown)
        if len(text.encode()) <= MAX_DIFF_BYTES:
            return text
        shown = [_shortened(line, limit) for line in shown]
    shown = shown[:16]
    return "\n".join(shown)


def _shortened(line: str, limit: int) -> str:
    half = (limit - len(_CUT)) // 2
    return line if len(line) <= limit else f"{line[:half]}{_CUT}{line[-half:]}"
