"""The pages of a run, from the command line or the file's sites, each with its options and credentials."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TextIO

import click

from producer.cli.connect import environment
from producer.cli.scan.by_file import Wanted
from producer.cli.scan.file_journeys import begun_at
from producer.cli.scan.login_files import HEADERS_VARIABLE, check_one_site, read_secrets
from producer.cli.scan.options import ScanOptions
from producer.cli.scan.target_list import Targets
from producer.cli.scan.targets import read_targets
from producer.errors import InputError

if TYPE_CHECKING:
    from producer.contract import JsonObject


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """One page to scan."""

    url: str
    options: ScanOptions
    secrets: JsonObject = field(repr=False)


def asked_pages(wanted: Wanted, urls: Sequence[str], file: TextIO | None) -> tuple[Targets, tuple[Asked, ...]]:
    """Return the pages, the remarks and the refused addresses; raises as ``read_targets`` does."""
    logins = _Logins(wanted)
    if wanted.config is None:
        targets = read_targets(urls, file, wanted.options, logins.of(None))
        asked = tuple(Asked(url, wanted.options, logins.of(None)) for url in targets.urls)
    else:
        by_file = wanted.sites or wanted.journeys
        targets, owners = _by_sites(wanted, logins) if by_file else _given(wanted, urls, file, logins)
        asked = tuple(Asked(url, wanted.for_page(url, site), logins.of(site)) for url, site in owners.items())
        asked += _of_journeys(wanted, targets, logins)
    logins.check(asked)
    _check_blocked(asked)
    return targets, asked


class _Logins:
    """The credentials of each site, read once."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._read: dict[int | None, JsonObject] = {}

    def of(self, site: int | None) -> JsonObject:
        if site not in self._read:
            options = self._wanted.options if site is None else self._wanted.for_site(site)
            self._read[site] = read_secrets(
                header_file=options.header_file,
                cookie_file=options.cookie_file,
                storage_state=options.storage_state,
                headers_variable=environment().get(HEADERS_VARIABLE, ""),
            )
        return self._read[site]

    def check(self, asked: Iterable[Asked]) -> None:
        """Raise ``InputError`` if one login would be sent to several sites."""
        urls: dict[int, list[str]] = {}
        for page in asked:
            urls.setdefault(id(page.secrets), []).append(page.url)
        for secrets in self._read.values():
            check_one_site(urls.get(id(secrets), []), secrets)
        if len(urls) > 1 and (variable := environment().get(HEADERS_VARIABLE, "")):
            everywhere = read_secrets(header_file=None, cookie_file=None, storage_state=None, headers_variable=variable)
            check_one_site([url for some in urls.values() for url in some], everywhere)


def _given(
    wanted: Wanted, urls: Sequence[str], file: TextIO | None, logins: _Logins
) -> tuple[Targets, dict[str, int | None]]:
    from producer.config.layers import site_of

    config = wanted.config
    if not urls and file is None and not (wanted.options.sitemaps or wanted.options.crawl) and config is not None:
        raise InputError(f"nothing to scan: {config.shown} has no [[site]], and no address was given")
    targets = read_targets(urls, file, wanted.options, logins.of(None))
    return targets, {url: site_of(config, url) if config else None for url in targets.urls}


def _of_journeys(wanted: Wanted, targets: Targets, logins: _Logins) -> tuple[Asked, ...]:
    """Return the start pages of the file's journeys, with the options of the page and the journey's steps."""
    asked: list[Asked] = []
    for text, site, steps in begun_at(wanted):
        try:
            url = targets.address(text)
        except ValueError as error:
            raise InputError(f"{wanted.config.shown if wanted.config else ''}: {error}") from None
        asked.append(Asked(url, replace(wanted.for_page(url, site), steps=steps), logins.of(site)))
    return tuple(asked)


def _by_sites(wanted: Wanted, logins: _Logins) -> tuple[Targets, dict[str, int | None]]:
    whole, owners = Targets(), dict[str, "int | None"]()
    for number in wanted.sites:
        part = _site_targets(wanted, number, logins)
        for url in part.urls:
            owners.setdefault(url, number)
        whole.refused += part.refused
        whole.remarks += part.remarks
        whole.gaps_ms |= part.gaps_ms
        for origin, login in part.logins.items():
            if whole.logins.setdefault(origin, login) != login:
                raise InputError(f"{origin!r} has two logins: scan with one login at a time")
    whole.urls = tuple(owners)
    return whole, owners


def _site_targets(wanted: Wanted, number: int, logins: _Logins) -> Targets:
    site, options = wanted.file_site(number), wanted.for_site(number)
    if not site.file or wanted.config is None:
        return read_targets(site.addresses, None, options, logins.of(number))
    path = wanted.config.path.absolute().parent / site.file
    try:
        with path.open(encoding="utf-8") as file:
            return read_targets(site.addresses, file, options, logins.of(number))
    except OSError as error:
        place = wanted.config.place("site", number, "file")
        raise InputError(f"{place}: cannot read {str(path)!r}: {error.strerror}") from None


def _check_blocked(asked: Iterable[Asked]) -> None:
    """Raise ``UsageError`` for a page on a host that --block blocks: it could not be loaded."""
    blocking = [page for page in asked if page.options.blocked_hosts]
    if not blocking:
        return
    from producer.contract.addresses import host_of
    from producer.contract.hosts import check_host_pattern, fits_host

    for page in blocking:
        host = host_of(page.url)
        if fits_host(host, tuple(map(check_host_pattern, page.options.blocked_hosts))):
            raise click.UsageError(f"--block {host!r} is the host of a page to scan, {page.url}: remove it")
