"""The times when a schedule is due: cron lines in a time zone. Imports cronsim only to compute a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from producer.contract.nearest import nearest
from producer.errors import InvalidJob

_EXPECTED: Final = (
    "expected five fields (minute hour day month weekday) of numbers, names, *, lists, ranges or steps, "
    "such as '0 3 * * 1-5'"
)


def check_cron(line: str) -> None:
    """Raise ``InvalidJob`` for a cron line that is malformed or never matches."""
    latest_time(line, datetime.now(UTC))


def latest_time(line: str, now: datetime) -> datetime:
    """Return the latest minute up to ``now`` that a cron line matches; raises ``InvalidJob`` if it matches none.

    Besides numbers, cronsim reads names (``MON``, ``jan``), ``L`` and ``LW`` (the month's last day, last weekday),
    ``5L`` and ``5#2`` (its last, its second Friday). As in cron, day of month and day of week are alternatives if both
    are restricted. A field that begins with ``*``, such as ``*/2``, does not count as restricted: then both must match
    (crontab(5)). The line is read in the time zone of ``now``; a time that a change of daylight saving time skips or
    repeats occurs once, as in Debian's cron.
    """
    from cronsim import CronSim, CronSimError  # noqa: PLC0415  listing and removing schedules do not need it

    if len(line.split()) != 5:  # noqa: PLR2004  cronsim takes a sixth field, of seconds
        msg = f"cron line {line!r}: {_EXPECTED}"
        raise InvalidJob(msg)
    # In UTC: in the zone, the next minute may be one that daylight saving time skips.
    after = (now.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)).astimezone(now.tzinfo)
    try:
        return next(CronSim(line, after, reverse=True))
    except (CronSimError, ValueError) as error:  # ValueError: a number of thousands of digits
        reason = str(error) if isinstance(error, CronSimError) else "a number is too long"
        msg = f"cron line {line!r}: {reason[0].lower()}{reason[1:]}; {_EXPECTED}"
    except StopIteration:
        msg = f"cron line {line!r} names a day that never comes; {_EXPECTED}"
    raise InvalidJob(msg)


def next_time(line: str, after: datetime) -> datetime:
    """Return the first minute after ``after`` that a cron line matches; raises as ``latest_time`` does."""
    from cronsim import CronSim  # noqa: PLC0415  as above

    check_cron(line)
    return next(CronSim(line, after))


def zone_of(name: str) -> tzinfo:
    """Return a time zone of the IANA database, UTC for ''; raises ``InvalidJob`` for another name."""
    if not name or name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo, available_timezones  # noqa: PLC0415  few schedules have one

    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):  # a folder, a path, no such name
        meant = nearest(name, available_timezones())
    hint = f"did you mean {meant!r}?" if meant else "expected a name of the IANA database, such as Europe/Berlin"
    raise InvalidJob(f"time zone {name!r} is not known on this machine: {hint}")
