"""A scan's result stays small enough to be kept, whatever the page does."""

from __future__ import annotations

from producer.contract import ScanRequest
from worker.scan.axe import AxeReport
from worker.scan.guard import Refusal
from worker.scan.result import Seen, make_result
from worker.scan.waiting import Waited
from worker.scan.watch import Watch


def test_thousands_of_refused_hosts_and_dead_frames_are_counted_not_listed() -> None:
    refusals = tuple(Refusal("loopback", f"h{number}.evil.example", 80, "127.0.0.1") for number in range(5_000))
    report = AxeReport(
        unread_frames={f"http://evil.example/{number}/{'x' * 1_900}": "refused" for number in range(5_000)}
    )
    seen = Seen(Watch(frame_id="1"), Waited(), refusals, None, report)

    result = make_result(
        ScanRequest(url="http://evil.example/"), seen, status="partial", reason="", engine={}, timings_ms={}
    )

    assert (len(result.refused), result.refused_left_out) == (50, 4_950)
    assert (len(result.unread_frames), result.unread_frames_left_out) == (50, 4_950)
    assert len(result.model_dump_json()) < 200_000
