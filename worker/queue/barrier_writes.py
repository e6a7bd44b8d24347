"""What finish.lua writes of a page's component barriers, in the step that commits its scan. Pure.

The script (``lua/_barriers.lua``) compares what the page has with what it had, so these say what was found, and never
by how much a count grows. Other writes: ``outcome.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from producer.redis.scripts import Arg


@dataclass(frozen=True, slots=True)
class PageWrite:
    """Opens ``components:<page>``: the ``BarrierWrite``, ``TallyWrite`` and ``NewsWrite`` after it are of this page.

    ``seen_ms`` is when it was scanned, ``began_ms`` when the run or batch began: a component barrier that was not there
    before is new. ``is_first``: no earlier scan of the page, so nothing of it is news.
    """

    key: str
    terms: str
    seen_ms: int
    began_ms: int
    group: str = ""
    group_tag: str = ""
    run: str = ""
    is_first: bool = False


@dataclass(frozen=True, slots=True)
class BarrierWrite:
    """The page has ``elements`` of the component barrier ``issue_id``, 0 for none: counted in its hash ``key``.

    ``never_less``: not all of the page or of the rule was seen. ``known_ms``: it was there then, though not recorded,
    0 where nobody knows. ``news`` is its JSON for the page's ``NewsWrite``, '' for one that is not worth an event.
    """

    key: str
    issue_id: str
    elements: int
    never_less: bool = False
    known_ms: int = 0
    news: str = ""
    fields: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class TallyWrite:
    """``HINCRBY key field by`` the component barriers that this page brought to the site, or was the last to have."""

    key: str
    new_field: str
    mended_field: str


@dataclass(frozen=True, slots=True)
class NewsWrite:
    """A further event, with ``components`` in it: those of the page's barriers that are new and in no event yet.

    ``head`` is its JSON without the closing brace. Without ``is_certain`` there is no event where there are none.
    """

    key: str
    head: str
    is_certain: bool = False


@dataclass(frozen=True, slots=True)
class WindowWrite:
    """Widens the time that ``field`` of a hash spans, ``"began ended"``, to have this one in it.

    ``began_ms`` is 0 where it is not known. One after the end that is kept begins another use of the name.
    """

    key: str
    field: str
    began_ms: int
    ended_ms: int


def barrier_args(write: PageWrite | BarrierWrite | TallyWrite | NewsWrite | WindowWrite) -> list[Arg]:
    """Return the arguments of finish.lua for one of these: its command, how many values, the values."""
    if isinstance(write, PageWrite):
        place = (write.group, write.group_tag, write.run)
        return ["PAGE", 7, write.terms, write.seen_ms, write.began_ms, *place, int(write.is_first)]
    if isinstance(write, BarrierWrite):
        flat: list[Arg] = [item for pair in write.fields.items() for item in pair]
        seen = (write.elements, int(write.never_less), write.known_ms)
        return ["BARRIER", 5 + len(flat), write.issue_id, *seen, write.news, *flat]
    if isinstance(write, TallyWrite):
        return ["TALLY", 2, write.new_field, write.mended_field]
    if isinstance(write, WindowWrite):
        return ["WINDOW", 3, write.field, write.began_ms, write.ended_ms]
    return ["NEWS", 2, write.head, int(write.is_certain)]
