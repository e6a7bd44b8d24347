"""Interprets the header Retry-After."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

COME_AGAIN: Final = frozenset({429, 503})
"""Statuses with which a server asks clients to wait."""
_LONGEST_S: Final = 999_999_999.0


def read_retry_after(said: str, *, sent: str = "", now: datetime | None = None) -> float | None:
    """Return the seconds until the next request (RFC 9110, 10.2.3: seconds or a date), or None.

    A date is compared with the server's own clock if its reply has the header Date (``sent``).
    """
    said = said.strip()
    if said.isascii() and said.isdigit():
        return min(float(said), _LONGEST_S)
    at = _read_date(said)
    if at is None:
        return None
    return max(0.0, (at - (_read_date(sent) or now or datetime.now(UTC))).total_seconds())


def _read_date(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return at.replace(tzinfo=at.tzinfo or UTC)
