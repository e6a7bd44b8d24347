"""The options of ``scan``; ``schedule add`` shares those about the page, ``result`` those about reports.

The page's options become fields of a ``ScanRequest``; one that is not given is left to its default.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from producer.contract import JsonObject

STANDARDS: Final = ("wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice")
FAIL_ON: Final = ("minor", "moderate", "serious", "critical", "never")
LANES: Final = ("interactive", "batch")
_Command = TypeVar("_Command", bound=Callable[..., Any])
_SIZE: Final = re.compile(r"(\d{1,5})x(\d{1,5})", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """The options as given; ``None`` and empty are not given."""

    standard: str = "wcag22aa"
    wait: bool = False
    timeout_s: float | None = None
    fail_on: str | None = None
    formats: tuple[str, ...] = ()
    output: str | None = None
    resume: bool = False
    batch: str | None = None
    job_id: str | None = None
    lane: str | None = None
    no_assess: bool = False
    as_json: bool = False
    screenshot: bool = False
    only_new: bool = False
    baseline: str | None = None
    write_baseline: str | None = None
    header_file: str | None = None
    cookie_file: str | None = None
    storage_state: str | None = None
    sitemaps: tuple[str, ...] = ()
    match: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    ignore_robots: bool = False
    local: bool = False
    groups: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    disabled_rules: tuple[str, ...] = ()
    viewport: JsonObject | None = None
    wait_for: str | None = None
    no_scroll: bool = False

    @property
    def waits(self) -> bool:
        """Whether results are waited for: asked for, or needed by another option."""
        implied = (self.timeout_s, self.fail_on, self.formats, self.output, self.resume)
        return self.wait or any(map(bool, (*implied, self.only_new, self.baseline, self.write_baseline, self.local)))


def request_options(options: ScanOptions) -> JsonObject:
    """Return the fields of a ``ScanRequest`` that the options about the page ask for."""
    fields: JsonObject = {
        "include": list(options.within),
        "exclude": list(options.without),
        "disabled_rules": list(options.disabled_rules),
        "viewport": options.viewport,
        "wait_for": options.wait_for,
        "scroll": False if options.no_scroll else None,
    }
    return {name: value for name, value in fields.items() if value or value is False}


def groups_of(urls: Iterable[str], groups: Sequence[str]) -> dict[str, str]:
    """Return the group of each page that has one: that of the first ``GLOB=NAME`` that fits, or of a plain name."""
    if not groups:
        return {}
    from producer.sitemaps.sitemap import fits  # defusedxml and ssl, for those who need them

    rules = [(glob, name) for glob, _, name in map(_split, groups)]
    named: dict[str, str] = {}
    for url in urls:
        name = next((name for glob, name in rules if not glob or fits(url, glob)), "")
        if name:
            named[url] = name
    return named


def _split(group: str) -> tuple[str, str, str]:
    glob, sign, name = group.rpartition("=")
    if not name or (sign and not glob):
        msg = f"--group {group!r}: expected a name such as shop, or a pattern and a name such as '/shop/*=shop'"
        raise click.UsageError(msg)
    return glob, sign, name


def _read_size(_context: click.Context, _option: click.Parameter, text: str | None) -> JsonObject | None:
    if text is None:
        return None
    size = _SIZE.fullmatch(text)
    if size is None:
        raise click.BadParameter(f"{text!r}: expected width and height in CSS pixels, such as 390x844")
    return {"width": int(size[1]), "height": int(size[2])}


def _together(*options: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    """Return one decorator for several options, listed in the help in the order given."""

    def give(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return give


page_options = _together(
    click.option(
        "--group",
        "groups",
        multiple=True,
        metavar="[GLOB=]G",
        help="Name the pages' template or section: shop, or '/shop/*=shop'; repeatable.",
    ),
    click.option("--within", multiple=True, metavar="CSS", help="Scan only this part of each page; repeatable."),
    click.option(
        "--without", multiple=True, metavar="CSS", help="Leave out this part, such as '#chat-widget'; repeatable."
    ),
    click.option(
        "--disable",
        "disabled_rules",
        multiple=True,
        metavar="RULE",
        help="Leave out this axe rule, such as color-contrast; repeatable.",
    ),
    click.option("--viewport", metavar="WxH", callback=_read_size, help="Size of the window.  [default: 1280x800]"),
    click.option("--wait-for", metavar="CSS", help="Wait until this is on the page."),
    click.option("--no-scroll", is_flag=True, help="Do not scroll through pages before they are audited."),
)
report_options = _together(
    click.option(
        "--timeout", "timeout_s", type=click.FloatRange(0, min_open=True), metavar="S", help="Seconds to wait."
    ),
    click.option(
        "--fail-on",
        type=click.Choice(FAIL_ON),
        help="Exit 1 if any counted finding has this impact or worse.  [default: serious]",
    ),
    click.option("--format", "formats", multiple=True, metavar="FORMAT[=PATH]", help="Report to write; repeatable."),
    click.option("--output", "-o", type=click.Path(), metavar="PATH", help="File of the report, or folder of several."),
)
