"""The contract returns a value or a documented error for any input, and can read its own messages."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from producer.client.event_stream import event_of
from producer.contract import (
    Result,
    check_url,
    decode_payload,
    decode_result,
    describe_invalid,
    encode_payload,
    page_id,
)
from producer.contract.addresses import normal_url
from producer.contract.page_search import PageSearch
from producer.errors import InvalidJob, JobTooLarge, RedisUnsuitable
from tests.fuzz.strange import BYTES, JSON, TEXT, as_json, objects_with
from worker.agent.handlers import parse_query, parse_request

SCAN_FIELDS = (
    "url", "html", "standard", "include", "exclude", "viewport", "wait_for", "group", "v", "assess", "steps", "login",
    "blocked_hosts", "ca", "checks", "allow_partial", "enabled_rules", "run", "device", "page_state", "host_gap_ms",
)  # fmt: skip
SEARCH_FIELDS = ("batch", "urls", "sitemaps", "crawl", "match", "replaced", "max_pages", "ca", "groups", "forms", "v")
STEPS = objects_with("goto", "click", "fill", "value", "press", "on", "wait_for", "scan", "consent", "scroll", "name")
QUERY_FIELDS = ("question", "thread_id", "site", "use_cache", "v")
RESULT_FIELDS = ("kind", "state", "job_id", "error", "findings", "url", "status", "usage", "v", "answer", "sources")


@given(st.one_of(BYTES, JSON.map(as_json), TEXT))
def test_a_payload_is_an_object_or_refused(raw: str | bytes):
    with contextlib.suppress(InvalidJob):
        assert isinstance(decode_payload(raw), dict)


@given(objects_with(*SCAN_FIELDS))
def test_what_is_sent_can_be_read(payload: dict[str, Any]):
    try:
        sent = encode_payload(payload)
    except (InvalidJob, JobTooLarge):
        return

    assert decode_payload(sent) == json.loads(sent)


@given(objects_with(*SCAN_FIELDS))
def test_a_scan_request_is_valid_or_named_wrong(payload: dict[str, Any]):
    try:
        request = parse_request(payload)
    except InvalidJob as error:
        assert "not a scan request: " in str(error)
    else:
        assert request.url is None or check_url(request.url)


@given(st.lists(STEPS, max_size=3))
def test_steps_are_valid_or_named_wrong(steps: list[dict[str, Any]]):
    try:
        request = parse_request({"url": "https://shop.example/", "steps": steps})
    except InvalidJob as error:
        assert "steps" in str(error)
    else:
        assert len(request.steps) == len(steps)


@given(objects_with(*SEARCH_FIELDS))
def test_a_search_for_pages_is_valid_or_named_wrong(payload: dict[str, Any]):
    try:
        search = PageSearch.model_validate(payload)
    except ValidationError as error:
        assert describe_invalid(error)
    else:
        assert search.forms


@given(st.one_of(BYTES, JSON.map(as_json), objects_with("event", "at_ms", "job_id", "state", "id").map(as_json)))
def test_a_row_of_the_event_stream_is_an_event_or_ignored(raw: str | bytes):
    event = event_of("1-1", raw)

    assert event is None or event.id == "1-1"


@given(objects_with(*QUERY_FIELDS))
def test_a_question_is_valid_or_named_wrong(payload: dict[str, Any]):
    try:
        request = parse_query(payload)
    except InvalidJob as error:
        assert str(error)
    else:
        assert request.question.strip()


@given(st.one_of(BYTES, JSON.map(as_json), objects_with(*RESULT_FIELDS).map(as_json)))
def test_a_result_key_holds_a_result_or_is_said_not_to(raw: str | bytes):
    try:
        assert isinstance(decode_result(raw), Result)
    except RedisUnsuitable as error:
        assert "result" in str(error)


@given(st.one_of(TEXT, TEXT.map(lambda text: f"http://{text}"), TEXT.map(lambda text: f"https://shop.example/{text}")))
def test_an_address_has_one_spelling_or_is_refused(text: str):
    try:
        once = normal_url(text)
    except ValueError:
        return

    assert normal_url(once) == once
    assert len(page_id(once)) == 24


@pytest.mark.parametrize("raw", ["[]", "7", "null", "{", '"x"'])
def test_what_is_no_object_is_no_result(raw: str):
    with pytest.raises(RedisUnsuitable, match="result"):
        decode_result(raw)
