"""Compares two audits of one page: is a barrier gone, and what fails only afterwards? Pure.

Elements are identified by their path from the root, which does not depend on attributes; selectors contain ids and
classes. If a rule has more elements than a report lists, only their number is compared.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from producer.contract import JsonObject

Failure = tuple[str, str]
"""Rule, and the element's path."""


def path_of(node: JsonObject) -> str:
    """Return the path of a reported element."""
    return json.dumps(node["ancestry"])


@dataclass(frozen=True, slots=True)
class Failures:
    """The failures of one audit: elements by rule, with multiplicity, and the total by rule."""

    listed: Counter[Failure] = field(default_factory=Counter[Failure])
    totals: Counter[str] = field(default_factory=Counter[str])
    trimmed: frozenset[str] = frozenset()
    undecided: frozenset[Failure] = frozenset()

    @classmethod
    def of(cls, violations: Iterable[JsonObject], incomplete: Iterable[JsonObject] = ()) -> Failures:
        """Return the failures in axe-core's raw reports."""
        rules = list(violations)
        return cls(
            Counter((rule["id"], path_of(node)) for rule in rules for node in rule["nodes"]),
            Counter({rule["id"]: int(rule["nodeCount"]) for rule in rules}),
            frozenset(rule["id"] for rule in rules if rule["nodeCount"] > len(rule["nodes"])),
            frozenset((rule["id"], path_of(node)) for rule in incomplete for node in rule["nodes"]),
        )

    def is_removed_in(self, after: Failures, failure: Failure) -> bool:
        """Return whether the element failed in this audit, and in ``after`` neither fails nor is undecided."""
        is_left = after.listed[failure] > 0 or failure in after.undecided - self.undecided
        is_fewer = after.totals[failure[0]] < self.totals[failure[0]]
        return self.listed[failure] > 0 and not is_left and is_fewer

    def added_in(self, after: Failures) -> list[str]:
        """Return the rules that fail in ``after`` for more or other elements than in this audit."""
        trimmed = self.trimmed | after.trimmed
        fresh = {rule for rule, _ in after.listed - self.listed if rule not in trimmed}
        return sorted(fresh | {rule for rule in trimmed if after.totals[rule] > self.totals[rule]})
