from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.memory.dates import parse_until, parse_when, time_of

MONDAY_NOON = round(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-01", "2026-11-01T00:00Z"),
        ("2026-11-01T10:30+01:00", "2026-11-01T09:30Z"),
        ("today", "2026-11-23T00:00Z"),
        ("Yesterday", "2026-11-22T00:00Z"),
        ("Monday", "2026-11-23T00:00Z"),
        ("last Friday", "2026-11-20T00:00Z"),
        ("on Tuesday?", "2026-11-17T00:00Z"),
        ("last week", "2026-11-16T12:00Z"),
        ("a week ago", "2026-11-16T12:00Z"),
        ("the last 3 days", "2026-11-20T12:00Z"),
        ("two hours ago", "2026-11-23T10:00Z"),
        ("this week", "2026-11-23T00:00Z"),
        ("this month", "2026-11-01T00:00Z"),
        ("this year", "2026-01-01T00:00Z"),
        ("May", "2026-05-01T00:00Z"),
        ("the beginning of May", "2026-05-01T00:00Z"),
        ("last May", "2026-05-01T00:00Z"),
        ("November", "2026-11-01T00:00Z"),
        ("December", "2025-12-01T00:00Z"),
        ("May 2024", "2024-05-01T00:00Z"),
        ("Sept. 2025", "2025-09-01T00:00Z"),
        ("12 May", "2026-05-12T00:00Z"),
        ("the 12th of May 2024", "2024-05-12T00:00Z"),
        ("May 12, 2024", "2024-05-12T00:00Z"),
        ("May 12th", "2026-05-12T00:00Z"),
        ("23 November", "2026-11-23T00:00Z"),
        ("24 November", "2025-11-24T00:00Z"),
        ("29 February", "2024-02-29T00:00Z"),
        ("2026-05", "2026-05-01T00:00Z"),
        ("2025", "2025-01-01T00:00Z"),
    ],
)
def test_a_time_is_read_as_people_write_it(text: str, time: str):
    assert time_of(parse_when(text, now_ms=MONDAY_NOON)) == time


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "the redesign",
        "13",
        "2026-13-01",
        "last 9999 years",
        "now and then",
        "31 April",
        "May 0",
        "2026-13",
        "0000",
    ],
)
def test_an_invalid_time_is_refused_with_an_example(text: str):
    with pytest.raises(ValueError, match="2026-11-01"):
        parse_when(text, now_ms=MONDAY_NOON)


@given(st.text(max_size=40))
def test_no_text_crashes_the_parser_of_dates(text: str):
    try:
        parse_when(text, now_ms=MONDAY_NOON)
    except ValueError as error:
        assert "expected a date" in str(error)  # noqa: PT017  most texts are no times


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("today", "2026-11-23T12:00Z"),
        ("yesterday", "2026-11-22T23:59Z"),
        ("2026-11-01", "2026-11-01T23:59Z"),
        ("2026-11-01T10:30Z", "2026-11-01T10:30Z"),
        ("last Friday", "2026-11-20T23:59Z"),
        ("the 12th of May 2024", "2024-05-12T23:59Z"),
        ("May", "2026-05-31T23:59Z"),
        ("the beginning of May", "2026-05-01T00:00Z"),
        ("2026-10", "2026-10-31T23:59Z"),
        ("2025", "2025-12-31T23:59Z"),
        ("this week", "2026-11-23T12:00Z"),
        ("3 days ago", "2026-11-20T12:00Z"),
        ("2027-01-01", "2026-11-23T12:00Z"),
        ("9999-12-31", "2026-11-23T12:00Z"),
        ("9999-12", "2026-11-23T12:00Z"),
        ("9999", "2026-11-23T12:00Z"),
    ],
)
def test_until_with_a_day_month_or_year_means_its_end(text: str, time: str) -> None:
    assert time_of(parse_until(text, now_ms=MONDAY_NOON)) == time
