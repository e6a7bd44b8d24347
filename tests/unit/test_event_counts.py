"""The counters that a worker's events make."""

from __future__ import annotations

import re
from pathlib import Path

from worker.metrics.server import Metrics

ALERTS = Path(__file__).parents[2] / "ops/prometheus/alerts.yml"


def test_an_event_that_an_alert_reads_is_counted_from_zero_so_that_its_first_time_is_an_increase() -> None:
    events = re.findall(r'event="([\w.]+)"', ALERTS.read_text())

    registry = Metrics("dev").registry

    assert events
    counts = {
        name: registry.get_sample_value("sightline_events_total", {"environment": "dev", "event": name})
        for name in events
    }
    assert counts == dict.fromkeys(events, 0.0)
