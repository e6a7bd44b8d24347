"""The header Retry-After."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from producer.contract.retry_after import read_retry_after

NOW = datetime(2026, 11, 28, 15, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "sent", "expected"),
    [
        ("120", "", 120.0),
        (" 0 ", "", 0.0),
        ("Sat, 28 Nov 2026 15:02:00 GMT", "", 120.0),
        ("Sat, 28 Nov 2026 14:00:00 GMT", "", 0.0),
        ("Sat, 28 Nov 2026 16:02:00 GMT", "Sat, 28 Nov 2026 16:00:00 GMT", 120.0),
        ("Sat, 28 Nov 2026 15:02:00 GMT", "yesterday", 120.0),
        ("9" * 400, "", 999_999_999.0),
        ("", "", None),
        ("soon", "", None),
        ("-5", "", None),
        ("1.5", "", None),
        ("²", "", None),
        ("Sat, 99 Nov 2026 15:02:00 GMT", "", None),
    ],
)
def test_seconds_and_dates_are_read_and_anything_else_is_not(said: str, sent: str, expected: float | None) -> None:
    assert read_retry_after(said, sent=sent, now=NOW) == expected
