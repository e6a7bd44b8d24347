"""Finds the pages to scan: addresses from the command line, files, sitemaps and crawls, checked and deduplicated."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from producer.cli.scan.target_list import Targets
from producer.contract.addresses import hide_user_info
from producer.errors import InputError, SightlineError
from producer.reports.plain_text import middle_cut, one_line
from producer.text_file import decoded, without_comment

if TYPE_CHECKING:
    from producer.cli.scan.options import ScanOptions
    from producer.contract import JsonObject
    from producer.reports.page import Page


def check_choice(options: ScanOptions) -> None:
    """Raise ``UsageError`` for options that select pages of sitemaps and crawls if neither is given."""
    filters = {"--match": options.match, "--exclude": options.exclude, "--ignore-robots": options.ignore_robots}
    filters["--sitemap-replace"] = options.sitemap_replace
    if not (options.sitemaps or options.crawl) and (given := [name for name, value in filters.items() if value]):
        msg = f"{' and '.join(given)} select pages of a --sitemap URL or --crawl URL, but none is given"
        raise click.UsageError(msg)
    bounds = {"--max-pages": options.max_pages, "--per-pattern": options.per_pattern}
    if not options.crawl and (given := [name for name, value in bounds.items() if value]):
        raise click.UsageError(f"{' and '.join(given)} limit a --crawl URL, but none is given")


def read_targets(
    given: Iterable[str], file: IO[str] | None, options: ScanOptions | None = None, secrets: JsonObject | None = None
) -> Targets:
    """Return the targets; uses only the ``options`` of sitemaps and crawls, with ``secrets`` as their credentials.

    Raises ``InputError`` without any valid address; ``PageUnreachable`` if only sitemaps or crawls were given and none
    can be loaded.
    """
    urls: dict[str, None] = {}
    refused: dict[str, Page] = {}
    targets = Targets()
    for text in (*given, *(_lines(file) if file else ())):
        try:
            urls[targets.address(text)] = None
        except ValueError as error:
            from producer.reports.page import refused_page

            shown = one_line(hide_user_info(text), limit=500)
            refused[text] = refused_page(shown, middle_cut(one_line(str(error)), 600))
    errors: list[SightlineError] = []
    if options and options.sitemaps:
        from producer.cli.scan.sitemap_targets import add_sitemaps  # imports defusedxml and ssl: only where needed

        errors = add_sitemaps(options, secrets or {}, urls, refused, targets)
    if options and options.crawl:
        from producer.cli.scan.crawl_targets import add_crawls  # as above

        errors += add_crawls(options, secrets or {}, urls, refused, targets)
    if not urls and errors:
        raise errors[0]
    if not urls and not refused:
        where = f"{file.name!r} has no addresses" if file else "nothing to scan"
        msg = f"{where}: expected addresses such as https://example.org/, one per line in a --file"
        raise InputError(msg if file else f"{msg}; 'sightline config init' writes a sightline.toml that names them")
    if not urls:
        first, *others = refused.values()
        msg = first.problem + (f"; and {len(others)} more" if others else _file_hint(next(iter(refused))))
        raise InputError(msg)
    targets.urls, targets.refused = tuple(urls), tuple(refused.values())
    return targets


def first_address(file: IO[str]) -> str:
    """Return the first line of a list that is not a comment, without consuming the list; '' for stdin and pipes."""
    if not file.seekable():
        return ""
    first = next(_lines(file), "")
    file.seek(0)
    return first


def _file_hint(text: str) -> str:
    """Return a hint to use --file if ``text`` is the name of a file, else ''."""
    with contextlib.suppress(OSError):  # too long for a name
        if Path(text).is_file():
            return f"; to scan the addresses in that file, use --file {text}"
    return ""


def _lines(file: IO[str]) -> Iterator[str]:
    """Yield the file's addresses; raises ``InputError`` for a file that is not text."""
    content: IO[bytes] | None = getattr(file, "buffer", None)
    try:
        lines = decoded(content.read()) if content else file.read()
    except UnicodeDecodeError:
        raise InputError(f"{file.name!r} is not a text file in UTF-8: expected one address per line") from None
    for line in lines.splitlines():
        if text := without_comment(line):
            yield text
