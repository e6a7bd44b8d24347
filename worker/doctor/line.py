"""One line of the doctor's report. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """The state of a subject: an error prevents jobs or loses them; a warning may do so, or wastes resources."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Line:
    """The result for ``subject``; ``todo`` says how to fix a warning or an error."""

    level: Level
    subject: str
    text: str
    todo: str = ""


def ok(subject: str, text: str) -> Line:
    """Return a line with the state ok."""
    return Line(Level.OK, subject, text)


def warning(subject: str, text: str, todo: str) -> Line:
    """Return a line with a warning."""
    return Line(Level.WARNING, subject, text, todo)


def error(subject: str, text: str, todo: str) -> Line:
    """Return a line with an error."""
    return Line(Level.ERROR, subject, text, todo)


def has_error(lines: Iterable[Line]) -> bool:
    """Return whether any of ``lines`` is an error."""
    return any(line.level is Level.ERROR for line in lines)
