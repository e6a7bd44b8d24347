"""Removes variables' values from a scan's result: a page may show what was entered.

Screenshots show the values as dots (``js/journey.js``, ``mask``). Ids and fingerprints are unchanged: they are digests,
computed before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from string import digits
from typing import Any, Final, cast

from producer.contract import ScanResult

SHORTEST: Final = 4
"""Minimum length: shorter values occur in any page and cannot be concealed."""
_KEPT: Final = frozenset(
    {"fingerprint", "issue_id", "rule", "url", "help_url", "job_id", "scan_id", "kind"}
    # The contract's closed sets: the value "scan" occurs in the status "scanned".
    | {"status", "state", "outcome", "impact", "certainty", "verdict", "standard", "page_state", "criteria", "tags"}
    | {"help", "description", "engine", "group", "waited", "allow_partial", "ran", "assessment_source"}
)
"""Fields whose text does not come from the page."""
_KEYS_OF_PAGE: Final = frozenset({"unread_frames"})
"""Fields whose keys come from the page."""
_VALUES_OF_PAGE: Final = frozenset({"redirects"})
"""Fields all of whose values come from the page, ``url`` included."""
_BACKSLASH: Final = r"(?:\\|%5[Cc])"
_MOST_FORMS: Final = 500
"""Maximum characters of a value that may be escaped; what follows is concealed only as it is. Patterns take time."""

Forms = Sequence[tuple[re.Pattern[str], str]]
"""A pattern for each value, longest first, and its replacement."""


def forms_of(variables: Mapping[str, str]) -> Forms:
    """Return a pattern of each variable's value, as text, HTML, an address or CSS has it, and its replacement."""
    known = [(value, f"${{{name}}}") for name, value in variables.items() if len(value) >= SHORTEST]
    return [(_pattern(value), name) for value, name in sorted(known, key=lambda one: -len(one[0]))]


def _pattern(value: str) -> re.Pattern[str]:
    """Return the pattern of a value; which of its characters are escaped differs between browsers, pages and places."""
    parts = [_forms(char) for char in value[:_MOST_FORMS]]
    if value[0] in digits:
        parts[0] = rf"(?:\\{ord(value[0]):x} |{value[0]})"
    # In CSS a backslash is two. As many as there are, or many of them would take exponential time.
    runs = ((part, len(list(same))) for part, same in groupby(parts))
    spelt = "".join(f"{part}{{{n},{2 * n}}}+" if part == _BACKSLASH else part * n for part, n in runs)
    return re.compile(spelt + f"(?:{re.escape(value[_MOST_FORMS:])})?")


def _forms(char: str) -> str:
    """Return the pattern of a character as it is, or escaped."""
    if char == "\\":
        return _BACKSLASH
    if char.isascii() and char.isalnum():
        return char
    plain, percent = re.escape(char), "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))
    escaped = [f"(?i:{percent})", re.escape(escape(char))]
    escaped += [rf"\\{plain}"] if char.isascii() else []
    escaped += [r"\+"] if char == " " else []
    return f"(?:{'|'.join(dict.fromkeys((*escaped, plain)))})"  # a form twice would take exponential time


def conceal_text(text: str, forms: Forms) -> str:
    """Return ``text`` with the variables' names in place of their values."""
    for pattern, name in forms:
        text = pattern.sub(lambda _, name=name: name, text)
    return text


def conceal(result: ScanResult, variables: Mapping[str, str]) -> ScanResult:
    """Return the result without the values of ``variables``."""
    forms = forms_of(variables)
    if not forms:
        return result
    fields = result.model_dump(mode="json")
    return ScanResult.model_validate({name: _concealed(value, name, forms) for name, value in fields.items()})


def _concealed(value: Any, name: str, forms: Forms) -> Any:
    if name in _KEPT:
        return value
    if isinstance(value, str):
        return conceal_text(value, forms)
    if isinstance(value, list):
        return [_concealed(item, name, forms) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        is_of_page = name in _KEYS_OF_PAGE
        is_any = is_of_page or name in _VALUES_OF_PAGE
        return {
            conceal_text(key, forms) if is_of_page else key: _concealed(item, "" if is_any else key, forms)
            for key, item in fields.items()
        }
    return value
