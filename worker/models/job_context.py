"""Whom the running code works for: a model call waits with its job's priority, and may go elsewhere by its question."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from producer.contract import Lane


@dataclass(frozen=True, slots=True)
class Serving:
    """One job; '' outside of any. ``complex_because`` says why its question is too much for a small model, if it is."""

    job_id: str = ""
    lane: Lane = Lane.BATCH
    complex_because: str = ""


_SERVING: Final[ContextVar[Serving]] = ContextVar("serving", default=Serving())  # noqa: B039  frozen


@contextmanager
def serving(job_id: str, lane: Lane | str, *, complex_because: str = "") -> Generator[None]:
    """Say that what runs inside, tasks started there included, runs for ``job_id``."""
    token = _SERVING.set(Serving(job_id, Lane(lane), complex_because))
    try:
        yield
    finally:
        _SERVING.reset(token)


def now_serving() -> Serving:
    """Return whom this code works for; batch work without a job where nobody has said."""
    return _SERVING.get()
