"""Decodes the entries that a worker claims and the deliveries that it starts. Pure.

Anyone may write to the stream, so entries are untrusted. Next: ``stream.py``, which claims, starts and ends deliveries;
``executor.py``, which runs a delivery from start to commit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from producer.contract import JOB_ID, MAX_KIND_CHARS, WIRE_VERSION, ErrorInfo, Lane, decode_payload
from producer.contract.addresses import hide_user_info
from producer.errors import InvalidJob

VERSION: Final = re.compile(rb"[1-9][0-9]{0,3}")

RawEntry = Sequence[Any]
"""An entry's id, its fields and values or None, and start.lua's reply if the entry was started."""


@dataclass(slots=True, eq=False)
class Entry:
    """An entry of a lane, claimed but not started."""

    id: str
    lane: Lane
    job_id: str
    kind: str
    fields: Mapping[bytes, bytes]
    start: Started | None = None
    """The reply of its start, if the script that claimed it has started it."""

    @property
    def own_id(self) -> str:
        """The job id of an entry without a valid one."""
        return f"{self.lane}-{self.id}"


def id_number(entry_id: str) -> tuple[int, int]:
    """Return a stream id as numbers, which sort in Redis's order."""
    ms, _, number = entry_id.partition("-")
    return int(ms), int(number or 0)


def entries_of(lane: Lane, rows: Sequence[RawEntry]) -> list[Entry]:
    """Return the entries of a raw reply, without rows that were deleted in the meantime and so have no fields."""
    return [_entry(lane, *row) for row in rows]


def _entry(lane: Lane, raw_id: bytes, flat: Sequence[bytes] | None, reply: Sequence[Any] | None = None) -> Entry:
    entry_id, flat = raw_id.decode(), flat or ()
    fields = dict(zip(flat[::2], flat[1::2], strict=False))
    given = fields.get(b"id", b"").decode("utf-8", "replace")
    kind = fields.get(b"kind", b"").decode("utf-8", "replace")
    job_id = given if JOB_ID.fullmatch(given) else f"{lane}-{entry_id}"
    entry = Entry(entry_id, lane, job_id, kind, fields)
    entry.start = started(entry, reply) if reply else None
    return entry


def check_entry(entry: Entry) -> None:
    """Raise ``InvalidJob`` for a malformed entry, before anything is written for it."""
    fields = entry.fields
    given = fields.get(b"id")
    if given is not None and given != entry.job_id.encode():
        shown = hide_user_info(given.decode("utf-8", "backslashreplace"))[:60]
        msg = f"the entry's id is {shown!r}: expected 1 to 128 letters, digits, '_', '-' or '.'"
        raise InvalidJob(msg)
    if not entry.kind or len(entry.kind) > MAX_KIND_CHARS:
        names = ", ".join(sorted(name[:40].decode("utf-8", "replace") for name in list(fields)[:10])) or "none"
        msg = f"the entry has no usable kind (its fields: {names}): expected kind and payload"
        raise InvalidJob(msg)
    version = fields.get(b"v")
    if version is not None and not VERSION.fullmatch(version):
        msg = f"the entry's version is {version[:20]!r}: this worker reads versions 1 to {WIRE_VERSION}"
        raise InvalidJob(msg)
    is_readable = int(version or 1) <= WIRE_VERSION  # only a newer release can read its own entries
    if b"payload" in fields and is_readable:  # added with XADD, not by submit.lua
        decode_payload(fields[b"payload"])
        decode_args(fields.get(b"args", b""))


def decode_args(text: bytes) -> tuple[Any, ...]:
    """Return the positional arguments; raises ``InvalidJob`` unless ``text`` is empty or a JSON list."""
    if not text:
        return ()
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"args is not JSON: {error}"
        raise InvalidJob(msg) from None
    if not isinstance(value, list):
        msg = f"args is a JSON {type(value).__name__}: expected a list"
        raise InvalidJob(msg)
    return tuple(cast("list[Any]", value))


@dataclass(slots=True, eq=False)
class Delivery:
    """A job's run by this worker; ``fence`` proves that it is the latest one. Times are Redis ms.

    ``version`` is the producer's contract version; ``waited_ms`` the entry's time in its lane.
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
    started_at: float = 0.0
    is_expired: bool = False
    due_ms: int = 0
    """When the producer wanted it to run, 0 for at once; only for jobs of arq programs."""

    def pause_in(self, controls: Collection[str], *others: str) -> str:
        """Return the field in ``controls`` of the job's batch or lane, or of ``others``; '' if there is none."""
        if not controls:
            return ""
        named = (f"batch:{self.batch}", f"lane:{self.lane}", *others)
        return next((field for field in named if field in controls), "")


@dataclass(frozen=True, slots=True)
class NotStarted:
    """An entry without a delivery: ``dropped``, ``missing``, ``lost``, or ``invalid`` for a ``reason``."""

    why: str
    reason: str = ""


Started = Delivery | NotStarted


def started(entry: Entry, reply: Sequence[Any]) -> Started:
    """Decode start.lua's reply for ``entry``."""
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
        is_expired=0 < reply[12] < int(reply[11]),
        due_ms=int(reply[13]),
    )


def newer(delivery: Delivery) -> ErrorInfo:
    """Return why a job of a newer release waits."""
    speaks = f"the job uses version {delivery.version} of the contract, this worker version {WIRE_VERSION}"
    return ErrorInfo(type="NewerJob", message=f"{speaks}: it waits for a newer worker")


def unknown_kind(delivery: Delivery, known: Iterable[str], *, wait_s: float, has_waited: bool) -> ErrorInfo:
    """Return why a job without a function here waits or was dead-lettered."""
    message = f"no function for kind {delivery.kind!r}: this worker knows {', '.join(sorted(known))}"
    if has_waited:
        message += f"; no worker that knows it came within {wait_s:g} s (KIND_WAIT_S)"
    elif wait_s:
        message += f"; it waits up to {wait_s:g} s for another (KIND_WAIT_S)"
    return ErrorInfo(type="InvalidJob", message=message)


def exhausted(delivery: Delivery) -> ErrorInfo:
    """Return why a job is out of attempts although none of them failed."""
    why = delivery.last_error or "its worker was lost each time"
    message = f"attempt {delivery.attempt} of {delivery.tries} was the last, and none finished: {why}"
    return ErrorInfo(type="AttemptsExhausted", message=message)
