"""Errors of a file's journeys, other than in their steps: names, start pages, references to them.

Works on the values as written, so that these errors are reported with all others. Next: ``model.py`` (``Journey``).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urljoin

from producer.config.lines import Path as KeyPath

if TYPE_CHECKING:
    from producer.config.model import Document, Journey

_USES: Final = ("login", "steps")
"""Options that name a journey, or a file of steps."""
Raw = Mapping[str, Any]


def start_of(document: Document, journey: Journey) -> tuple[str, int | None]:
    """Return the address where a journey with a ``page`` begins, and the number of the site it names, if any."""
    sites = document.site
    named = next((number for number, site in enumerate(sites) if site.name and site.name == journey.site), None)
    first = next((number for number, site in enumerate(sites) if site.url), None)
    number = named if named is not None else first
    if "://" in journey.page or number is None:
        return journey.page, named
    return urljoin(sites[number].url or "", journey.page), number


def journey_faults(whole: Raw, folder: Path) -> Iterator[tuple[KeyPath, str]]:
    """Yield path and text of errors of journeys, and of options that name one."""
    journeys = _tables(whole, "journey")
    first: dict[str, int] = {}
    for number, journey in journeys.items():
        name = _text(journey, "name")
        if name and first.setdefault(name, number) != number:
            text = f"journey[{number + 1}].name: {name!r} is also the name of journey[{first[name] + 1}]"
            yield ("journey", number, "name"), text
    used: set[str] = set()
    for path, value in _uses(whole):
        used.add(value)
        yield from _use_faults(path, value, {name: journeys[number] for name, number in first.items()}, folder)
    for number, journey in journeys.items():
        yield from _start_faults(number, journey, whole, used)
    yield from _same_states(journeys)


def _use_faults(path: KeyPath, value: str, journeys: Mapping[str, Raw], folder: Path) -> Iterator[tuple[KeyPath, str]]:
    table, *_, key = path
    place = f"{table}[{int(path[1]) + 1}].{key}" if len(path) > 2 else f"{table}.{key}"  # noqa: PLR2004  it has a number
    if value not in journeys:
        if not (folder / value).is_file():
            near = difflib.get_close_matches(value, journeys, n=1)
            hint = f"did you mean {near[0]}?" if near else "expected one or the other"
            yield path, f"{place}: {value!r} is neither a [[journey]] of this file nor a file: {hint}"
        return
    steps = _steps(journeys[value])
    is_login = len(steps) > 1 and "goto" in steps[0] and not any("scan" in step for step in steps)
    if key == "login" and not is_login:
        yield path, f"{place}: a login begins with a goto, has a step after it, and no scan: {value!r} does not"


def _start_faults(number: int, journey: Raw, whole: Raw, used: set[str]) -> Iterator[tuple[KeyPath, str]]:
    path, place = ("journey", number), f"journey[{number + 1}]"
    page, site = _text(journey, "page"), _text(journey, "site")
    sites = list(_tables(whole, "site").values())
    names = [name for one in sites if (name := _text(one, "name"))]
    if site and site not in names:
        near = difflib.get_close_matches(site, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(names) or 'sites with names'}"
        yield (*path, "site"), f"{place}.site: {site!r} is not a [[site]] of this file: {hint}"
    has_url = any(one.get("url") for one in sites if not site or _text(one, "name") == site)
    if page and not (site and site not in names) and not has_url and "://" not in page and not page.startswith("${"):
        yield (*path, "page"), f"{place}.page: {page!r} is a path: expected its [[site]] to have a `url`"
    if page and (steps := _steps(journey)) and not any("scan" in step for step in steps):
        yield path, f"{place}: expected a step such as {{ scan = 'dialog open' }}, which names the state to scan"
    if not page and _text(journey, "name") not in used and journey.get("steps"):
        yield path, f"{place}: nothing runs it: give it a start `page`, or name it in `login` or `steps`"


def _same_states(journeys: Mapping[int, Raw]) -> Iterator[tuple[KeyPath, str]]:
    first: dict[tuple[str, str, str], int] = {}
    for number, journey in journeys.items():
        page, site = _text(journey, "page"), _text(journey, "site")
        for at, step in enumerate(_steps(journey) if page else ()):
            name = _text(step, "scan")
            if name and first.setdefault((site, page, name), number) != number:
                other = f"journey[{first[site, page, name] + 1}]"
                text = f"journey[{number + 1}].steps[{at + 1}]: {other} also scans a state called {name!r} of this page"
                yield ("journey", number, "steps", at), text


def _uses(whole: Raw) -> Iterator[tuple[KeyPath, str]]:
    """Yield each option that names a journey or a file: its path and value."""
    scan = whole.get("scan")
    tables: list[tuple[KeyPath, Raw]] = [(("scan",), cast("Raw", scan))] if isinstance(scan, dict) else []
    for name in ("site", "page"):
        tables += [((name, number), table) for number, table in _tables(whole, name).items()]
    for path, table in tables:
        for key in _USES:
            if value := _text(table, key):
                yield (*path, key), value


def _tables(whole: Raw, name: str) -> dict[int, Raw]:
    listed = whole.get(name)
    tables = cast("list[Any]", listed) if isinstance(listed, list) else []
    return {number: cast("Raw", one) for number, one in enumerate(tables) if isinstance(one, dict)}


def _steps(journey: Raw) -> list[Raw]:
    return list(_tables(journey, "steps").values())


def _text(table: Raw, key: str) -> str:
    value = table.get(key)
    return value if isinstance(value, str) else ""
