"""Waivers: accepted barriers, kept in Redis by fingerprint until they are removed.

An expired waiver stays listed, so that reports can mention it if the barrier is still there. ``reports/marks.py``
applies waivers.
"""

from __future__ import annotations

import json
from datetime import date
from typing import Any, cast

from producer.client.client import Client
from producer.client.queue_view import unknown
from producer.contract import JsonObject
from producer.contract.nearest import nearest
from producer.contract.waiver import FINGERPRINT, MAX_REASON_CHARS, Waiver
from producer.errors import InvalidJob
from producer.redis.connection import redis_errors
from producer.text_file import is_unicode


class Waivers:
    """The waivers of a client's environment."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._redis = cast("Any", client.redis)
        self._key = client.keys.waivers

    async def add(self, waiver: Waiver) -> None:
        """Save the waiver, replacing one of the same fingerprint; raises ``InvalidJob``."""
        check_waiver(waiver)
        with redis_errors(self._client.settings, lambda: "the waiver may have been added; add it again to be sure"):
            await self._redis.hset(self._key, waiver.fingerprint, json.dumps({"v": 1, **waiver.document()}))

    async def all(self) -> list[Waiver]:
        """Return the waivers by fingerprint, without unreadable ones."""
        with redis_errors(self._client.settings, None):
            fields = await self._redis.hgetall(self._key)
        read = (waiver_of(value) for value in fields.values())
        return sorted((waiver for waiver in read if waiver), key=lambda waiver: waiver.fingerprint)

    async def remove(self, fingerprint: str) -> None:
        """Remove a waiver: the barrier counts again. Raises ``UnknownJob``."""
        with redis_errors(self._client.settings, lambda: "the waiver may have been removed"):
            removed = await self._redis.hdel(self._key, fingerprint)
        if not removed:
            kept = [waiver.fingerprint for waiver in await self.all()]
            meant = nearest(fingerprint, kept)
            raise unknown(f"waiver of {fingerprint!r}", self._client.keys, see="waive --list", meant=meant)


def check_waiver(waiver: Waiver) -> Waiver:
    """Return ``waiver``; raises ``InvalidJob`` for an invalid fingerprint, and for a missing or overlong reason."""
    if not FINGERPRINT.fullmatch(waiver.fingerprint):
        shown = waiver.fingerprint[:60]
        msg = f"fingerprint {shown!r}: expected 24 hex digits, or 16-8 for a component barrier, as shown in reports"
        raise InvalidJob(msg)
    if not waiver.reason.strip() or len(waiver.reason) > MAX_REASON_CHARS:
        msg = f"the reason of a waiver has {len(waiver.reason)} characters: expected 1 to {MAX_REASON_CHARS}"
        raise InvalidJob(msg)
    if not is_unicode(waiver.reason + waiver.by):  # no report could be written
        raise InvalidJob("the reason or name of a waiver is not text in UTF-8")
    return waiver


def waiver_of(text: bytes) -> Waiver | None:
    """Decode a stored waiver; None for an invalid one, such as one written by hand."""
    try:
        fields = cast("JsonObject", json.loads(text))
        until = date.fromisoformat(fields["until"]) if fields.get("until") else None
        by = str(fields.get("by") or "")
        return check_waiver(Waiver(str(fields["fingerprint"]), str(fields["reason"]), until, by))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, InvalidJob):
        return None
