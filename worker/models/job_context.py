"""The job that the running code serves: it sets the priority of model calls, and its question may decide the model."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from producer.contract import Lane


@dataclass(frozen=True, slots=True)
class Serving:
    """One job; '' outside any job. ``complex_because``: why its question is too hard for a small model, if so."""

    job_id: str = ""
    lane: Lane = Lane.BATCH
    complex_because: str = ""


_SERVING: Final[ContextVar[Serving]] = ContextVar("serving", default=Serving())  # noqa: B039  frozen


@contextmanager
def serving(job_id: str, lane: Lane | str, *, complex_because: str = "") -> Generator[None]:
    """Mark the code in the block, including tasks started there, as running for ``job_id``."""
    token = _SERVING.set(Serving(job_id, Lane(lane), complex_because))
    try:
        yield
    finally:
        _SERVING.reset(token)


def now_serving() -> Serving:
    """Return the job that this code serves; batch work without a job if none is set."""
    return _SERVING.get()
