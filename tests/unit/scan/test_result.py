"""A scan's result stays small enough to be kept, whatever the page does."""

from __future__ import annotations

from typing import Any, Final

import pytest

from producer.contract import Doubt, ScanRequest
from worker.scan.axe import AxeReport
from worker.scan.guard import Refusal
from worker.scan.result import Seen, make_result
from worker.scan.waiting import Waited
from worker.scan.watch import Watch

_NOTHING: Final[dict[str, Any]] = {"engine": {}, "timings_ms": {}}


def test_thousands_of_refused_hosts_dead_frames_and_doubts_are_counted_not_listed() -> None:
    refusals = tuple(Refusal("loopback", f"h{number}.evil.example", 80, "127.0.0.1") for number in range(5_000))
    report = AxeReport(
        unread_frames={f"http://evil.example/{number}/{'x' * 1_900}": "refused" for number in range(5_000)}
    )
    seen = Seen(Watch(frame_id="1"), Waited(), refusals, None, report)

    doubts = [Doubt(kind="closed-shadow-root", what=f"x-{number}") for number in range(5_000)]

    result = make_result(
        ScanRequest(url="http://evil.example/"), seen, status="scanned", reason="", doubts=doubts, **_NOTHING
    )

    assert (len(result.refused), result.refused_left_out) == (50, 4_950)
    assert (len(result.unread_frames), result.unread_frames_left_out) == (50, 4_950)
    assert (len(result.doubts), result.doubts_left_out) == (50, 4_950)
    assert result.reason == "x-0; x-1; x-2; x-3; x-4"
    assert len(result.model_dump_json()) < 200_000


@pytest.mark.parametrize(
    ("kinds", "allowed", "status"),
    [
        ((), (), "scanned"),
        (("soft-404",), (), "scanned"),
        (("soft-404", "blank"), (), "partial"),
        (("blank",), ("blank",), "scanned"),
        (("blank", "wait-for"), ("blank",), "partial"),
    ],
)
def test_a_page_is_partial_where_something_was_not_seen_that_the_request_does_not_allow_for(
    kinds: tuple[str, ...], allowed: tuple[str, ...], status: str
) -> None:
    request = ScanRequest(url="http://a.example/", allow_partial=allowed)
    doubts = [Doubt(kind=kind, what=f"about {kind}") for kind in kinds]
    seen = Seen(Watch(frame_id="1"), Waited(), (), None, AxeReport())

    result = make_result(request, seen, status="scanned", reason="", doubts=doubts, **_NOTHING)

    assert result.status == status
    assert [doubt.kind for doubt in result.doubts] == list(kinds)
    assert bool(result.reason) == (status == "partial")


def test_an_unknown_kind_of_doubt_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"unknown kind of doubt 'blnk': expected .*blank"):
        ScanRequest(url="http://a.example/", allow_partial=("blnk",))
