"""A draft of ``sightline.toml``, and the other tool's options that are not converted.

An importer takes the options it understands from ``Source``; those left at the end are named, so that none is silently
lost. Values that may be secrets are not repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from producer.config.toml_text import string_text, table_text
from producer.reports.plain_text import one_line

_MISSING: Final = object()
JsonMap = dict[str, Any]


@dataclass(frozen=True, slots=True)
class NotCarried:
    """An option of the other tool, by its path, and why it is not converted."""

    option: str
    why: str

    @property
    def text(self) -> str:
        """The option and the reason on one line."""
        return one_line(f"{self.option}: {self.why}")


@dataclass(slots=True)
class Draft:
    """The tables so far. ``left`` are the options not converted."""

    start: JsonMap = field(default_factory=JsonMap)
    scan: JsonMap = field(default_factory=JsonMap)
    site: JsonMap = field(default_factory=JsonMap)
    pages: list[JsonMap] = field(default_factory=list[JsonMap])
    gate: JsonMap = field(default_factory=JsonMap)
    reports: JsonMap = field(default_factory=JsonMap)
    journeys: list[JsonMap] = field(default_factory=list[JsonMap])
    left: list[NotCarried] = field(default_factory=list[NotCarried])

    def leave(self, option: str, why: str) -> None:
        """Record an option that is not converted."""
        self.left.append(NotCarried(option, why))

    def text(self, came_from: str) -> str:
        """Return the file."""
        parts = [f"# Made of {one_line(came_from)} by 'sightline config import'. Keys: docs/config.md\n"]
        if self.left:
            parts.append("# Not carried over:\n" + "".join(f"# - {one.text}\n" for one in self.left))
        if self.start:
            run = self.start.get("run", "")
            plain = len(self.start) == 1
            parts.append(f"start = {string_text(run)}\n" if plain else table_text("[start]", self.start))
        tables = [("[scan]", self.scan), ("[[site]]", self.site)]
        tables += [("[[page]]", page) for page in self.pages]
        tables += [("[gate]", self.gate), ("[reports]", self.reports)]
        tables += [("[[journey]]", journey) for journey in self.journeys]
        parts += [table_text(name, table) for name, table in tables if table or name == "[gate]"]
        return "\n".join(parts)


class Source:
    """A table of the other tool's configuration, from which options are taken."""

    def __init__(self, table: Mapping[str, Any], path: str = "") -> None:
        self._left = dict(table)
        self.path = path

    def take(self, name: str, kind: type | tuple[type, ...] = object) -> Any:
        """Take an option's value; None if it is missing, or of an unexpected type (then it stays)."""
        value = self._left.get(name, _MISSING)
        is_number = not isinstance(value, bool) or kind in (bool, object)
        if value is _MISSING or not isinstance(value, kind) or not is_number:
            return None
        return self._left.pop(name)

    def drop(self, name: str, *satisfied: object) -> None:
        """Take an option whose value is Sightline's default behaviour."""
        if self._left.get(name, _MISSING) in satisfied:
            del self._left[name]

    def table(self, name: str) -> Source:
        """Take a table; an empty one if missing."""
        value = self.take(name, dict)
        return Source(cast("JsonMap", value) if value else {}, self.named(name))

    def named(self, name: str) -> str:
        """Return an option's full name, with that of its table."""
        return f"{self.path}.{name}" if self.path else name

    def rest(self) -> Iterator[str]:
        """Yield the names of the options left."""
        yield from self._left
