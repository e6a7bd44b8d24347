"""axe-core's summary of what is to be fixed, in parts or on one line. Pure.

It has lines that begin a part ("Fix any of the following:") and indented ones for each way to mend it; put on one line
as they are, nobody can tell where one ends.
"""

from __future__ import annotations

from dataclasses import dataclass

from producer.reports.plain_text import one_line


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done: a heading, and one line for each way or part."""

    heading: str
    items: tuple[str, ...]

    def __str__(self) -> str:
        """Return it on one line: a single way without the heading that promises several."""
        if len(self.items) == 1:
            return self.items[0]
        return f"{self.heading} {'; '.join(self.items)}".strip()


def steps(summary: str) -> list[Step]:
    """Return the parts of a summary."""
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
    """Return a summary on one line, its parts as sentences, the ways of each between semicolons."""
    parts = [str(step) for step in steps(summary)]
    ended = [part if part.endswith((".", ":", "!", "?")) else f"{part}." for part in parts[:-1]]
    return " ".join([*ended, *parts[-1:]])
