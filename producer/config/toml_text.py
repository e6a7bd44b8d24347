"""Writes values as TOML, since ``tomllib`` only reads. Source: https://toml.io/en/v1.0.0."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, cast

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_WIDTH: Final = 100


def key_text(key: str) -> str:
    """Return a key, quoted if necessary."""
    return key if _BARE.fullmatch(key) else string_text(key)


def string_text(text: str) -> str:
    """Return a basic string: JSON's escapes are valid in TOML, except for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def value_text(value: Any) -> str:
    """Return a value on one line; a long list on several."""
    if isinstance(value, str):
        return string_text(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        pairs = (f"{key_text(key)} = {value_text(one)}" for key, one in cast("Mapping[str, Any]", value).items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, list | tuple):
        items = [value_text(one) for one in cast("list[Any]", value)]
        line = f"[{', '.join(items)}]"
        return line if len(line) <= _WIDTH else "[\n" + "".join(f"    {item},\n" for item in items) + "]"
    return str(value)


def table_text(name: str, table: Mapping[str, Any]) -> str:
    """Return a table; ``name`` is its header, with its brackets, or ''."""
    lines = [name] if name else []
    return "\n".join([*lines, *(f"{key_text(key)} = {value_text(value)}" for key, value in table.items()), ""])
