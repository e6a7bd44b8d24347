"""What a worker holds of a job that it has started: what start.lua said of the entry, read. Pure.

Next: ``stream.py``, which starts and ends deliveries; ``deliveries.py``, which carries them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from producer.contract import WIRE_VERSION, ErrorInfo, Lane
from worker.queue.entries import Entry


@dataclass(slots=True, eq=False)
class Delivery:
    """One claim of a job by this worker; ``fence`` proves it is the latest. Times are Redis ms.

    ``version`` is that of the contract its producer spoke; ``waited_ms`` how long the entry lay in its lane.
    """

    job_id: str
    kind: str
    lane: Lane
    entry: str
    fence: int
    attempt: int
    tries: int
    payload: bytes
    args: bytes
    batch: str
    enqueued_ms: int
    is_cancelled: bool = False
    is_exhausted: bool = False
    last_error: str = ""
    version: int = WIRE_VERSION
    waited_ms: int = 0
    started_at: float = field(default=0.0)


@dataclass(frozen=True, slots=True)
class NotStarted:
    """An entry that did not become a delivery: ``dropped``, ``missing`` or ``lost``."""

    why: str


Answer = Sequence[Any]
"""What start.lua says of one entry."""


def started(entry: Entry, reply: Answer) -> Delivery | NotStarted:
    """Return what start.lua has made of ``entry``."""
    verdict = reply[0]
    if verdict not in (b"run", b"exhausted"):
        return NotStarted(verdict.decode())
    return Delivery(
        job_id=entry.job_id,
        kind=entry.kind,
        lane=entry.lane,
        entry=entry.id,
        fence=reply[1],
        attempt=reply[2],
        tries=reply[3],
        payload=reply[4],
        args=reply[5],
        batch=reply[6].decode("utf-8", "replace"),
        enqueued_ms=int(reply[7]),
        is_cancelled=bool(reply[8]),
        is_exhausted=verdict == b"exhausted",
        last_error=reply[9].decode("utf-8", "replace"),
        version=reply[10],
        waited_ms=max(0, int(reply[11]) - int(entry.id.partition("-")[0])),
    )


def newer(delivery: Delivery) -> ErrorInfo:
    """Return why a job of a newer release waits."""
    speaks = f"the job speaks version {delivery.version} of the contract, this worker {WIRE_VERSION}"
    return ErrorInfo(type="NewerJob", message=f"{speaks}: it waits for a newer worker")


def exhausted(delivery: Delivery) -> ErrorInfo:
    """Return why a job has no further attempt though none of them failed."""
    why = delivery.last_error or "its worker was lost each time"
    message = f"attempt {delivery.attempt} of {delivery.tries} was the last, and none ended: {why}"
    return ErrorInfo(type="AttemptsExhausted", message=message)
