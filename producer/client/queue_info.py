"""What the views of the queue return: jobs, batches, workers, and the queue as a whole. Times are Redis ms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from producer.client.controls_view import WORKER, Control
from producer.client.lane_view import LaneInfo
from producer.contract import JobState
from producer.contract.page_counts import PageCounts


@dataclass(frozen=True, slots=True)
class JobInfo:
    """A job's hash. ``position`` is its position in its lane, None unless the job is queued."""

    job_id: str
    kind: str
    lane: str
    state: JobState
    attempt: int
    batch: str
    worker: str
    enqueued_ms: int
    started_ms: int | None
    finished_ms: int | None
    progress: str
    error: str
    position: int | None = None

    @classmethod
    def of(cls, job_id: str, fields: Mapping[bytes, bytes], *, position: int | None = None) -> JobInfo:
        """Decode the hash; missing fields are empty."""

        def text(name: str) -> str:
            return fields.get(name.encode(), b"").decode("utf-8", "replace")

        return cls(
            job_id,
            state=JobState(text("state") or "queued"),
            attempt=int(text("attempt") or 0),
            enqueued_ms=int(text("enqueued_ms") or 0),
            started_ms=int(text("started_ms") or 0) or None,
            finished_ms=int(text("finished_ms") or 0) or None,
            error=_error_text(text("error")),
            position=position,
            **{name: text(name) for name in ("kind", "lane", "batch", "worker", "progress")},
        )


@dataclass(frozen=True, slots=True)
class BatchInfo:
    """A batch's counters. It is finished when it is sealed and ``done`` equals ``total``."""

    batch_id: str
    total: int
    done: int
    succeeded: int
    cancelled: int
    dead: int
    sealed: bool
    finished_ms: int | None
    pages: PageCounts = field(default_factory=PageCounts)
    """Its pages by outcome; all 0 for jobs of other kinds, and in batches of earlier releases."""

    @property
    def missed(self) -> int:
        """The number of its pages that were not scanned: they could not be read, or their job failed."""
        return self.pages.missed + (self.dead if self.pages.total else 0)

    @property
    def not_passed(self) -> int:
        """The number of its jobs that are no pass: pages scanned in part or not at all, failed and cancelled jobs."""
        return self.pages.partial + self.pages.missed + self.dead + self.cancelled

    @classmethod
    def of(cls, batch_id: str, fields: Mapping[bytes, bytes]) -> BatchInfo:
        """Decode the hash."""
        counters = ("total", "done", "succeeded", "cancelled", "dead")
        return cls(
            batch_id,
            **{name: int(fields.get(name.encode(), b"0")) for name in counters},
            sealed=fields.get(b"sealed") == b"1",
            finished_ms=int(fields.get(b"finished_ms", b"0")) or None,
            pages=PageCounts.of(fields),
        )


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker's last heartbeat; ``at_ms`` is by the worker's clock."""

    name: str
    host: str
    pid: int
    at_ms: int
    max_jobs: int
    jobs: tuple[str, ...]
    complete: int
    failed: int
    retried: int
    sandbox: str = ""
    """``on`` if its browser runs in a sandbox, otherwise the reason; '' if the worker does not report it."""
    release: str = ""
    models: tuple[str, ...] = ()
    """The chat and embedding models. Workers of earlier releases report none of these fields."""
    browser: str = ""
    hosts: tuple[str, ...] = ()
    """The model hosts that the worker uses."""
    notices: str = ""
    """Pending and abandoned notices, in words; '' if all were sent, or the worker sends none."""

    @classmethod
    def of(cls, heartbeat: Mapping[str, Any]) -> WorkerInfo:
        """Decode the heartbeat's JSON."""

        def number(name: str) -> int:
            return int(heartbeat.get(name, 0))

        def text(name: str) -> str:
            return str(heartbeat.get(name, ""))

        def texts(name: str) -> tuple[str, ...]:
            return tuple(map(str, heartbeat.get(name, ())))

        return cls(
            name=text("name"),
            host=text("host"),
            pid=number("pid"),
            at_ms=number("at_ms"),
            max_jobs=number("max_jobs"),
            jobs=texts("jobs"),
            complete=number("complete"),
            failed=number("failed"),
            retried=number("retried"),
            sandbox=text("sandbox"),
            release=text("release"),
            models=texts("models"),
            browser=text("browser"),
            hosts=texts("hosts"),
            notices=text("notices"),
        )


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """The queue of one environment."""

    lanes: Mapping[str, LaneInfo]
    scheduled: int
    dead: int
    workers: tuple[WorkerInfo, ...]
    turns: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Batches whose jobs are next, for each lane in which batches take turns; ``''`` for jobs without a batch."""
    controls: tuple[Control, ...] = ()
    """Pauses, drains and limits."""

    def is_draining(self, worker: str) -> bool:
        """Return whether a worker is draining."""
        return any(one.kind == WORKER and one.name == worker for one in self.controls)


def _error_text(text: str) -> str:
    """Return the last failure as a line; a retry stores it as JSON."""
    if not text.startswith("{"):
        return text
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return f"{fields.get('type', 'Error')}: {fields.get('message', '')}"
