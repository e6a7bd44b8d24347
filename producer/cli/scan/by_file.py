"""Combines the command line with ``sightline.toml``; the command line takes precedence."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from producer.cli.connect import environment
from producer.cli.scan.config_file import config_file
from producer.cli.scan.options import ScanOptions
from producer.config.finding import NAME
from producer.contract.addresses import normal_url, origin_of
from producer.errors import InputError
from producer.reports.plain_text import counted

if TYPE_CHECKING:
    from producer.config.model import FileWaiver, Gate, Site
    from producer.config.reading import Config, Reading

START_TIMEOUT_S: Final = 60.0
_REPORTS: Final = frozenset({"formats", "output", "as_json"})


class Start(NamedTuple):
    """The application to start before the run: a shell command, its folder, and the address to wait for."""

    command: str
    url: str
    folder: Path
    timeout_s: float = START_TIMEOUT_S


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """One run. ``options`` apply to the run; ``for_page`` returns those of a page.

    ``given`` are the options on the command line. ``sites`` and ``journeys`` are the numbers of the file's sites to
    scan and of its journeys that begin at a page; both are empty if the command line names the pages. ``remarks`` are
    for the user.
    """

    options: ScanOptions
    given: Mapping[str, Any] = field(default_factory=dict[str, Any])
    config: Config | None = None
    sites: tuple[int, ...] = ()
    journeys: tuple[int, ...] = ()
    start: Start | None = None
    remarks: tuple[str, ...] = ()

    def for_page(self, url: str, site: int | None) -> ScanOptions:
        """Return the options of a page, which may belong to a site of the file."""
        if self.config is None:
            return self.options
        from producer.config.layers import page_options

        return dataclasses.replace(self.options, **{**page_options(self.config, url, site), **self.given})

    def for_site(self, number: int) -> ScanOptions:
        """Return the options of a site's sitemaps, crawls and login."""
        from producer.config.options import given

        site = self.file_site(number)
        listed: dict[str, Any] = {
            "sitemaps": tuple(site.sitemaps),
            "crawl": tuple(site.crawl),
            "max_pages": site.max_pages,
            "per_pattern": site.per_pattern,
            "match": tuple(site.match),
            "exclude": tuple(site.exclude),
            "sitemap_replace": tuple(f"{old}={new}" for old, new in site.replace.items()),
            "ignore_robots": site.ignore_robots,
        }
        return dataclasses.replace(self.options, **{**given(site), **self.given, **listed})

    def file_site(self, number: int) -> Site:
        """Return a site of the file."""
        if self.config is None:
            raise AssertionError("a run without a settings file has no sites")
        return self.config.document.site[number]

    @property
    def gate(self) -> Gate | None:
        """The file's gate."""
        return self.config.document.gate if self.config else None

    @property
    def waivers(self) -> Sequence[FileWaiver]:
        """The file's waivers."""
        return self.config.document.waiver if self.config else ()


def combined(
    urls: Sequence[str],
    *,
    has_file: bool,
    options: ScanOptions,
    command: click.Command,
    given: Mapping[str, Any],
    first: str = "",
) -> Wanted:
    """Return the run; prints the errors of a settings file and raises ``InputError`` for them.

    ``first`` is the first address of a list, at which a started application must answer.
    """
    names_pages = bool(urls or options.sitemaps or options.crawl) or has_file
    asked_first = urls or ([first] if first else [])
    path = config_file(options.config, no_config=options.no_config)
    if path is None:
        if options.sites:
            raise click.UsageError(f"--site {options.sites[0]!r} selects a site of {NAME}, but no such file was found")
        _check_max_new(options)
        return Wanted(options, given, start=_start(options, None, asked_first))
    from producer.cli.scan.option_keys import option_keys
    from producer.config.options import given as given_in
    from producer.config.reading import read_config

    config = without_faults(read_config(path, option_keys(command), environment()))
    document = config.document
    merged = {**given_in(document.scan), **given_in(document.gate), **_reports(config, given), **given}
    options = dataclasses.replace(options, **merged)
    sites = () if names_pages else _sites(config, options.sites)
    journeys = () if names_pages else _journeys(config, sites, all_sites=not options.sites)
    remarks = [f"settings of {config.shown}"]
    if not names_pages:
        options = dataclasses.replace(options, wait=True)
    if options.local and options.only_new and "only_new" not in given:
        options = dataclasses.replace(options, only_new=False)
        remarks.append("gate.only_new is ignored: --local keeps nothing between runs; use gate.baseline")
    _check_max_new(options)
    return Wanted(options, given, config, sites, journeys, _start(options, config, asked_first), tuple(remarks))


def without_faults(reading: Reading, *, err: bool = True) -> Config:
    """Return the parsed file; prints its errors, one per line, and raises ``InputError`` if there are any."""
    if reading.config is None:
        for fault in reading.faults:
            click.echo(str(fault), err=err)
        raise InputError(f"{reading.faults[0].file} has {counted(len(reading.faults), 'error')}: nothing was done")
    return reading.config


def _check_max_new(options: ScanOptions) -> None:
    if options.max_new is not None and not (options.only_new or options.baseline):
        raise click.UsageError("max_new limits new barriers: it needs only_new or a baseline to compare with")


def _reports(config: Config, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the file's reports, unless the command line names some."""
    from producer.config.model import STDOUT

    if given.keys() & _REPORTS:
        return {}
    folder = config.path.absolute().parent
    files = {
        field.alias or name: getattr(config.document.reports, name)
        for name, field in type(config.document.reports).model_fields.items()
        if name in config.document.reports.model_fields_set
    }
    formats = tuple(name if file == STDOUT else f"{name}={_in_folder(folder / file)}" for name, file in files.items())
    return {"formats": formats} if formats else {}


def _in_folder(file: Path) -> Path:
    """Return the file after creating its folder: a fresh clone has none for reports."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot create the folder of {str(file)!r}: {error.strerror}") from None
    return file


def _sites(config: Config, names: Sequence[str]) -> tuple[int, ...]:
    numbers = {site.name: number for number, site in enumerate(config.document.site) if site.name}
    if unknown := [name for name in names if name not in numbers]:
        from difflib import get_close_matches

        near = get_close_matches(unknown[0], numbers, n=1)
        hint = (
            f"did you mean {near[0]}?"
            if near
            else f"expected one of {', '.join(numbers) or 'a file in which sites have names'}"
        )
        raise click.UsageError(f"--site {unknown[0]!r} is not a site of {config.shown}: {hint}")
    return tuple(numbers[name] for name in names) if names else tuple(range(len(config.document.site)))


def _journeys(config: Config, sites: tuple[int, ...], *, all_sites: bool) -> tuple[int, ...]:
    """Return the numbers of the journeys that a run over ``sites`` includes: those that begin at a page."""
    from producer.config.journeys import start_of

    document = config.document
    starts = {number: start_of(document, one)[1] for number, one in enumerate(document.journey) if one.page}
    return tuple(number for number, site in starts.items() if all_sites or site in sites)


def _start(options: ScanOptions, config: Config | None, urls: Sequence[str]) -> Start | None:
    """Return the application to start; the file's is not started for other sites given on the command line."""
    given = _address(options.start_url, "--start-url") if options.start_url else ""
    if options.start:
        url = given or _first_address(config, urls)
        if not url:
            raise click.UsageError("--start needs --start-url URL: the address to wait for")
        return Start(options.start, url, Path.cwd())
    start = config.document.start if config else None
    if config is None or start is None:
        if given:
            raise click.UsageError("--start-url needs --start CMD")
        return None
    url = given or start.url or _first_address(config, ()) or _first_address(None, urls)
    if not url:
        raise InputError(f"{config.place('start')}: start has no address to wait for: write start = {{ run, url }}")
    if urls and all(origin_of(one) != origin_of(url) for one in urls):
        return None
    return Start(start.run, url, config.path.absolute().parent, start.timeout)


def _first_address(config: Config | None, urls: Sequence[str]) -> str:
    if urls:
        return _address(urls[0], "--start")
    if config is None:
        return ""
    from producer.config.journeys import start_of

    document = config.document
    of_sites = (url for site in document.site for url in (*site.addresses, site.url, *site.crawl, *site.sitemaps))
    of_journeys = (start_of(document, one)[0] for one in document.journey if one.page)
    return next(filter(None, (*of_sites, *of_journeys)), "")


def _address(text: str, option: str) -> str:
    try:
        return normal_url(text)
    except ValueError as error:
        raise InputError(f"{option}: {error}") from None
