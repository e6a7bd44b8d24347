"""The writes of a page's component barriers, applied by finish.lua when it commits the scan. Pure.

The script (``lua/_barriers.lua``) compares them with the page's previous state, so they contain absolute findings,
never increments. ``outcome.py`` has the other writes.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic_core import to_json

from producer.redis.scripts import Arg


@dataclass(frozen=True, slots=True)
class BarrierOnPage:
    """A page's number of ``elements`` of the component barrier ``issue_id``, counted in its hash ``key``.

    ``never_less``: the page or the rule was scanned incompletely. ``known_ms``: an earlier time at which it existed
    without a record, 0 if unknown. ``is_grave``: it is named in the page's ``NewsWrite`` if it is new.
    """

    key: str
    issue_id: str
    elements: int
    never_less: bool = False
    known_ms: int = 0
    is_grave: bool = False
    rule: str = ""
    rule_tag: str = ""
    impact: str = ""
    name: str = ""

    @property
    def row(self) -> list[str | int]:
        """The JSON array that ``lua/_barriers.lua`` reads."""
        about = (self.rule, self.rule_tag, self.impact, self.name) if self.rule else ()
        return [self.issue_id, self.elements, int(self.never_less), self.known_ms, int(self.is_grave), *about]


@dataclass(frozen=True, slots=True)
class PageWrite:
    """Sets the component barriers of a page, ``components:<page>``; the following writes tally and report them.

    ``seen_ms`` is when it was scanned; a component barrier unknown before ``began_ms``, the start of the run or batch,
    is new. ``is_first``: the page has no earlier scan, so nothing on it is news. ``unchanged`` is the page's
    stored text under ``terms`` if it equals that of ``barriers``, else ''. If it is still stored, nothing is counted.
    """

    key: str
    terms: str
    seen_ms: int
    began_ms: int
    group: str = ""
    group_tag: str = ""
    run: str = ""
    is_first: bool = False
    host: str = ""
    host_tag: str = ""
    unchanged: str = ""
    barriers: tuple[BarrierOnPage, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """Its keys: its own, and those of its component barriers unless it is unchanged."""
        return (self.key,) if self.unchanged else (self.key, *(one.key for one in self.barriers))


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


def barrier_args(write: PageWrite | TallyWrite | NewsWrite | WindowWrite) -> list[Arg]:
    """Return finish.lua's arguments for a write: its command, the number of values, the values."""
    if isinstance(write, PageWrite):
        if write.unchanged:
            return ["PAGE", 3, 0, write.terms, write.unchanged]
        place = (write.group, write.group_tag, write.run, int(write.is_first), write.host, write.host_tag)
        rows = to_json([one.row for one in write.barriers])
        seen = (write.seen_ms, write.began_ms)
        return ["PAGE", 12, len(write.barriers), write.terms, "", *seen, *place, rows]
    if isinstance(write, TallyWrite):
        return ["TALLY", 2, write.new_field, write.mended_field]
    if isinstance(write, WindowWrite):
        return ["WINDOW", 3, write.field, write.began_ms, write.ended_ms]
    return ["NEWS", 2, write.head, int(write.is_certain)]
