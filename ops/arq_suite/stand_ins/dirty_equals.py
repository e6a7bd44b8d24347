"""The part of dirty-equals that arq's tests need: a value that equals any time within the last seconds."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

WITHIN: Final = timedelta(seconds=5)


class IsNow:
    """Equals a datetime of the last seconds, in the time zone ``tz``."""

    def __init__(self, *, tz: str) -> None:
        self._zone = ZoneInfo(tz.upper() if tz == "utc" else tz)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, datetime) or other.tzinfo is None:
            return False
        now = datetime.now(self._zone)
        return abs(now - other) < WITHIN and other.utcoffset() == now.utcoffset()

    __hash__ = object.__hash__


class IsStr:
    """Equals every text."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str)

    __hash__ = object.__hash__


class IsInt:
    """Equals every whole number."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, int)

    __hash__ = object.__hash__
