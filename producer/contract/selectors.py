"""Refuses invalid CSS selectors, so that a typing error is found before anything is queued.

Only the browser knows all pseudo-classes and decides (``worker/scan/preparation.py``); this module refuses nothing that
a browser accepts. Grammar: https://www.w3.org/TR/selectors-4/#grammar. Needs no pydantic.
"""

from __future__ import annotations

import re
from typing import Final

MAX_SELECTOR_CHARS: Final = 1_000

_ESCAPE: Final = r"\\(?:[0-9a-fA-F]{1,6}+\s?+|[^\n0-9a-fA-F])"
_LETTER: Final = rf"(?:[a-zA-Z_]|[^\x00-\x7f]|{_ESCAPE})"
_REST: Final = rf"(?:[\w-]|[^\x00-\x7f]|{_ESCAPE})*+"
"""Possessive, as browsers read names: backtracking doubles the time with each letter that matches twice, such as é."""
_IDENT: Final = rf"(?:--{_REST}|-?{_LETTER}{_REST})"
_STRING: Final = r"(?:\"(?:[^\"\\\n]|\\[\s\S])*(?:\"|$)|'(?:[^'\\\n]|\\[\s\S])*(?:'|$))"
_ATTRIBUTE: Final = (
    rf"\[\s*(?:(?:{_IDENT}|\*)?\|)?{_IDENT}\s*(?:[~|^$*]?=\s*(?:{_IDENT}|{_STRING})\s*(?:[a-zA-Z]\s*)?)?(?:\]|$)"
)
# Compiled where used, since compiling takes 5 ms and most commands have no selector; re keeps the compiled ones.
_COMMENT: Final = r"/\*[\s\S]*?(?:\*/|$)"
_TYPE: Final = rf"(?:(?:{_IDENT}|\*)?\|)?(?:{_IDENT}|\*)"
_PART: Final = rf"#{_IDENT}|\.{_IDENT}|{_ATTRIBUTE}|::?{_IDENT}(\()?|&"
_JOIN: Final = r"\s*(?:\|\||[>+~])\s*|\s+"
_COMMA: Final = r"\s*,\s*"
_IN_PARENTHESES: Final = rf"{_STRING}|[()\[\]{{}}]|{_ESCAPE}|[^()\[\]{{}}\"'\\]+|[\s\S]"


def check_selector(text: str) -> str:
    """Return ``text``; raise ``ValueError`` unless it is a CSS selector of usable length."""
    if len(text) > MAX_SELECTOR_CHARS:
        msg = f"the selector {text[:60]!r}… has {len(text):,} characters: expected at most {MAX_SELECTOR_CHARS:,}"
        raise ValueError(msg)
    plain = re.compile(_COMMENT).sub(" ", text) if '"' not in text and "'" not in text else text
    plain = plain.strip()
    end = _read_list(plain)
    if end < len(plain) or not plain:
        found = f"it is wrong at {plain[end : end + 40]!r}" if end < len(plain) else "it ends too early"
        msg = f"{text[:200]!r} is not a CSS selector: {found}; expected one such as 'main' or '#chat .input'"
        raise ValueError(msg)
    return text


def _read_list(text: str) -> int:
    """Return the position where a list of selectors ends; the text's length if it is valid."""
    at = 0
    while True:
        end = _read_compound(text, at)
        if end == at:
            return min(at, max(len(text) - 1, 0))  # a selector is missing here
        at = end
        if at == len(text):
            return at
        join = re.compile(_COMMA).match(text, at) or re.compile(_JOIN).match(text, at)
        if join is None:
            return at
        at = join.end()


def _read_compound(text: str, at: int) -> int:
    found = re.compile(_TYPE).match(text, at)
    at = found.end() if found else at
    while part := re.compile(_PART).match(text, at):
        at = _close(text, part.end()) if part[1] else part.end()
    return at


def _close(text: str, at: int) -> int:
    """Return the position after the matching parenthesis; the end of the text also closes it, as in a browser."""
    depth = 1
    while depth and (token := re.compile(_IN_PARENTHESES).match(text, at)):
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(token[0], 0)
        at = token.end()
    return at
