"""Limits on the component barriers of a run: ``max_new`` and ``[gate.max]``. Pure.

Without a limit any counted barrier fails the run. A limit replaces this rule for the barriers it covers: ``total``
covers all, ``rules`` and ``groups`` those they name, ``max_new`` all new ones. Others fail the run as before. Limits of
``[gate.max]`` also count known barriers, so that the limits can be lowered as barriers are fixed; waived ones never
count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from producer.contract import Impact
from producer.reports.decisions import reviews_of
from producer.reports.page import Page, impact_of
from producer.reports.plain_text import counted

_REVIEW: Final = "finding that needs review|findings that need review"


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits; None is no limit."""

    total: int | None = None
    review: int | None = None
    new: int | None = None
    groups: Mapping[str, int] = field(default_factory=dict[str, int])
    rules: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def is_set(self) -> bool:
        """Whether there is any limit."""
        return any(one is not None for one in (self.total, self.review, self.new)) or bool(self.groups or self.rules)


class Barrier(NamedTuple):
    """A component barrier: its id and rule. Elements without a component are one barrier per rule."""

    issue_id: str
    rule: str


class Measured(NamedTuple):
    """A limit: its key in the file, what it counts, and the count."""

    key: tuple[str, ...]
    what: str
    allowed: int
    found: int

    @property
    def text(self) -> str:
        """``7 component barriers of color-contrast, 5 allowed (gate.max.rules.color-contrast)``."""
        return f"{counted(self.found, *self.what.split('|'))}, {self.allowed:,} allowed ({'.'.join(self.key)})"


@dataclass(slots=True)
class Count:
    """Counts the barriers of a run's pages as they arrive; ``fail_on`` is the lowest impact that counts."""

    limits: Limits
    fail_on: Impact | None
    _groups: dict[Barrier, set[str]] = field(default_factory=dict[Barrier, set[str]])
    _new: set[Barrier] = field(default_factory=set[Barrier])
    _review: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def add(self, page: Page) -> None:
        """Count a marked page."""
        self._review |= reviews_of(page)
        for finding in page.findings:
            if self.fail_on and impact_of(finding).rank < self.fail_on.rank:
                continue
            for node, mark, _ in page.marks.each(finding):
                if mark == "waived":
                    continue
                barrier = Barrier(node.issue_id if node else "", finding.rule)
                group = page.result.group if page.result else ""
                self._groups.setdefault(barrier, set()).add(group)
                if mark != "known":
                    self._new.add(barrier)

    def measured(self) -> Iterator[Measured]:
        """Yield each limit with its count."""
        limits, groups = self.limits, self._groups
        if limits.new is not None:
            yield Measured(("gate", "max_new"), "new component barrier", limits.new, len(self._new))
        top = ("gate", "max")
        if limits.total is not None:
            yield Measured((*top, "total"), "component barrier", limits.total, len(groups))
        for rule, allowed in limits.rules.items():
            number = sum(barrier.rule == rule for barrier in groups)
            yield Measured((*top, "rules", rule), _of(f"of {rule}"), allowed, number)
        for group, allowed in limits.groups.items():
            number = sum(group in those for those in groups.values())
            yield Measured((*top, "groups", group), _of(f"in {group}"), allowed, number)
        if limits.review is not None:
            yield Measured((*top, "review"), _REVIEW, limits.review, len(self._review))

    def exceeded(self) -> list[str]:
        """Return the reasons why the run fails; empty if it passes."""
        lines = [one.text for one in self.measured() if one.found > one.allowed]
        if self.fail_on and (free := self._free()):
            lines.append(f"{counted(len(free), 'component barrier')} without a limit: {_names(free)}")
        return lines

    def lower(self) -> list[Measured]:
        """Return the limits of ``[gate.max]`` that are higher than needed and can be lowered."""
        return [one for one in self.measured() if one.found < one.allowed and one.key[1] == "max"]

    def _free(self) -> list[Barrier]:
        """Return the barriers that count and that no limit covers."""
        limits = self.limits
        if limits.new is not None or limits.total is not None:
            return []
        return sorted(
            barrier
            for barrier in self._new
            if barrier.rule not in limits.rules and not (self._groups[barrier] & limits.groups.keys())
        )


def _of(what: str) -> str:
    return f"component barrier {what}|component barriers {what}"


def _names(barriers: list[Barrier]) -> str:
    rules = sorted({barrier.rule for barrier in barriers})
    return ", ".join(rules[:5]) + (f" and {len(rules) - 5} more rules" if rules[5:] else "")
