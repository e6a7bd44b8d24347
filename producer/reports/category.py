"""The category of a report: sites and state as a short text that distinguishes the scans of one repository. Pure.

Code scanning closes a category's alerts that are missing from its next file, and refuses two files of the same category
in a run; a pull-request comment is replaced by the next one of its category.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from producer.contract.addresses import site_name
from producer.reports.page import Page

MAX_CHARS: Final = 150
_NAMED_SITES: Final = 3
_STATES: Final = ("device", "color_scheme", "forced_colors", "reduced_motion", "zoom")
"""Fields of a request, besides the viewport, that define a page's state."""
_UNFIT: Final = re.compile(r"[^\w.:/+,=@ -]")
_DASHES: Final = re.compile(r"--+")  # would end the marker's HTML comment
_ROOT: Final = "sightline"


def category_of(pages: Iterable[Page], states: Sequence[str] = (), *, named: str = "") -> str:
    """Return the category of a report: ``named`` if given, else a text such as ``sightline/shop.example/390x844``.

    Without ``states``, the words of the requests, it has the names of the pages' states.
    """
    if named:
        return _fit(named).strip("/ ")[:MAX_CHARS]
    listed = list(pages)
    sites = sorted({site_name(page.url) for page in listed} - {""})
    if not states:  # a report of earlier scans, whose requests are not at hand
        shown = sorted({page.state or "default" for page in listed if page.result})
        states = ["+".join(shown)] if shown not in ([], ["default"]) else []
    more = [f"{len(sites) - _NAMED_SITES} more"] if len(sites) > _NAMED_SITES else []
    parts = [_ROOT, "+".join([*sites[:_NAMED_SITES], *more]), *states]
    return _fit("/".join(filter(None, parts)))[:MAX_CHARS]


def states_of(request: Mapping[str, Any]) -> list[str]:
    """Return the words of a scan's state; none for the default state."""
    size: Mapping[str, Any] = request.get("viewport") or {}
    is_usual = (size.get("width"), size.get("height")) in {(None, None), (1280, 800)}
    words = [] if is_usual else [f"{size.get('width')}x{size.get('height')}"]
    text = [f"text={request['text_size']}"] if request.get("text_size") else []  # unlike a zoom of the number
    given = {name: value for name in _STATES if (value := request.get(name))}
    words += [name.replace("_", "-") if value is True else str(value) for name, value in given.items()]
    motion = ["motion"] if request.get("reduced_motion") is False else []  # reduced motion is the default
    return words + motion + text


def states_of_all(requests: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the words of the scans' states; the words of several states are joined into one."""
    found = list(dict.fromkeys(tuple(states_of(request)) for request in requests))
    if len(found) == 1:
        return list(found[0])
    return ["+".join(sorted(",".join(words) or "default" for words in found))] if found else []


def _fit(text: str) -> str:
    return _DASHES.sub("-", _UNFIT.sub("-", text))
