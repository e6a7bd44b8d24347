"""The options of ``scan`` that set how pages are shown, and the states that result.

An option given twice makes two states; several such options make every combination. ``producer/contract/appearance.py``
documents each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from producer.contract import JsonObject

MAX_STATES: Final = 24
"""More states are probably a mistake: each adds a scan of every page."""
_SIZE: Final = re.compile(r"(\d{1,5})(?:x(\d{1,5}))?", re.IGNORECASE | re.ASCII)
_PERCENT: Final = re.compile(r"(\d{1,4})\s*%?", re.ASCII)


@dataclass(frozen=True, slots=True)
class AppearanceOptions:
    """The options as given; empty means not given."""

    device: tuple[str, ...] = ()
    viewport: tuple[JsonObject, ...] = ()
    color_scheme: tuple[str, ...] = ()
    forced_colors: tuple[str, ...] = ()
    reduced_motion: tuple[str, ...] = ()
    zoom: tuple[int, ...] = ()
    text_size: tuple[int, ...] = ()


def states_of(options: AppearanceOptions) -> tuple[JsonObject, ...]:
    """Return the fields of a ``ScanRequest`` for each requested state, at least one; the default state has none.

    Raises ``UsageError`` for an impossible state and for too many.
    """
    windows = [{"viewport": size} for size in options.viewport] + [{"device": name} for name in options.device]
    found: dict[str, JsonObject] = {}
    for fields in _combinations(
        windows,
        [{"color_scheme": value} for value in options.color_scheme],
        [{"forced_colors": value == "active"} for value in options.forced_colors],
        [{"reduced_motion": value == "reduce"} for value in options.reduced_motion],
        [{"zoom": value} for value in options.zoom],
        [{"text_size": value} for value in options.text_size],
    ):
        if "device" in fields and fields.get("zoom", 100) != 100 and 100 in options.zoom:  # noqa: PLR2004  percent
            continue  # only desktop windows zoom: the device itself is already among the states
        found.setdefault(*_checked(fields))
    if len(found) > MAX_STATES:
        msg = f"the options for how pages are shown give {len(found)} states per page: expected at most {MAX_STATES}"
        raise click.UsageError(msg)
    return tuple(found.values()) or ({},)


def state_names(states: Iterable[JsonObject]) -> list[str]:
    """Return the states' names, '' for the default state."""
    return [_checked(fields)[0] if fields else "" for fields in states]


def _combinations(*choices: Sequence[JsonObject]) -> Iterator[JsonObject]:
    given = [some for some in choices if some]
    for chosen in product(*given) if given else ():
        yield {name: value for fields in chosen for name, value in fields.items()}


def _checked(fields: JsonObject) -> tuple[str, JsonObject]:
    """Return the state's name, and its fields that differ from the default."""
    from pydantic import ValidationError  # slow import, needed only for states

    from producer.contract.appearance import Appearance
    from producer.contract.message import describe_invalid

    try:
        shown = Appearance.model_validate(fields)
    except ValidationError as error:
        raise click.UsageError(describe_invalid(error)) from None
    return shown.state, shown.model_dump(mode="json", exclude_defaults=True)


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
        help="Zoom of the browser; at 400 the window has 320 CSS pixels (WCAG 1.4.10); repeatable.  [default: 100]",
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
