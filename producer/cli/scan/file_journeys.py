"""The journeys of ``sightline.toml``: those named by ``login`` and ``steps``, and those that begin at a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from producer.cli.scan.step_variables import read_variable
from producer.errors import InputError

if TYPE_CHECKING:
    from producer.cli.scan.by_file import Wanted
    from producer.config.reading import Config
    from producer.contract.steps import Step

Named = Mapping[str, "FileJourney"]
"""Journeys by the option value that names them: written as a path, since the option may also name a file."""


class FileJourney(NamedTuple):
    """The steps of a journey; ``where`` names it in messages, ``places`` has each step's position."""

    where: str
    steps: tuple[Step, ...]
    places: tuple[str, ...]


def file_journeys(config: Config | None) -> dict[str, FileJourney]:
    """Return the file's journeys by the option values that name them."""
    if config is None:
        return {}
    journeys: dict[str, FileJourney] = {}
    for number, journey in enumerate(config.document.journey):
        places = tuple(config.place("journey", number, "steps", step) for step in range(len(journey.steps)))
        where = f"{config.place('journey', number)}: journey {journey.name!r}"
        journeys[_value_of(config, journey.name)] = FileJourney(where, tuple(journey.steps), places)
    return journeys


def begun_at(wanted: Wanted) -> Iterator[tuple[str, int | None, str]]:
    """Yield each wanted journey's start page, the number of the site whose options apply, and its ``steps`` option."""
    if wanted.config is None:
        return
    from producer.config.journeys import start_of
    from producer.config.layers import site_of

    for number in wanted.journeys:
        journey = wanted.config.document.journey[number]
        url, site = start_of(wanted.config.document, journey)
        yield url, site_of(wanted.config, url) if site is None else site, _value_of(wanted.config, journey.name)


def check_variables(wanted: Wanted, environ: Mapping[str, str]) -> None:
    """Raise ``InputError`` for all unset variables that the wanted journeys need, before anything runs."""
    problems: list[str] = []
    named = file_journeys(wanted.config)
    for value in sorted(_asked(wanted) & named.keys()):
        for name in dict.fromkeys(name for step in named[value].steps for name in step.variables):
            try:
                read_variable(name, environ, named[value].where)
            except InputError as error:
                problems.append(str(error))
    if problems:
        raise InputError("; ".join(problems))


def _asked(wanted: Wanted) -> set[str]:
    """Return the values of ``login`` and ``steps`` for the run, its sites and the start pages of its journeys."""
    begun = list(begun_at(wanted))
    options = [wanted.options, *map(wanted.for_site, wanted.sites), *(wanted.for_page(url, at) for url, at, _ in begun)]
    named = {value for one in options for value in (one.login, one.steps) if value}
    return named | {value for _, _, value in begun}


def _value_of(config: Config, name: str) -> str:
    return str(config.path.absolute().parent / name)
