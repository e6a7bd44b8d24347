"""The states that result from the options of ``scan`` that set how pages are shown (``appearance_options.py``).

An option given twice makes two states; several such options make every combination. ``producer/contract/appearance.py``
documents each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from producer.cli.scan.options import ScanOptions
    from producer.contract import JsonObject

MAX_STATES: Final = 24
"""More states are probably a mistake: each adds a scan of every page."""


def states_of(options: ScanOptions) -> tuple[JsonObject, ...]:
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
