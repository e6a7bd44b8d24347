"""The journeys of ``sightline.toml``: those that ``login`` and ``steps`` name, and those that begin at a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from producer.cli.scan.by_file import Wanted
    from producer.config.reading import Config
    from producer.contract.steps import Step

Named = Mapping[str, "FileJourney"]
"""Journeys by the value that an option which names one has: its name as a path, for the option may be a file."""


@dataclass(frozen=True, slots=True)
class FileJourney:
    """The steps of one; ``where`` is what messages call it, ``places`` where each step stands."""

    where: str
    steps: tuple[Step, ...]
    places: tuple[str, ...]


def file_journeys(config: Config | None) -> dict[str, FileJourney]:
    """Return the file's journeys by the values that name them."""
    if config is None:
        return {}
    journeys: dict[str, FileJourney] = {}
    for number, journey in enumerate(config.document.journey):
        places = tuple(config.place("journey", number, "steps", step) for step in range(len(journey.steps)))
        where = f"{config.place('journey', number)}: journey {journey.name!r}"
        journeys[_value_of(config, journey.name)] = FileJourney(where, tuple(journey.steps), places)
    return journeys


def wanted_journeys(config: Config, sites: tuple[int, ...], *, all_sites: bool) -> tuple[int, ...]:
    """Return the numbers of the journeys that a run over ``sites`` does besides: those that begin at a page."""
    from producer.config.journeys import start_of

    document = config.document
    starts = {number: start_of(document, one)[1] for number, one in enumerate(document.journey) if one.page}
    return tuple(number for number, site in starts.items() if all_sites or site in sites)


def begun_at(wanted: Wanted) -> Iterator[tuple[str, int | None, str]]:
    """Yield where each wanted journey begins, the number of the site whose options hold, and its ``steps`` option."""
    if wanted.config is None:
        return
    from producer.config.journeys import start_of
    from producer.config.layers import site_of

    for number in wanted.journeys:
        journey = wanted.config.document.journey[number]
        url, site = start_of(wanted.config.document, journey)
        yield url, site_of(wanted.config, url) if site is None else site, _value_of(wanted.config, journey.name)


def _value_of(config: Config, name: str) -> str:
    return str(config.path.absolute().parent / name)
