"""What a stranger wrote into Redis is read or ignored, and stops no command and no worker."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import example, given
from hypothesis import strategies as st

from producer.client.controls_view import control_of
from producer.errors import InvalidJob
from producer.stored.decisions import decision_of
from producer.stored.due_times import latest_time, next_time, zone_of
from producer.stored.schedules import schedule_of
from producer.stored.waivers import waiver_of
from tests.fuzz.strange import BYTES, TEXT, as_json, objects_with

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
NESTED = b"[" * 50_000
FIELDS = (
    "name", "cron", "kind", "payloads", "time_zone", "gate", "url", "at_ms", "by", "places", "gap_ms", "fingerprint",
    "reason", "until", "issue_id", "verdict", "on",
)  # fmt: skip
VALID = {
    "fingerprint": "a" * 24,
    "issue_id": f"{'a' * 16}-{'a' * 8}",
    "verdict": "barrier",
    "reason": "r",
    "by": "A",
    "on": "2026-11-30",
}
HALF = as_json(VALID | {"by": "half of a pair: \ud83d"}).encode()
RECORDS = st.one_of(
    BYTES,
    objects_with(*FIELDS).map(as_json).map(str.encode),
    objects_with("by", "at_ms")
    .map(lambda given: as_json(VALID | {"name": "n", "cron": "0 3 * * *", "kind": "scan", "payloads": [given]} | given))
    .map(str.encode),
)
CRON_FIELDS = st.one_of(
    st.sampled_from(
        ["*", "*/2", "1-5", "L", "5L", "MON#2", "LW", "59", "31", "FEB", "1,2", "0-99999999999", "\u0665", ""]
    ),
    TEXT,
)
CRON = st.one_of(TEXT, st.lists(CRON_FIELDS, min_size=4, max_size=6).map(" ".join))


@given(RECORDS)
@example(NESTED)
@example(HALF)
def test_a_waiver_is_read_or_ignored(raw: bytes):
    waiver = waiver_of(raw)

    assert waiver is None or as_utf8(waiver.document())


@given(RECORDS)
@example(NESTED)
@example(HALF)
def test_a_decision_is_read_or_ignored(raw: bytes):
    decision = decision_of(raw)

    assert decision is None or as_utf8(decision.document())


@given(BYTES, RECORDS)
@example(b"worker:1", NESTED)
@example(b"worker:1", b'{"at_ms": 1e999, "by": "A"}')
def test_a_control_stays_in_force_whatever_its_value(name: bytes, raw: bytes):
    for field in (name, b"limits:shop.example", b"lane:batch"):
        assert control_of(field, raw).field


@given(RECORDS)
@example(NESTED)
def test_a_schedule_is_read_due_or_refused(raw: bytes):
    schedule = schedule_of(raw)
    if schedule is None:
        return

    assert all(isinstance(url, str) for url in schedule.urls)
    assert schedule.url_with_login is None or schedule.url_with_login
    try:
        assert schedule.latest(NOW) <= NOW
    except InvalidJob as error:
        assert str(error)


@given(CRON)
def test_a_cron_line_has_times_or_is_refused_with_a_reason(line: str):
    try:
        latest = latest_time(line, NOW)
    except InvalidJob as error:
        assert "cron line" in str(error)
    else:
        assert latest <= NOW < next_time(line, NOW)


@given(TEXT)
def test_a_time_zone_is_known_or_refused(name: str):
    try:
        zone_of(name)
    except InvalidJob as error:
        assert "time zone" in str(error)


def as_utf8(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()
