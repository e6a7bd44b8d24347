"""Which pages to scan: addresses from the command line and from files, each checked, none twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO

from producer.contract import check_url
from producer.errors import InputError
from producer.reports.page import Page, refused_page
from producer.reports.plain_text import one_line


@dataclass(frozen=True, slots=True)
class Targets:
    """Addresses to scan, in the order given, and those that are none, with the reason."""

    urls: tuple[str, ...]
    refused: tuple[Page, ...]


def read_targets(given: Iterable[str], file: IO[str] | None) -> Targets:
    """Return the targets; raises ``InputError`` where nothing was given, or nothing of it is an address."""
    urls: dict[str, None] = {}
    refused: dict[str, Page] = {}
    for text in (*given, *(_lines(file) if file else ())):
        try:
            urls[check_url(text)] = None
        except ValueError as error:
            refused[text] = refused_page(one_line(text, limit=500), one_line(str(error), limit=600))
    if not urls and not refused:
        where = f"{file.name!r} has no addresses" if file else "nothing to scan"
        msg = f"{where}: expected addresses such as https://example.org/, one a line in a --file, '#' begins a comment"
        raise InputError(msg)
    if not urls:
        first, *others = refused.values()
        msg = first.problem + (f"; and {len(others)} more like it" if others else "")
        raise InputError(msg)
    return Targets(tuple(urls), tuple(refused.values()))


def _lines(file: IO[str]) -> Iterator[str]:
    """Yield the file's addresses; raises ``InputError`` for what is not text."""
    try:
        for line in file:
            text = line.strip().lstrip("\ufeff")
            if text and not text.startswith("#"):
                yield text
    except UnicodeDecodeError:
        msg = f"{file.name!r} is not a text file in UTF-8: expected one address a line"
        raise InputError(msg) from None
