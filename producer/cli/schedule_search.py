"""Schedules whose pages are searched for each run: builds the search, and tries it once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from producer.cli.scan.appearance import states_of
from producer.cli.scan.journeys import read_journeys
from producer.cli.scan.options import ScanOptions, split_group
from producer.cli.scan.sitemap_targets import search_of
from producer.cli.scan.target_list import Targets
from producer.cli.scan.targets import read_targets
from producer.client.submission import prepare
from producer.contract.page_search import PageSearch
from producer.errors import InputError
from producer.stored.schedules import no_login

if TYPE_CHECKING:
    from producer.contract import JsonObject


def found_now(given: Targets, asked: ScanOptions) -> Targets:
    """Return the pages that a run would have now. Raises ``InputError`` for a name and password in an address."""
    for url in given.urls:
        if (with_login := given.with_login(url)) != url:
            raise InputError(no_login(with_login))
    targets = read_targets(given.urls, None, asked)
    if targets.logins:
        raise InputError(no_login(next(url for url in (*asked.sitemaps, *asked.crawl) if "@" in url)))
    targets.refused = (*given.refused, *targets.refused)
    return targets


def check_pages(payloads: Iterable[JsonObject]) -> None:
    """Raise ``InvalidJob`` for payloads that a scan would refuse, rather than at the schedule's first run."""
    for payload in payloads:
        prepare("scan", payload)


def search_for(urls: Sequence[str], asked: ScanOptions, fields: JsonObject) -> JsonObject:
    """Return the payload of the job that finds the pages of a run, in addition to ``urls``, and submits their scans."""
    search = search_of(asked, Targets())
    journeys = read_journeys(asked, {}, {})
    login = journeys.login_for([*urls, *search.sitemaps, *search.crawl])
    fields = fields | ({} if login is None else {"login": login})
    ways = list(journeys.states.values()) or [()]
    forms = [
        {**fields, **look, **({"steps": list(steps)} if steps else {})} for steps in ways for look in states_of(asked)
    ]
    about = PageSearch(
        urls=tuple(urls),
        sitemaps=search.sitemaps,
        crawl=search.crawl,
        match=search.match,
        exclude=search.exclude,
        replaced=search.replaced,
        ignore_robots=search.ignore_robots,
        max_pages=search.bounds.pages,
        per_pattern=search.bounds.per_pattern,
        insecure=asked.insecure,
        ca=asked.ca or "",
        groups=tuple((glob, name) for glob, _, name in map(split_group, asked.groups)),
        forms=tuple(forms),
    )
    return about.model_dump(mode="json", exclude_defaults=True)
