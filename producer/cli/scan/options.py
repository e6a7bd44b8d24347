"""The options of ``scan``; ``schedule add`` shares those about the page. Those about reports: ``report_options.py``.

The page's options become fields of a ``ScanRequest``; options that are not given keep the default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import click

from producer.cli.scan.appearance_options import APPEARANCE_OPTIONS
from producer.cli.scan.certificate_file import read_certificates
from producer.cli.scan.live import CHECK_OPTIONS, given_checks
from producer.cli.scan.report_options import together
from producer.cli.terminal import Seconds
from producer.contract.doubts import DOUBTS
from producer.contract.rules import check_rule
from producer.contract.selectors import check_selector

if TYPE_CHECKING:
    from producer.contract import JsonObject

STANDARDS: Final = ("wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "wcag22aaa", "best-practice")
LANES: Final = ("interactive", "batch")
_Given = TypeVar("_Given", str, "str | None", tuple[str, ...])


@dataclass(frozen=True, slots=True, eq=False)
class ScanOptions:
    """The options as given; ``None`` and empty mean not given."""

    device: tuple[str, ...] = ()
    viewport: tuple[JsonObject, ...] = ()
    color_scheme: tuple[str, ...] = ()
    forced_colors: tuple[str, ...] = ()
    reduced_motion: tuple[str, ...] = ()
    zoom: tuple[int, ...] = ()
    text_size: tuple[int, ...] = ()
    standard: str = "wcag22aa"
    wait: bool = False
    timeout_s: float | None = None
    assess_wait_s: float | None = None
    fail_on: str | None = None
    strict: bool = False
    formats: tuple[str, ...] = ()
    output: str | None = None
    sarif_category: str | None = None
    resume: bool = False
    batch: str | None = None
    job_id: str | None = None
    lane: str | None = None
    no_assess: bool = False
    as_json: bool = False
    screenshot: bool = False
    only_new: bool = False
    run: str | None = None
    baseline: str | None = None
    write_baseline: str | None = None
    header_file: str | None = None
    cookie_file: str | None = None
    storage_state: str | None = None
    sitemaps: tuple[str, ...] = ()
    match: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    sitemap_replace: tuple[str, ...] = ()
    ignore_robots: bool = False
    crawl: tuple[str, ...] = ()
    max_pages: int | None = None
    per_pattern: int | None = None
    local: bool = False
    config: str | None = None
    no_config: bool = False
    sites: tuple[str, ...] = ()
    start: str | None = None
    start_url: str | None = None
    max_new: int | None = None
    groups: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    disabled_rules: tuple[str, ...] = ()
    enabled_rules: tuple[str, ...] = ()
    wait_for: str | None = None
    wait_until: str | None = None
    deadline_s: float | None = None
    blocked_hosts: tuple[str, ...] = ()
    allow_partial: tuple[str, ...] = ()
    insecure: bool = False
    ca: str | None = None
    no_scroll: bool = False
    try_fixes: bool | None = None
    steps: str | None = None
    login: str | None = None
    checks: tuple[str, ...] = ()
    live: bool = False

    @property
    def waits(self) -> bool:
        """Whether to wait for results: requested, or needed by another option."""
        implied = (
            self.timeout_s,
            self.assess_wait_s,
            self.fail_on,
            self.strict,
            self.formats,
            self.output,
            self.resume,
            self.start,
            self.max_new is not None,
        )
        return self.wait or any(map(bool, (*implied, self.only_new, self.baseline, self.write_baseline, self.local)))


def request_options(options: ScanOptions) -> JsonObject:
    """Return the fields of a ``ScanRequest`` that the page's options set, the same in all states."""
    fields: JsonObject = {
        "include": list(options.within),
        "exclude": list(options.without),
        "disabled_rules": list(options.disabled_rules),
        "enabled_rules": list(options.enabled_rules),
        "wait_for": options.wait_for,
        "wait_until": options.wait_until,
        "deadline_s": options.deadline_s,
        "blocked_hosts": list(options.blocked_hosts),
        "allow_partial": list(options.allow_partial),
        "insecure": options.insecure or None,
        "ca": options.ca,
        "scroll": False if options.no_scroll else None,
        "try_fixes": options.try_fixes,
        "checks": given_checks(options.checks, live=options.live),
    }
    return {name: value for name, value in fields.items() if value or value is False}


def groups_of(urls: Iterable[str], groups: Sequence[str]) -> dict[str, str]:
    """Return the group of each page that has one, from the first matching ``GLOB=NAME`` or a plain name."""
    if not groups:
        return {}
    from producer.sitemaps.sitemap import fits  # imports defusedxml and ssl: only where needed

    rules = [(glob, name) for glob, _, name in map(split_group, groups)]
    named: dict[str, str] = {}
    for url in urls:
        name = next((name for glob, name in rules if not glob or fits(url, glob)), "")
        if name:
            named[url] = name
    return named


def split_group(group: str) -> tuple[str, str, str]:
    """Return the pattern ('' for all pages), the separator and the name of ``--group GLOB=NAME``."""
    glob, sign, name = group.rpartition("=")
    if not name or (sign and not glob):
        msg = f"--group {group!r}: expected a name such as shop, or a pattern and a name such as '/shop/*=shop'"
        raise click.UsageError(msg)
    return glob, sign, name


def _each(check: Callable[[str], str]) -> Callable[[click.Context, click.Parameter, _Given], _Given]:
    """Return a callback that checks each value of an option and refuses it with the message of ``check``."""

    def read(_context: click.Context, _option: click.Parameter, given: _Given) -> _Given:
        try:
            for text in (given,) if isinstance(given, str) else given or ():
                check(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
        return given

    return read


def _check_host(text: str) -> str:
    from producer.contract.hosts import check_host_pattern  # slow import, needed only if a host is given

    return check_host_pattern(text)


page_options = together(
    click.option(
        "--group",
        "groups",
        multiple=True,
        metavar="[GLOB=]G",
        help="Group pages by template or section: shop, or '/shop/*=shop'; repeatable.",
    ),
    click.option(
        "--within",
        multiple=True,
        metavar="CSS",
        callback=_each(check_selector),
        help="Scan only this part of each page; repeatable.",
    ),
    click.option(
        "--without",
        multiple=True,
        metavar="CSS",
        callback=_each(check_selector),
        help="Exclude this part of each page, such as '#chat-widget'; repeatable.",
    ),
    click.option(
        "--disable",
        "disabled_rules",
        multiple=True,
        metavar="RULE",
        callback=_each(check_rule),
        help="Skip this axe rule, such as color-contrast; repeatable.",
    ),
    click.option(
        "--enable",
        "enabled_rules",
        multiple=True,
        metavar="RULE",
        callback=_each(check_rule),
        help="Also run this axe rule, such as css-orientation-lock; repeatable; experimental ones need review.",
    ),
    click.option(
        "--block",
        "blocked_hosts",
        multiple=True,
        metavar="HOST",
        callback=_each(_check_host),
        help="Block requests to this host, such as '*.ads.example'; repeatable.",
    ),
    click.option(
        "--allow-partial",
        multiple=True,
        metavar="KIND",
        type=click.Choice(sorted(DOUBTS)),
        help="Accept this kind of doubt, such as unread-frame; repeatable.",
    ),
    *APPEARANCE_OPTIONS,
    click.option(
        "--wait-for", metavar="CSS", callback=_each(check_selector), help="Wait until this element is on the page."
    ),
    click.option(
        "--wait-until",
        type=click.Choice(("load", "domcontentloaded")),
        help="Load event to wait for.  [default: load]",
    ),
    click.option(
        "--deadline",
        "deadline_s",
        type=Seconds(600),
        metavar="S",
        help="Seconds allowed for scanning one page, up to 600.  [default: 60]",
    ),
    *CHECK_OPTIONS,
    click.option("--insecure", is_flag=True, help="Ignore certificate errors, for staging; the result says so."),
    click.option(
        "--ca",
        type=click.Path(),
        metavar="F",
        callback=read_certificates,
        help="Also trust the authorities in this PEM file, for staging.",
    ),
    click.option("--no-scroll", is_flag=True, help="Do not scroll through pages before the audit."),
    click.option(
        "--try-fixes/--no-try-fixes",
        "try_fixes",
        default=None,
        help="Try fixes in the browser, which loads each page again.  [default: yes, unless --no-assess]",
    ),
)
