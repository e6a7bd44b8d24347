"""Schedules that cannot be fired: unreadable ones, and those with user info in an address."""

from __future__ import annotations

from collections.abc import Mapping

from producer.stored.schedules import Schedule, no_login
from worker.doctor.line import Line, warning


def schedule_lines(schedules: Mapping[str, Schedule | None]) -> list[Line]:
    """Return a line for each of ``schedules`` that cannot be fired, by name."""
    lines: list[Line] = []
    for name, schedule in schedules.items():
        if schedule is None:
            todo = f"sightline schedule remove {name}; then add it again"
            lines.append(warning("schedules", f"{name!r} cannot be read", todo))
        elif (url := schedule.url_with_login) is not None:
            text, _, todo = no_login(url).rpartition(": ")
            lines.append(warning("schedules", f"{name!r} is not run: {text}", f"{todo}, and remove the schedule"))
    return lines
