"""Selectors of steps: CSS, ``role=button[name="Save"]``, ``label=E-mail``, ``text=Sign in``. Pure, needs no pydantic.

As in Playwright: ``text=`` and ``label=`` match text that contains the words, case-insensitively; in quotes, they match
the whole text exactly. ``name="…"`` is the whole accessible name; with ``i`` after it, a part of it,
case-insensitively.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from producer.contract.selectors import MAX_SELECTOR_CHARS, check_selector

_KIND: Final = r"(?s:(role|label|text|css)\s*=\s*(.*))"
_UNKNOWN: Final = r"(xpath|id|data-testid|placeholder|alt|title|aria|pierce)\s*=|//|xpath/|\(//"
_QUOTED: Final = r"(?s:([\"'])(.*)\1)"
_ROLE: Final = r"(?s:([a-z]+)\s*(?:\[\s*name\s*=\s*([\"'])(.+?)\2\s*(i?)\s*\])?)"
EXPECTED: Final = "expected CSS such as '#save', or role=button[name=\"Save\"], label=E-mail, text=Sign in"


@dataclass(frozen=True, slots=True)
class StepSelector:
    """The target of a step: ``value`` is CSS, a role, or the words of ``label`` and ``text``.

    ``name`` is a role's accessible name, '' for any. ``is_exact``: the words are the whole text, or the whole name.
    """

    kind: Literal["css", "role", "label", "text"]
    value: str
    name: str = ""
    is_exact: bool = False


def read_step_selector(text: str) -> StepSelector:
    """Return the parsed selector; raises ``ValueError`` for an invalid one."""
    text = text.strip()
    if not text:
        raise ValueError(f"the selector is empty: {EXPECTED}")
    if len(text) > MAX_SELECTOR_CHARS:
        msg = f"the selector {text[:60]!r}… has {len(text):,} characters: expected at most {MAX_SELECTOR_CHARS:,}"
        raise ValueError(msg)
    found = re.fullmatch(_KIND, text)
    if found is None and re.match(_UNKNOWN, text):
        raise ValueError(f"{text[:200]!r} is not a selector for a step: {EXPECTED}")
    kind, value = (found[1], found[2].strip()) if found else ("css", text)
    if not value:
        raise ValueError(f"there is nothing after {kind!r}= in {text!r}: {EXPECTED}")
    if kind == "role":
        return _read_role(text, value)
    if kind == "css":
        return StepSelector("css", check_selector(value))
    quoted = re.fullmatch(_QUOTED, value)
    words = " ".join((quoted[2] if quoted else value).split())
    if not words:
        raise ValueError(f"there are no words after {kind}= in {text!r}: {EXPECTED}")
    return StepSelector("label" if kind == "label" else "text", words, is_exact=quoted is not None)


def _read_role(text: str, value: str) -> StepSelector:
    found = re.fullmatch(_ROLE, value)
    if found is None:
        raise ValueError(f'{text[:200]!r} is not a role: expected one such as role=button, or role=button[name="Save"]')
    name = " ".join((found[3] or "").split())
    return StepSelector("role", found[1], name=name, is_exact=bool(name) and not found[4])
