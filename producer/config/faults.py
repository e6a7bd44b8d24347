"""Errors in ``sightline.toml``, one line each: position, key, and what was expected."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from pydantic import BaseModel, ValidationError

from producer.config.lines import Path
from producer.contract.addresses import hide_user_info
from producer.reports.plain_text import one_line

_EXPECTED: Final = {
    "string_type": "text in quotes",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "date_type": "a date such as 2027-03-31",
    "date_from_datetime_inexact": "a date without a time, such as 2027-03-31",
}
_MAX_KEYS: Final = 12
"""Maximum number of known keys listed if none is similar; docs/config.md has all."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One error; ``line`` is 0 for the file as a whole."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.text}"


def name_of(path: Path) -> str:
    """Return a path as in the file: ``site[2].pages[1]``, counted from 1."""
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def line_of(path: Path, lines: Mapping[Path, int]) -> int:
    """Return the line of a key, or of the nearest table around it."""
    while path not in lines and path:
        path = path[:-1]
    return lines.get(path, 0)


def texts_of(
    error: ValidationError, tables: Mapping[tuple[str, ...], type[BaseModel]], elsewhere: Mapping[str, str]
) -> Iterator[tuple[Path, str]]:
    """Yield path and text of each error; ``elsewhere`` has the right table of misplaced keys."""
    for item in error.errors(include_url=False):
        path = tuple(part for part in item["loc"] if part != "[key]")
        what = _text(item["type"], path, cast("dict[str, Any]", item), tables, elsewhere)
        name = name_of(path)
        yield path, f"{name}: {what}" if name else what


def _text(
    kind: str,
    path: Path,
    item: Mapping[str, Any],
    tables: Mapping[tuple[str, ...], type[BaseModel]],
    elsewhere: Mapping[str, str],
) -> str:
    if kind == "extra_forbidden":
        return _unknown(path, tables, elsewhere)
    if kind == "missing":
        return "missing"
    message = str(item["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    shown = _shown(item.get("input"))
    if kind == "literal_error":
        expected = [str(one).strip("'") for one in str(item["ctx"]["expected"]).replace(" or ", ", ").split(", ")]
        given = str(item.get("input"))
        near = difflib.get_close_matches(given, expected, n=1)
        more = ", …" if len(expected) > _MAX_KEYS else ""
        listed = f"expected one of {', '.join(expected[:_MAX_KEYS])}{more}"
        return f"{shown}: did you mean {near[0]}?" if near else f"{shown}: {listed}"
    if kind == "value_error":
        return message
    if kind == "too_short":
        return "is empty: expected one or more"
    if kind == "string_too_short":
        return "is empty"
    quotes = ", without quotes" if isinstance(item.get("input"), str) and kind in _EXPECTED else ""
    return f"{shown}: expected {_EXPECTED.get(kind, message)}{quotes}"


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    return one_line(repr(hide_user_info(value)) if isinstance(value, str) else str(value), limit=60)


def _unknown(path: Path, tables: Mapping[tuple[str, ...], type[BaseModel]], elsewhere: Mapping[str, str]) -> str:
    key = str(path[-1])
    model = tables.get(tuple(part for part in path[:-1] if isinstance(part, str)))
    keys = sorted(field.alias or name for name, field in model.model_fields.items()) if model else []
    plain = key.replace("-", "_")
    if plain in keys:
        return f"unknown key; did you mean {plain}?"
    near = difflib.get_close_matches(plain, keys, n=1)
    if plain in elsewhere and not (near and near[0].startswith(plain)):
        return f"unknown key here: {elsewhere[plain]}"
    if near:
        return f"unknown key; did you mean {near[0]}?"
    listed = ", ".join(keys) if len(keys) <= _MAX_KEYS else "those in docs/config.md, or see 'sightline config show'"
    return f"unknown key: expected {listed}" if keys else "unknown key"


def in_order(faults: Sequence[Fault]) -> tuple[Fault, ...]:
    """Return each error once, by line."""
    return tuple(sorted(set(faults)))
