"""Finds targets in sitemaps: which files to read, which login to use, and how to report the result."""

from __future__ import annotations

import re
import ssl
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Final, cast

from producer.cli.ci import say
from producer.cli.scan.login_files import check_one_site
from producer.cli.scan.options import ScanOptions
from producer.cli.scan.target_list import Targets
from producer.client.submission import with_basic_login
from producer.contract.addresses import hide_user_info, origin_of, path_of
from producer.contract.certificates import trusting
from producer.errors import InputError, SightlineError
from producer.reports.page import Page, refused_page
from producer.reports.plain_text import counted, middle_cut, one_line
from producer.sitemaps.crawl import PAGES, PER_PATTERN, Bounds
from producer.sitemaps.download import Downloads
from producer.sitemaps.robots import RobotsOfSites
from producer.sitemaps.search import Search, in_sitemaps
from producer.sitemaps.site_login import SiteLogin
from producer.sitemaps.sitemap import Listed

if TYPE_CHECKING:
    from producer.contract import JsonObject

SHOWN_PROBLEMS: Final = 20
"""Maximum number of invalid addresses of a sitemap named one by one; more are counted."""
_PAIR: Final = re.compile(r"(https?://[^\s]+?)=(https?://[^\s]+)", re.IGNORECASE)


def add_sitemaps(
    wanted: ScanOptions, secrets: JsonObject, urls: dict[str, None], refused: dict[str, Page], targets: Targets
) -> list[SightlineError]:
    """Add the pages of the sitemaps to ``urls``, invalid ones to ``refused``; return an error if a sitemap has none."""
    errors: list[SightlineError] = []
    search = search_of(wanted, targets)
    check_one_site(search.sitemaps, secrets)
    trusted = trusted_by(wanted)
    for part in in_sitemaps(search, lambda address: Downloads(login_for(address, secrets, targets), tell, trusted)):
        sitemap, listed = part.address, part.found
        urls.update(listed.pages)
        targets.remarks.append(f"{one_line(sitemap, limit=300)}: {_summary(listed)}")
        if not wanted.ignore_robots:
            note_gaps(listed.pages, part.robots, targets)
            note_unreadable(part.robots, refused)
        note_problems(sitemap, listed, refused)
        if not listed.pages:
            why = "".join(f"; {one_line(problem)}" for problem in list(part.robots.problems.values())[:1])
            nothing = InputError(f"{sitemap!r} lists nothing to scan: {_summary(listed)}{why}")
            errors.append(next(iter(listed.problems.values()), nothing))
    return errors


def search_of(wanted: ScanOptions, targets: Targets) -> Search:
    """Return the search for the options, with normalised addresses; logins in addresses are added to ``targets``."""
    return Search(
        tuple(_address(text, "--sitemap", targets) for text in wanted.sitemaps),
        tuple(_address(text, "--crawl", targets) for text in wanted.crawl),
        wanted.match,
        wanted.exclude,
        _pairs(wanted.sitemap_replace, targets),
        wanted.ignore_robots,
        Bounds(wanted.max_pages or PAGES, wanted.per_pattern or PER_PATTERN),
    )


def trusted_by(wanted: ScanOptions) -> ssl.SSLContext | None:
    """Return the TLS context for the servers of sitemaps, the same as for pages."""
    if wanted.insecure:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    return trusting(wanted.ca) if wanted.ca else None


def tell(text: str) -> None:
    """Print progress to stderr."""
    say(one_line(text, limit=400))


def _address(text: str, option: str, targets: Targets) -> str:
    try:
        return targets.address(text)
    except ValueError as error:
        raise InputError(f"{option} {error}") from None


def _pairs(given: Iterable[str], targets: Targets) -> tuple[tuple[str, str], ...]:
    """Return the pairs of --sitemap-replace, normalised like addresses."""
    pairs: list[tuple[str, str]] = []
    for text in given:
        pair = _PAIR.fullmatch(text.strip())
        try:
            sides = [targets.address(side) for side in pair.groups()] if pair else []
        except ValueError as error:
            raise InputError(f"--sitemap-replace: {error}") from None
        if len(sides) != 2:  # noqa: PLR2004  from and to
            shown = hide_user_info(text)
            msg = f"--sitemap-replace {shown!r}: expected FROM=TO, such as https://shop.example=https://preview.example"
            raise InputError(msg)
        if all(path_of(side) == "/" for side in sides):  # two sites
            sides = [side.rstrip("/") for side in sides]
        pairs.append((sides[0], sides[1]))
    return tuple(pairs)


def login_for(address: str, secrets: JsonObject, targets: Targets) -> SiteLogin:
    """Return the credentials for a sitemap or page, and for its site's robots.txt."""
    origin = origin_of(address)
    if origin in targets.logins:
        secrets = with_basic_login(secrets, targets.logins[origin])
    state = cast("JsonObject", secrets.get("storage_state") or {})
    return SiteLogin(origin, secrets.get("headers") or {}, [*state.get("cookies", []), *secrets.get("cookies", [])])


def note_problems(sitemap: str, listed: Listed, refused: dict[str, Page]) -> None:
    """Add the addresses of a sitemap or crawl that cannot be used to ``refused``: a run without them is no pass."""
    problems = list(listed.problems.items())
    for address, error in problems[:SHOWN_PROBLEMS]:
        shown = one_line(hide_user_info(address), limit=500)
        refused[address] = refused_page(shown, middle_cut(one_line(str(error)), 600))
    if len(problems) > SHOWN_PROBLEMS:
        more = f"{counted(len(problems) - SHOWN_PROBLEMS, 'more address')} in {sitemap!r} cannot be used either"
        refused[more] = refused_page(one_line(sitemap, limit=500), one_line(more, limit=600))


def note_unreadable(robots: RobotsOfSites, refused: dict[str, Page]) -> None:
    """Add the robots.txt files that could not be read to ``refused``: they may forbid any page."""
    for address, why in robots.problems.items():
        problem = f"{one_line(why)}, so its site's pages are not scanned"
        refused[address] = refused_page(one_line(address, limit=500), middle_cut(problem, 600))


def note_gaps(pages: Iterable[str], robots: RobotsOfSites, targets: Targets) -> None:
    """Read the gaps that the sites' robots.txt files ask for, and report how long the scans will take."""
    slow = {url: gap_ms for url in pages if (gap_ms := robots.gap_ms(url))}
    targets.gaps_ms.update(slow)
    by_site = Counter(map(origin_of, slow))
    for site, number in by_site.items():
        gap_s = max(gap_ms for url, gap_ms in slow.items() if origin_of(url) == site) / 1000
        took = f"{counted(number, 'page')} take at least {timedelta(seconds=round(gap_s * (number - 1)))}"
        targets.remarks.append(f"robots.txt of {one_line(site, limit=300)} asks for {gap_s:g} s between pages: {took}")


def _summary(listed: Listed) -> str:
    """Return one line that counts the pages found and those left out."""
    return f"{counted(len(listed.pages), 'page')} of {counted(listed.sitemaps, 'sitemap')}{left_out_text(listed)}"


def left_out_text(listed: Listed) -> str:
    """Return the pages left out and why, as the end of a line."""
    if not listed.left_out:
        return ""
    reasons = (f"{n:,} {why} (such as {one_line(listed.examples[why])})" for why, n in listed.left_out.items())
    hint = "; --ignore-robots includes those" if "by robots.txt" in listed.left_out else ""
    return f"; left out: {', '.join(reasons)}{hint}"
