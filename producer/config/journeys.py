"""Where journeys of the file become what a scan request takes: the only place that knows the model of a step.

JOIN: once ``producer/contract/steps.py`` is there, ``read_journeys`` validates each ``steps`` with its model ``Step``
and returns the journeys; everything else (reading, lines, faults, a page per journey in ``scan``) is in place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from producer.config.lines import Path


def journey_faults(journeys: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Path, str]]:
    """Yield path and text of what is wrong with the journeys."""
    for number in range(len(journeys)):
        yield ("journey", number), f"journey[{number + 1}]: this release runs no journeys: remove it"
