"""One line of the doctor's report. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a subject is: an error keeps jobs from being done or kept; a warning may, or costs something."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Line:
    """What was found about ``subject``; ``todo`` says what to do about a warning or an error."""

    level: Level
    subject: str
    text: str
    todo: str = ""


def ok(subject: str, text: str) -> Line:
    """Return the line of a subject that is well."""
    return Line(Level.OK, subject, text)


def warning(subject: str, text: str, todo: str) -> Line:
    """Return the line of a subject that may bring trouble."""
    return Line(Level.WARNING, subject, text, todo)


def error(subject: str, text: str, todo: str) -> Line:
    """Return the line of a subject that is in trouble."""
    return Line(Level.ERROR, subject, text, todo)


def has_error(lines: Iterable[Line]) -> bool:
    """Whether any of ``lines`` is an error."""
    return any(line.level is Level.ERROR for line in lines)
