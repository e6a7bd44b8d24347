"""A scan result's fields are typed, and a result of an older or newer release passes through without loss."""

from __future__ import annotations

import json
from typing import Any

import pytest

from producer.contract import AssessmentSource, ScanResult, decode_result
from tests.support.untyped import untyped

_NODE = {"selector": ["#a", ["x", "y"]], "snippet": "<a>", "failure_summary": "no name", "fingerprint": "n1"}
_FINDING: dict[str, Any] = {
    "rule": "link-name",
    "outcome": "violation",
    "impact": "serious",
    "criteria": ["2.4.4"],
    "tags": ["wcag2a"],
    "help": "Links must have text",
    "help_url": "https://help.example/",
    "description": "d",
    "nodes": [{**_NODE, "box": [1, 2, 30, 40]}],
    "node_count": 1,
    "fingerprint": "f1",
}
_COUNTS = {"critical": 0, "serious": 1, "moderate": 0, "minor": 0}
_USAGE = {"prompt_tokens": 1, "output_tokens": 2, "calls": 1, "gpu_wait_ms": 3, "gpu_ms": 4, "cache_hit": False}
_REVIEW = {"fingerprint": "n2", "rule": "r", "area": "a", "verdict": "barrier", "why": "", "look_at": "", "source": "m"}
_RARE: dict[str, Any] = {
    "waited": {"load": "reached", "network": "reached", "dom": "still changing", "selector": "reached"},
    "redirects": [{"status": 301, "url": "https://a.example/"}],
    "refused": ["the guard refused 127.0.0.1:80: rule 'loopback'"],
    "refused_left_out": 2,
    "unread_frames": {"https://ads.example/": "refused"},
    "unread_frames_left_out": 3,
    "soft_404": True,
    "sign_in": True,
    "failed_requests": 4,
    "popups_closed": 5,
    "dialogs_dismissed": 6,
}
# As release 5e536ef writes it, with every field it has.
_OLD: dict[str, Any] = {
    "v": 1,
    "job_id": "j1",
    "kind": "scan",
    "state": "succeeded",
    "error": None,
    "scan_id": "j1",
    "url": "https://a.example/",
    "final_url": "https://a.example/b",
    "title": "A",
    "group": "g",
    "status": "partial",
    "reason": "1 frame could not be read",
    "standard": "wcag22aa",
    "http_status": 200,
    "engine": {"axe": "4.14.1"},
    "findings": [_FINDING],
    "incomplete": [{**_FINDING, "outcome": "incomplete", "nodes": [_NODE]}],
    "counts": _COUNTS,
    "barriers": _COUNTS,
    "screenshot": "shot:j1",
    "assessment": {
        "summary": "s",
        "priorities": [{"fingerprint": "f1", "who": "w", "why": "y", "fix": "x"}],
        "prompt": "p1",
        "dropped": 0,
        "left_out": 0,
        "model_reason": "",
        "reviews": [_REVIEW],
        "reviewed": {"a": "p1"},
        "unreviewed": 0,
    },
    "assessment_source": "m",
    "changes": {"previous": "j0", "new": ["n1"], "fixed": [], "unchanged": 0, "uncertain": []},
    "notes": ["a note"],
    "usage": _USAGE,
    "timings_ms": {"load": 5},
    **_RARE,
}


def test_a_result_of_the_previous_release_is_read_and_written_without_loss() -> None:
    result = decode_result(json.dumps(_OLD))

    assert json.loads(result.model_dump_json()) == _OLD


def test_no_field_of_a_full_result_is_untyped() -> None:
    result = decode_result(json.dumps(_OLD))

    assert untyped(result) == []


def test_a_field_of_a_newer_release_is_kept_and_sent_on() -> None:
    newer = _OLD | {"colour": {"depth": 8}}

    result = decode_result(json.dumps(newer))

    assert untyped(result) == ["ScanResult.colour"]
    assert json.loads(result.model_dump_json()) == newer


def test_doubts_are_typed_and_left_out_of_the_json_while_empty() -> None:
    doubts = [{"kind": "blank", "what": "w", "where": "#x", "certainty": "likely"}]

    result = decode_result(json.dumps(_OLD | {"doubts": doubts, "doubts_left_out": 1}))

    assert untyped(result) == []
    assert json.loads(result.model_dump_json()) == _OLD | {"doubts": doubts, "doubts_left_out": 1}


@pytest.mark.parametrize("name", _RARE)
def test_an_empty_rare_field_is_left_out_of_the_json(name: str) -> None:
    result = decode_result(json.dumps({key: value for key, value in _OLD.items() if key != name}))

    assert isinstance(result, ScanResult)
    assert name not in json.loads(result.model_dump_json())


@pytest.mark.parametrize(
    ("sent", "source"),
    [
        ("qwen3.5:4b", AssessmentSource(model="qwen3.5:4b")),
        ("builtin", AssessmentSource(model="builtin")),
        ("none: the page is unreachable", AssessmentSource(reason="the page is unreachable")),
        ("none: m: no model host answers", AssessmentSource(reason="m: no model host answers")),
    ],
)
def test_who_assessed_a_page_is_read_from_one_string_and_sent_as_it_came(sent: str, source: AssessmentSource) -> None:
    result = decode_result(json.dumps(_OLD | {"assessment_source": sent}))

    assert isinstance(result, ScanResult)
    assert result.assessed_by == source
    assert str(source) == json.loads(result.model_dump_json())["assessment_source"] == sent


def test_a_result_that_was_never_assessed_says_why() -> None:
    result = ScanResult(status="scanned")

    assert result.assessed_by == AssessmentSource(reason="not requested")
    assert result.model_dump()["assessment_source"] == "none: not requested"
