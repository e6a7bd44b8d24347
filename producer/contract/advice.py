"""Advice per rule: the problem, what to do, and an example before and after; the texts are in advice.toml.

Plain Python, read on first use. A rule missing from the file (of a newer axe-core) has no advice: reports then show
axe-core's own text.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final


@dataclass(frozen=True, slots=True)
class Advice:
    """``problem`` is a predicate: "has no label". ``before`` and ``after`` are markup or CSS."""

    problem: str
    do: str
    before: str
    after: str


UNKNOWN: Final = "fails the rule {rule}"


@cache
def all_advice() -> dict[str, Advice]:
    """Return the advice by rule name."""
    text = (files(__package__ or "") / "advice.toml").read_text("utf-8")
    return {rule: Advice(**fields) for rule, fields in tomllib.loads(text).items()}


def advice_on(rule: str) -> Advice | None:
    """Return the advice on a rule, or None."""
    return all_advice().get(rule)


def problem_of(rule: str) -> str:
    """Return the rule's problem as the end of a sentence, ``has no label``."""
    found = advice_on(rule)
    return found.problem if found else UNKNOWN.format(rule=rule)
