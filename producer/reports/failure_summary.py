"""Reads axe-core's failure summary: what to fix, in parts and on one line. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from producer.reports.plain_text import one_line


@dataclass(frozen=True, slots=True)
class Step:
    """A part of axe-core's failure summary: a heading, and a line for each alternative."""

    heading: str
    items: tuple[str, ...]

    def __str__(self) -> str:
        """Return the step on one line; a single alternative has no heading."""
        if len(self.items) == 1:
            return self.items[0]
        return f"{self.heading} {'; '.join(self.items)}".strip()


def steps(summary: str) -> list[Step]:
    """Return the parts of axe-core's failure summary.

    It has lines that begin a part ("Fix any of the following:") and indented lines for the alternatives, which would
    run together if simply joined.
    """
    found: list[tuple[str, list[str]]] = []
    for line in summary.splitlines():
        if not line.strip():
            continue
        if line[0].isspace() and found:
            found[-1][1].append(one_line(line))
        else:
            found.append((one_line(line), []))
    return [Step(heading, tuple(items)) for heading, items in found]


def summary_line(summary: str) -> str:
    """Return axe-core's failure summary on one line: parts as sentences, alternatives separated by semicolons."""
    parts = [str(step) for step in steps(summary)]
    ended = [part if part.endswith((".", ":", "!", "?")) else f"{part}." for part in parts[:-1]]
    return " ".join([*ended, *parts[-1:]])
