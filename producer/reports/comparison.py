"""Compares two times by component barrier: new, fixed or on other pages. Values and their wording. Pure.

A change must be proven: if a page was not scanned completely, or not all elements were listed, an unlisted component
may still be there. Such pages are ``uncertain``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

from producer.contract.component_name import also
from producer.contract.terms import JsonObject
from producer.reports.plain_text import counted

if TYPE_CHECKING:
    from producer.contract import Impact

Kind = Literal["batch", "run", "time"]
Change = Literal["new", "moved", "mended", "uncertain"]
ORDER: Final[tuple[Change, ...]] = ("new", "moved", "mended", "uncertain")


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two times, with its name. ``at_ms`` is Redis's time, at which pages are compared."""

    name: str
    kind: Kind
    at_ms: int

    @property
    def text(self) -> str:
        """``batch nightly-1 (2026-11-27 03:12 UTC)``."""
        at = datetime.fromtimestamp(self.at_ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
        return at if self.kind == "time" else f"{self.kind} {self.name} ({at})"

    def document(self) -> JsonObject:
        """Return it as JSON."""
        at = datetime.fromtimestamp(self.at_ms / 1000, tz=UTC).isoformat(timespec="seconds")
        return {"name": self.name, "kind": self.kind, "at": at}


@dataclass(frozen=True, slots=True)
class ComponentChange:
    """A component barrier whose pages differ between the two times; pages are addresses.

    Pages in ``gained`` have it now, pages in ``lost`` no longer; ``uncertain`` pages are unknown. ``examples`` are
    files or texts of its elements there, if its name does not tell them from others. ``scan`` is a page's scan.
    """

    change: Change
    issue_id: str
    name: str
    rule: str
    impact: Impact | None
    pages_before: int
    pages_after: int
    gained: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    uncertain: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    scan: str = ""

    @property
    def also(self) -> str:
        """Examples of its elements beside that in its name: ``also “a.gif”, “b.gif”``; '' if there are none."""
        return also(self.name, self.examples)

    @property
    def text(self) -> str:
        """The number of its pages: ``on 3 pages``, ``now on 2 pages, was on 5: gone from 3``."""
        if self.change == "new":
            said = f"on {counted(self.pages_after, 'page')}"
        elif self.change == "mended":
            said = f"gone from {counted(self.pages_before, 'page')}"
        else:
            now, was = (counted(number, "page") for number in (self.pages_after, self.pages_before))
            parts = [f"new on {len(self.gained):,}"] if self.gained else []
            parts += [f"gone from {len(self.lost):,}"] if self.lost else []
            said = f"now on {now}, was on {was}" + (f": {', '.join(parts)}" if parts else "")
        return f"{said}, uncertain on {len(self.uncertain):,}" if self.uncertain else said

    def within(self, urls: Collection[str]) -> ComponentChange | None:
        """Return the change on these pages only, or None."""
        gained, lost, uncertain = (
            tuple(url for url in some if url in urls) for some in (self.gained, self.lost, self.uncertain)
        )
        return replace(self, gained=gained, lost=lost, uncertain=uncertain) if gained or lost or uncertain else None

    def document(self) -> JsonObject:
        """Return it as JSON."""
        return {
            "change": self.change,
            "issue_id": self.issue_id,
            "name": self.name,
            "rule": self.rule,
            "impact": self.impact.value if self.impact else None,
            "pages_before": self.pages_before,
            "pages_after": self.pages_after,
            "gained": list(self.gained),
            "lost": list(self.lost),
            "uncertain": list(self.uncertain),
            "groups": list(self.groups),
            **({"examples": list(self.examples)} if self.examples else {}),
            "scan": self.scan,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """The changes between two times, on the pages known at both.

    ``only_before`` and ``only_after`` count pages known at one time only, ``other_terms`` those scanned with other
    rules, parts or widths, ``not_whole`` those scanned only in part at one of the times, ``unnamed`` those whose
    earlier record is of a release without components, so that what was fixed has no name. ``is_part``: there are
    more pages.
    """

    before: Side
    after: Side
    changes: tuple[ComponentChange, ...] = ()
    compared: int = 0
    unchanged: int = 0
    only_before: int = 0
    only_after: int = 0
    other_terms: int = 0
    not_whole: int = 0
    unnamed: int = 0
    is_part: bool = False

    def of(self, change: Change) -> list[ComponentChange]:
        """Return the changes of one kind."""
        return [one for one in self.changes if one.change == change]

    def counts(self) -> JsonObject:
        """Return the number of component barriers of each kind."""
        return {**{name: len(self.of(name)) for name in ORDER}, "unchanged": self.unchanged}

    def head(self) -> JsonObject:
        """Return everything but the changes as JSON."""
        return {
            "v": 1,
            "before": self.before.document(),
            "after": self.after.document(),
            "component_barriers": self.counts(),
            "pages": {
                "compared": self.compared,
                "only_before": self.only_before,
                "only_after": self.only_after,
                "other_terms": self.other_terms,
                "not_whole": self.not_whole,
                "unnamed": self.unnamed,
            },
            "is_part": self.is_part,
        }

    @property
    def verdict(self) -> str:
        """``worse``, ``better``, ``worse and better`` or ``same``."""
        has_gained = any(one.gained for one in self.changes)
        has_lost = any(one.lost for one in self.changes)
        return " and ".join(word for word, is_so in (("worse", has_gained), ("better", has_lost)) if is_so) or "same"

    @property
    def sentence(self) -> str:
        """The totals in words."""
        listed: list[Change] = [name for name in ORDER if name != "uncertain" or self.of(name)]
        parts = [f"{len(self.of(name)):,} {'fixed' if name == 'mended' else name}" for name in listed]
        said = f"{', '.join(parts)}, {counted(self.unchanged, 'component barrier')} unchanged"
        return f"{said}; on {counted(self.compared, 'page')} known at both times"

    @property
    def remarks(self) -> list[str]:
        """Lines about pages that could not be compared."""
        found = (
            (self.only_before, "was scanned then and not later", "were scanned then and not later"),
            (self.only_after, "was first scanned later", "were first scanned later"),
            (
                self.other_terms,
                "was scanned with other rules, parts or widths",
                "were scanned with other rules, parts or widths",
            ),
            (
                self.not_whole,
                "was scanned only in part at one of the times",
                "were scanned only in part at one of the times",
            ),
            (
                self.unnamed,
                "was scanned then by a release without component barriers: what was fixed there is not listed",
                "were scanned then by a release without component barriers: what was fixed there is not listed",
            ),
        )
        lines = [f"{counted(number, 'page')} {one if number == 1 else many}" for number, one, many in found if number]
        return lines + (["not all pages were compared: narrow it with --site"] if self.is_part else [])


def ordered(changes: Sequence[ComponentChange]) -> tuple[ComponentChange, ...]:
    """Return the changes in the order of reports: new ones first, worst first within each kind."""
    return tuple(
        sorted(
            changes,
            key=lambda one: (
                ORDER.index(one.change),
                -(one.impact.rank if one.impact else -1),
                -max(one.pages_after, one.pages_before),
                one.name,
                one.issue_id,
            ),
        )
    )
