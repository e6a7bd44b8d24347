"""Finds targets by crawling: where to start, which login to use, and how to report the pages left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from producer.cli.scan.login_files import check_one_site
from producer.cli.scan.options import ScanOptions
from producer.cli.scan.sitemap_targets import (
    left_out_text,
    login_for,
    note_gaps,
    note_problems,
    note_unreadable,
    search_of,
    tell,
    trusted_by,
)
from producer.cli.scan.target_list import Targets
from producer.errors import InputError, PageUnreachable, SightlineError
from producer.reports.plain_text import counted, one_line
from producer.sitemaps.crawl import Bounds, Crawled
from producer.sitemaps.download import Downloads
from producer.sitemaps.search import in_crawls

if TYPE_CHECKING:
    from producer.contract import JsonObject
    from producer.reports.page import Page

_AS_STRANGER: Final = (
    "crawl: links are followed without --login, whose steps need a browser: pages behind it are found with a session "
    "in --storage-state or --cookie-file, or given one by one"
)
_PATTERNS: Final = 5
"""Number of patterns named in the summary, most frequent first."""


def add_crawls(
    wanted: ScanOptions, secrets: JsonObject, urls: dict[str, None], refused: dict[str, Page], targets: Targets
) -> list[SightlineError]:
    """Add the pages that each --crawl finds to ``urls``, a start that cannot be loaded to ``refused``.

    Returns an error if a crawl finds none.
    """
    errors: list[SightlineError] = []
    search = search_of(wanted, targets)
    check_one_site(search.crawl, secrets)
    trusted = trusted_by(wanted)
    if wanted.login and not secrets:
        targets.remarks.append(_AS_STRANGER)

    def downloads_of(start: str) -> Downloads:
        return Downloads(login_for(start, secrets, targets), tell, trusted)

    for part in in_crawls(search, downloads_of, tell=lambda text: tell(f"crawl: {text}")):
        start, found = part.address, part.found
        urls.update(found.pages)
        targets.remarks.append(f"{one_line(start, limit=300)}: {_summary(found, search.bounds)}")
        note_problems(start, found, refused)
        if not wanted.ignore_robots:
            note_gaps(found.pages, part.robots, targets)
            note_unreadable(part.robots, refused)
        if not found.pages:
            nothing = InputError(f"--crawl {start!r} found nothing to scan: {_summary(found, search.bounds)}")
            unreadable = (f"{one_line(why)}, so its pages are not scanned" for why in part.robots.problems.values())
            errors += [*found.problems.values(), *map(PageUnreachable, unreadable), nothing][:1]
    return errors


def _summary(found: Crawled, bounds: Bounds) -> str:
    """Return one line that counts the pages found, by pattern, and those left out."""
    text = f"{counted(len(found.pages), 'page')} by {counted(found.requests, 'request')}"
    common = [(pattern, number) for pattern, number in found.patterns.most_common(_PATTERNS) if number > 1]
    text += f", of them {', '.join(f'{n} {one_line(pattern, limit=80)}' for pattern, n in common)}" if common else ""
    if found.ended and found.ended != "pages":
        text += f"; it ended after {found.ended}"
    elif found.ended and found.left_out:
        text += f"; it ended at --max-pages {bounds.pages}"
    return text + left_out_text(found)
