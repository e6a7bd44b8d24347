"""What the event stream tells."""

from __future__ import annotations

from producer.contract.message import Message
from producer.contract.terms import JobState


class Event(Message):
    """One line of the event stream: ``job.succeeded``, ``job.retried``, ``batch.finished`` and others.

    ``id`` is the stream entry's id, from which a reader resumes; it is not part of the line itself.
    """

    event: str
    at_ms: int = 0
    job_id: str | None = None
    kind: str | None = None
    lane: str | None = None
    state: JobState | None = None
    batch: str | None = None
    attempt: int | None = None
    worker: str | None = None
    id: str | None = None
