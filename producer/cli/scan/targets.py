"""Which pages to scan: addresses from the command line, from files and from sitemaps, each checked, none twice."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from producer.cli.scan.options import ScanOptions
from producer.contract.addresses import normal_url, origin_of, path_of, site_name
from producer.errors import InputError, SightlineError
from producer.reports.page import Page, refused_page
from producer.reports.plain_text import counted, middle_cut, one_line

if TYPE_CHECKING:
    from producer.sitemaps.robots import RobotsOfSites
    from producer.sitemaps.sitemap import Listed

SHOWN_PROBLEMS: Final = 20
"""Addresses of a sitemap that are none, named one by one; more are a fault of its program's, and counted."""


@dataclass(slots=True)
class Targets:
    """Addresses to scan, in the order given; those that are none, with the reason; what to tell about the choice.

    ``gaps_ms`` has the addresses whose site's robots.txt asks for so many ms between two pages.
    """

    urls: tuple[str, ...] = ()
    refused: tuple[Page, ...] = ()
    remarks: list[str] = field(default_factory=list[str])
    gaps_ms: dict[str, int] = field(default_factory=dict[str, int])


def read_targets(given: Iterable[str], file: IO[str] | None, options: ScanOptions | None = None) -> Targets:
    """Return the targets; of ``options`` only those about sitemaps matter.

    Raises ``InputError`` where nothing was given, or nothing of it is an address; ``PageUnreachable`` where a sitemap
    was all that was given, and cannot be loaded.
    """
    urls: dict[str, None] = {}
    refused: dict[str, Page] = {}
    for text in (*given, *(_lines(file) if file else ())):
        try:
            urls[normal_url(text)] = None
        except ValueError as error:
            refused[text] = refused_page(one_line(text, limit=500), middle_cut(one_line(str(error)), 600))
    targets = Targets()
    errors: list[SightlineError] = []
    if options and options.sitemaps:
        _add_sitemaps(options, urls, refused, targets, errors)
    if not urls and errors:
        raise errors[0]
    if not urls and not refused:
        where = f"{file.name!r} has no addresses" if file else "nothing to scan"
        msg = f"{where}: expected addresses such as https://example.org/, one a line in a --file, '#' begins a comment"
        raise InputError(msg)
    if not urls:
        first, *others = refused.values()
        msg = first.problem + (f"; and {len(others)} more like it" if others else _file_hint(next(iter(refused))))
        raise InputError(msg)
    targets.urls, targets.refused = tuple(urls), tuple(refused.values())
    return targets


def _file_hint(text: str) -> str:
    """Return how a file of addresses is given, where ``text`` is the name of one."""
    with contextlib.suppress(OSError):  # too long for a name
        if Path(text).is_file():
            return f"; for the addresses in that file write --file {text}"
    return ""


def _add_sitemaps(
    wanted: ScanOptions,
    urls: dict[str, None],
    refused: dict[str, Page],
    targets: Targets,
    errors: list[SightlineError],
) -> None:
    from producer.sitemaps.robots import RobotsOfSites  # defusedxml, protego and ssl, for those who need them
    from producer.sitemaps.sitemap import Choice, read_sitemap

    robots = RobotsOfSites()
    choice = Choice(wanted.match, wanted.exclude, None if wanted.ignore_robots else robots.allows)
    for sitemap in _sitemap_addresses(wanted.sitemaps, robots):
        listed = read_sitemap(sitemap, choice)
        urls.update(listed.pages)
        targets.remarks.append(f"{one_line(sitemap, limit=300)}: {_summary(listed)}")
        if not wanted.ignore_robots:
            _note_gaps(listed.pages, robots, targets)
        problems = list(listed.problems.items())
        for address, error in problems[:SHOWN_PROBLEMS]:
            refused[address] = refused_page(one_line(address, limit=500), middle_cut(one_line(str(error)), 600))
        if len(problems) > SHOWN_PROBLEMS:
            more = f"{counted(len(problems) - SHOWN_PROBLEMS, 'more address')} in {sitemap!r} cannot be used either"
            refused[more] = refused_page(one_line(sitemap, limit=500), one_line(more, limit=600))
        if not listed.pages:
            nothing = InputError(f"{sitemap!r} lists nothing to scan: {_summary(listed)}")
            errors.append(next(iter(listed.problems.values()), nothing))


def _note_gaps(pages: Iterable[str], robots: RobotsOfSites, targets: Targets) -> None:
    """Note the gaps that robots.txt of the pages' sites asks for, and tell how long that takes."""
    slow = {url: gap_ms for url in pages if (gap_ms := robots.gap_ms(url))}
    targets.gaps_ms.update(slow)
    by_site = Counter(map(origin_of, slow))
    for site, number in by_site.items():
        gap_s = max(gap_ms for url, gap_ms in slow.items() if origin_of(url) == site) / 1000
        took = f"{counted(number, 'page')} take {timedelta(seconds=round(gap_s * (number - 1)))} at least"
        targets.remarks.append(f"robots.txt of {one_line(site, limit=300)} asks for {gap_s:g} s between pages: {took}")


def _sitemap_addresses(given: Iterable[str], robots: RobotsOfSites) -> Iterator[str]:
    """Yield the sitemaps; for the address of a whole site those that its robots.txt names, or the usual place."""
    for text in given:
        try:
            address = normal_url(text)
        except ValueError as error:
            raise InputError(f"--sitemap {error}") from None
        is_site = path_of(address) == "/"
        yield from (_named_by(robots, address) or [f"{address}sitemap.xml"]) if is_site else [address]


def _named_by(robots: RobotsOfSites, site: str) -> list[str]:
    """Return the sitemaps that robots.txt names on its own site: it cannot make this machine ask another one."""
    named: dict[str, None] = {}
    for text in robots.sitemaps(site):
        with contextlib.suppress(ValueError):  # as with any line of robots.txt that makes no sense
            address = normal_url(text)
            if site_name(address) == site_name(site):
                named[address] = None
    return list(named)


def _summary(listed: Listed) -> str:
    """Return what was taken and what was not, in one line."""
    text = f"{counted(len(listed.pages), 'page')} of {counted(listed.sitemaps, 'sitemap')}"
    if not listed.left_out:
        return text
    reasons = (f"{n:,} {why} (such as {one_line(listed.examples[why])})" for why, n in listed.left_out.items())
    hint = "; --ignore-robots takes those too" if "by robots.txt" in listed.left_out else ""
    return f"{text}; left out: {', '.join(reasons)}{hint}"


def _lines(file: IO[str]) -> Iterator[str]:
    """Yield the file's addresses; raises ``InputError`` for what is not text."""
    try:
        for line in file:
            text = line.strip().lstrip("\ufeff")
            if text and not text.startswith("#"):
                yield text
    except UnicodeDecodeError:
        raise InputError(f"{file.name!r} is not a text file in UTF-8: expected one address a line") from None
