"""The writes of a page's component barriers, applied by finish.lua when it commits the scan. Pure.

The script (``lua/_barriers.lua``) compares them with the page's previous state, so they contain absolute findings,
never increments. ``outcome.py`` has the other writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from producer.redis.scripts import Arg


@dataclass(frozen=True, slots=True)
class PageWrite:
    """Selects ``components:<page>`` for the following ``BarrierWrite``, ``TallyWrite`` and ``NewsWrite``.

    ``seen_ms`` is when it was scanned; a component barrier unknown before ``began_ms``, the start of the run or batch,
    is new. ``is_first``: the page has no earlier scan, so nothing on it is news.
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
    """Sets the page's number of ``elements`` of the component barrier ``issue_id``, counted in its hash ``key``.

    ``never_less``: the page or the rule was scanned incompletely. ``known_ms``: an earlier time at which it existed
    without a record, 0 if unknown. ``news`` is its JSON for the page's ``NewsWrite``, '' if it needs no event.
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
    """``HINCRBY key field by`` the component barriers that this page added to the site or was the last to have."""

    key: str
    new_field: str
    mended_field: str


@dataclass(frozen=True, slots=True)
class NewsWrite:
    """A further event with ``components``: the page's new barriers that are in no event yet.

    ``head`` is its JSON without the closing brace. Without ``is_certain`` there is no event if there are none.
    """

    key: str
    head: str
    is_certain: bool = False


@dataclass(frozen=True, slots=True)
class WindowWrite:
    """Extends the period in a hash's ``field``, ``"began ended"``, to include this one.

    ``began_ms`` is 0 if unknown. A start after the stored end begins a new use of the name.
    """

    key: str
    field: str
    began_ms: int
    ended_ms: int


def barrier_args(write: PageWrite | BarrierWrite | TallyWrite | NewsWrite | WindowWrite) -> list[Arg]:
    """Return finish.lua's arguments for a write: its command, the number of values, the values."""
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
