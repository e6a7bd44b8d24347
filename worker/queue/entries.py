"""What a worker has claimed: entries of a lane as they come from Redis, and whether one can be a job at all. Pure.

Anyone may write the stream, so nothing about an entry is believed. Next: ``stream.py``, which starts it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from producer.contract import JOB_ID, MAX_KIND_CHARS, WIRE_VERSION, Lane, decode_payload
from producer.errors import InvalidJob

VERSION: Final = re.compile(rb"[1-9][0-9]{0,3}")

RawEntry = tuple[bytes, Sequence[bytes] | None]


@dataclass(slots=True, eq=False)
class Entry:
    """One entry of a lane, claimed but not started."""

    id: str
    lane: Lane
    job_id: str
    kind: str
    fields: Mapping[bytes, bytes]

    @property
    def own_id(self) -> str:
        """Job id of an entry that names none, or one that cannot be its."""
        return f"{self.lane}-{self.id}"

    @property
    def is_by_hand(self) -> bool:
        """Whether the payload travels in the entry: it was added with XADD, not by submit.lua."""
        return b"payload" in self.fields


def entries_of(lane: Lane, rows: Sequence[RawEntry]) -> list[Entry]:
    """Return the entries of a raw reply; a row without fields was deleted meanwhile."""
    return [_entry(lane, entry_id.decode(), flat or ()) for entry_id, flat in rows]


def _entry(lane: Lane, entry_id: str, flat: Sequence[bytes]) -> Entry:
    fields = dict(zip(flat[::2], flat[1::2], strict=False))
    given = fields.get(b"id", b"").decode("utf-8", "replace")
    kind = fields.get(b"kind", b"").decode("utf-8", "replace")
    job_id = given if JOB_ID.fullmatch(given) else f"{lane}-{entry_id}"
    return Entry(entry_id, lane, job_id, kind, fields)


def check_entry(entry: Entry) -> None:
    """Raise ``InvalidJob`` for an entry that cannot be a job, before anything is written for it."""
    fields = entry.fields
    given = fields.get(b"id")
    if given is not None and given != entry.job_id.encode():
        msg = f"the entry's id is {given[:60]!r}: expected 1 to 128 letters, digits, '_', '-' or '.'"
        raise InvalidJob(msg)
    if not entry.kind or len(entry.kind) > MAX_KIND_CHARS:
        names = ", ".join(sorted(name[:40].decode("utf-8", "replace") for name in list(fields)[:10])) or "none"
        msg = f"the entry has no usable kind (its fields: {names}): expected kind and payload"
        raise InvalidJob(msg)
    version = fields.get(b"v")
    if version is not None and not VERSION.fullmatch(version):
        msg = f"the entry's version is {version[:20]!r}: this worker reads versions 1 to {WIRE_VERSION}"
        raise InvalidJob(msg)
    if (
        entry.is_by_hand and int(version or 1) <= WIRE_VERSION
    ):  # what a newer one looks like is its own release's to say
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
