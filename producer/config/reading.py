"""Reads ``sightline.toml`` and reports all its errors at once. Next: ``model.py``, ``faults.py``.

Paths in the file are relative to its folder.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from pydantic import ValidationError

from producer.config import faults as say
from producer.config.faults import Fault, in_order
from producer.config.finding import NAME, PYPROJECT, text_of
from producer.config.journeys import journey_faults
from producer.config.lines import Path as KeyPath
from producer.config.lines import lines_of
from producer.config.model import Document, Site, document_model, tables_of
from producer.config.options import TABLES, Option

_TOOL: Final = ("tool", "sightline")
_AT: Final = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Config:
    """A parsed file; ``shown`` is its path in messages, ``lines`` has the line of each key.

    ``raw`` has its values as written.
    """

    path: Path
    shown: str
    document: Document
    lines: Mapping[KeyPath, int]
    raw: Mapping[str, Any]

    def raw_value(self, *path: str | int) -> Any:
        """Return the value of a key as written."""
        value: Any = self.raw
        for part in path:
            value = value[part]
        return value

    def place(self, *path: str | int) -> str:
        """Return ``sightline.toml:12`` for a key."""
        line = say.line_of(path, self.lines)
        return f"{self.shown}:{line}" if line else self.shown


@dataclass(frozen=True, slots=True)
class Reading:
    """The parsed file, or its errors."""

    config: Config | None
    faults: tuple[Fault, ...] = ()


def read_config(file: Path, options: Sequence[Option], variables: Mapping[str, str]) -> Reading:
    """Return the parsed file or all its errors; raises ``InputError`` for an unreadable one."""
    shown = _shown(file)
    return _read(text_of(file, shown), file, shown, options, variables)


def checked_text(text: str, options: Sequence[Option], variables: Mapping[str, str]) -> tuple[Fault, ...]:
    """Return the errors of a text, read as a ``sightline.toml`` in the working directory."""
    return _read(text, Path(NAME), NAME, options, variables).faults


def _read(text: str, file: Path, shown: str, options: Sequence[Option], variables: Mapping[str, str]) -> Reading:
    try:
        whole = tomllib.loads(text)
        lines = lines_of(text)
    except tomllib.TOMLDecodeError as error:
        return Reading(None, (_syntax(shown, text, str(error)),))
    except RecursionError:
        return Reading(None, (Fault(shown, 0, "not TOML: its lists and tables are nested too deeply"),))
    if file.name == PYPROJECT:
        depth, whole = len(_TOOL), _tool(whole)
        lines = {path[depth:]: line for path, line in lines.items() if path[:depth] == _TOOL}
    context = {"folder": file.absolute().parent, "variables": variables}
    found, document = _checked(whole, options, context)
    if document is None:
        return Reading(None, in_order([Fault(shown, say.line_of(path, lines), text) for path, text in found]))
    return Reading(Config(file, shown, document, lines, whole))


def _checked(
    whole: dict[str, Any], options: Sequence[Option], context: dict[str, Any]
) -> tuple[list[tuple[KeyPath, str]], Document | None]:
    model = document_model(options)
    found: list[tuple[KeyPath, str]] = []
    document: Document | None = None
    try:
        document = model.model_validate(whole, context=context)
    except ValidationError as error:
        found += say.texts_of(error, tables_of(model), _homes(options))
    found += journey_faults(whole, context["folder"])
    if document is not None:
        found += _same_names(document.site)
    return found, None if found else document


def _same_names(sites: Sequence[Site]) -> Iterator[tuple[KeyPath, str]]:
    first: dict[str, int] = {}
    for number, site in enumerate(sites):
        if site.name and first.setdefault(site.name, number) != number:
            yield (
                ("site", number, "name"),
                f"site[{number + 1}].name: {site.name!r} is also the name of site[{first[site.name] + 1}]",
            )


def _homes(options: Sequence[Option]) -> dict[str, str]:
    """Return the table of each key, for messages about misplaced keys."""
    homes = {
        "sitemap": "write it as `sitemaps` of a [[site]]",
        "format": "reports have a table, [reports], such as html = 'report.html'",
        "output": "reports have a table, [reports], such as html = 'report.html'",
        "json": "reports have a table, [reports], such as jsonl = '-'",
        "journeys": "write each as a [[journey]]",
    }
    for name in (
        "pages",
        "sitemaps",
        "crawl",
        "max_pages",
        "per_pattern",
        "exclude",
        "replace",
        "ignore_robots",
        "file",
        "url",
    ):
        homes[name] = "it belongs in a [[site]]"
    for name in ("max", "report_only", "count_review"):
        homes[name] = "it belongs in [gate]"
    for option in options:
        tables = [f"[[{table}]]" if table in {"site", "page"} else f"[{table}]" for table in _tables(option)]
        homes[option.key] = f"it belongs in {' or '.join(tables)}"
    return homes


def _tables(option: Option) -> list[str]:
    return [table for table, scopes in TABLES.items() if option.scope in scopes]


def _tool(whole: dict[str, Any]) -> dict[str, Any]:
    for name in _TOOL:
        inner = whole.get(name)
        whole = cast("dict[str, Any]", inner) if isinstance(inner, dict) else {}
    return whole


def _syntax(shown: str, text: str, message: str) -> Fault:
    found = _AT.search(message)
    line = int(found[1]) if found and found[1] else text.count("\n") + 1
    return Fault(shown, line, f"not TOML: {_AT.sub('', message)}; the rest is not read")


def _shown(file: Path) -> str:
    """Return the path as a user would type it."""
    shown = os.path.relpath(file)
    return shown if len(shown) <= len(str(file)) else str(file)
