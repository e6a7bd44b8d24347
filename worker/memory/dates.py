"""Parses times as people and models write them: ``2026-11-01``, ``yesterday``, ``May``, ``3 days ago``. Pure; UTC."""

from __future__ import annotations

import re
from calendar import day_name, month_name, monthrange
from datetime import UTC, datetime, time, timedelta
from typing import Final

WEEKDAYS: Final = tuple(name.lower() for name in day_name)
MONTHS: Final = tuple(name.lower() for name in month_name[1:])
NUMBERS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DAYS: Final = {"day": 1, "week": 7, "month": 30, "year": 365}
_HOURS: Final = {"minute": 1 / 60, "hour": 1}
_AGO: Final = re.compile(
    r"(?:the )?(?:last |past )?(\d{1,4}|an?|[a-z]+)? ?(minute|hour|day|week|month|year)s?(?: ago)?"
)
_DAY: Final = r"(\d{1,2})(?:st|nd|rd|th)?"
_MONTH: Final = r"([a-z]{3,9})\.?"
_YEAR: Final = r"(?:,? (\d{4}))?"
_DAY_FIRST: Final = re.compile(rf"(?:the )?(?:{_DAY} (?:of )?)?(?:last )?{_MONTH}{_YEAR}")
_MONTH_FIRST: Final = re.compile(rf"{_MONTH} (?:the )?{_DAY}{_YEAR}")
_NUMERIC: Final = re.compile(r"(\d{4})(?:-(\d{2}))?")
MOST_DAYS: Final = 36_500

EXPECTED: Final = "expected a date such as 2026-11-01, or words such as yesterday, Monday, May, last week or 3 days ago"


def parse_when(text: str, *, now_ms: int) -> int:
    """Return the start of the time that ``text`` names, in ms since the epoch; raises ``ValueError``.

    Days start at midnight UTC. ``last week`` and ``a week ago`` mean seven days ago; ``this week`` starts on Monday. A
    weekday means today or the most recent one; a month or a date without a year means the most recent one.
    """
    words = " ".join(text.lower().replace("the beginning of ", "").split()).strip(" .?!")
    now = datetime.fromtimestamp(now_ms / 1000, tz=UTC)
    midnight = datetime.combine(now.date(), time(), tzinfo=UTC)
    found = _named(words, now, midnight) or _ago(words, now) or _dated(words, midnight) or _written(text.strip())
    if found is None:
        msg = f"{text[:60]!r} is not a time: {EXPECTED}"
        raise ValueError(msg)
    return round(found.timestamp() * 1000)


def parse_until(text: str, *, now_ms: int) -> int:
    """Return the end of the day, month or year that ``text`` names, at most now: the end of ``yesterday`` is midnight.

    Other times are points in time, as ``parse_when`` returns them; raises ``ValueError``.
    """
    at_ms = parse_when(text, now_ms=now_ms)
    start = datetime.fromtimestamp(at_ms / 1000, tz=UTC)
    words = text.lower().strip(" .?!").removeprefix("on ").removeprefix("last ")
    if words.startswith("this "):
        return now_ms
    if start.time() != time() or ":" in words or "beginning" in words:
        return at_ms
    if at_ms >= now_ms:  # a model may write 9999-12-31, which has no day after it
        return now_ms
    if re.fullmatch(r"\d{4}", words):
        end = start.replace(year=start.year + 1)
    elif re.fullmatch(r"\d{4}-\d{2}|[a-z]+\.?(?: \d{4})?", words) and words not in {*WEEKDAYS, "today", "yesterday"}:
        end = start + timedelta(days=monthrange(start.year, start.month)[1])
    else:
        end = start + timedelta(days=1)
    return min(round(end.timestamp() * 1000) - 1, now_ms)


def day_of(at_ms: int) -> str:
    """Return the day (UTC) of a time in ms, as ``yyyy-mm-dd``."""
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).date().isoformat()


def time_of(at_ms: int) -> str:
    """Return a time in ms as ``yyyy-mm-ddThh:mmZ``."""
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).strftime("%Y-%m-%dT%H:%MZ")


def _named(words: str, now: datetime, midnight: datetime) -> datetime | None:
    named = {
        "now": now,
        "today": midnight,
        "yesterday": midnight - timedelta(days=1),
        "this week": midnight - timedelta(days=midnight.weekday()),
        "this month": midnight.replace(day=1),
        "this year": midnight.replace(month=1, day=1),
    }
    if words in named:
        return named[words]
    day = words.removeprefix("last ").removeprefix("on ")
    if day not in WEEKDAYS:
        return None
    back = (midnight.weekday() - WEEKDAYS.index(day)) % 7
    return midnight - timedelta(days=back)


def _dated(words: str, midnight: datetime) -> datetime | None:
    """Parse ``May``, ``12 May``, ``May 12th, 2026``, ``2026-05`` and ``2026``."""
    words = words.removeprefix("on ")
    if match := _NUMERIC.fullmatch(words):
        return _date(int(match[1]), int(match[2] or 1), 1)
    if match := _DAY_FIRST.fullmatch(words):
        day, name, year = match.groups()
    elif match := _MONTH_FIRST.fullmatch(words):
        name, day, year = match.groups()
    else:
        return None
    month = next((number for number, full in enumerate(MONTHS, 1) if name in {full, full[:3], full[:4]}), 0)
    if year:
        return _date(int(year), month, int(day or 1))
    # The last eight years contain a 29 February.
    tried = (_date(midnight.year - back, month, int(day or 1)) for back in range(9))
    return next((date for date in tried if date is not None and date <= midnight), None)


def _date(year: int, month: int, day: int) -> datetime | None:
    try:
        return datetime(year, month, day, tzinfo=UTC)
    except ValueError:
        return None


def _ago(words: str, now: datetime) -> datetime | None:
    match = _AGO.fullmatch(words)
    if match is None:
        return None
    count = _count(match[1] or "one")
    if count is None:
        return None
    unit = match[2]
    hours = count * (_HOURS[unit] if unit in _HOURS else _DAYS[unit] * 24)
    return now - timedelta(hours=hours) if hours <= MOST_DAYS * 24 else None


def _count(word: str) -> int | None:
    if word.isdecimal():
        return int(word)
    if word in {"a", "an"}:
        return 1
    return NUMBERS.index(word) if word in NUMBERS else None


def _written(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
