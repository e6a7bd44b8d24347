"""The options of ``scan`` that set how pages are shown. Next: ``appearance.py``, the states that result."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from producer.contract import JsonObject

_SIZE: Final = re.compile(r"(\d{1,5})(?:x(\d{1,5}))?", re.IGNORECASE | re.ASCII)
_PERCENT: Final = re.compile(r"(\d{1,4})\s*%?", re.ASCII)


def _read_sizes(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> tuple[JsonObject, ...]:
    return tuple(map(_size, given))


def _size(text: str) -> JsonObject:
    size = _SIZE.fullmatch(text)
    if size is None:
        raise click.BadParameter(f"{text!r}: expected width and height in CSS pixels, such as 390x844, or the width")
    return {"width": int(size[1])} | ({"height": int(size[2])} if size[2] else {})


def _read_percents(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> tuple[int, ...]:
    found = [_PERCENT.fullmatch(text.strip()) for text in given]
    for text, percent in zip(given, found, strict=True):
        if percent is None:
            raise click.BadParameter(f"{text!r}: expected a percentage such as 400")
    return tuple(int(percent[1]) for percent in found if percent)


def _check_devices(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    if not given:
        return ()
    from producer.contract.devices import DESKTOP, find_device  # reads a file, needed only for named devices

    try:
        return tuple(name if name == DESKTOP else find_device(name).name for name in given)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


APPEARANCE_OPTIONS: Final = (
    click.option(
        "--device",
        multiple=True,
        metavar="NAME",
        callback=_check_devices,
        help="Device to emulate: 'iPhone 14', 'Pixel 9', … ('… landscape', 'desktop'); repeatable.",
    ),
    click.option(
        "--viewport",
        multiple=True,
        metavar="W[xH]",
        callback=_read_sizes,
        help="Size of the window; repeatable.  [default: 1280x800]",
    ),
    click.option(
        "--color-scheme",
        multiple=True,
        type=click.Choice(("light", "dark")),
        help="Colour scheme that pages see; repeatable.  [default: light]",
    ),
    click.option(
        "--forced-colors",
        multiple=True,
        type=click.Choice(("none", "active")),
        help="Forced colours, as in Windows' contrast themes; repeatable.  [default: none]",
    ),
    click.option(
        "--reduced-motion",
        multiple=True,
        type=click.Choice(("reduce", "no-preference")),
        help="Whether pages are asked to reduce motion; repeatable.  [default: reduce]",
    ),
    click.option(
        "--zoom",
        multiple=True,
        metavar="PERCENT",
        callback=_read_percents,
        help="Browser zoom; at 400 the window is 320 CSS pixels wide (WCAG 1.4.10); repeatable.  [default: 100]",
    ),
    click.option(
        "--text-size",
        multiple=True,
        metavar="PERCENT",
        callback=_read_percents,
        help="The browser's default text size; repeatable.  [default: 100]",
    ),
)
"""In the order of the help."""
