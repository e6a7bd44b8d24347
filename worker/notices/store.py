"""The pending notices in Redis: made from events once, claimed by one worker at a time, settled with a fence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from redis.asyncio import Redis

from producer.contract import JsonObject
from producer.keys import Keys
from producer.redis.scripts import as_text, load_script, run_script

TAKE: Final = load_script("worker.notices", "take")
CLAIM: Final = load_script("worker.notices", "claim")
SETTLE: Final = load_script("worker.notices", "settle")
READ_AT_ONCE: Final = 500
LINES: Final = 20
"""Maximum number of events named in a notice; more are counted."""
MOST_OPEN: Final = 1_000
"""Maximum pending notices; beyond it new ones are dropped, so that a dead receiver does not fill the memory."""
LEASE_MS: Final = 180_000
"""Longer than a send may take (``sender.py``)."""
AGE_MS: Final = 3 * 86_400_000


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice for one channel. ``count`` events of one kind, of which the first are ``events``.

    ``claim`` counts its claims, and is the fence of this one.
    """

    name: str
    channel: str
    notice_id: str
    event: str
    count: int
    events: tuple[JsonObject, ...]
    claim: int


@dataclass(frozen=True, slots=True)
class Taken:
    """The result of one read of events."""

    read: int
    made: int
    dropped: int


@dataclass(frozen=True, slots=True)
class State:
    """Pending notices, and those given up within a week, with the last one's reason."""

    waiting: int
    failed: int
    why: str = ""


class NoticeStore:
    """The notices of one environment, for a worker that sends events of ``kinds`` to ``channels``."""

    def __init__(self, redis: Redis, keys: Keys, *, channels: Sequence[str], kinds: Sequence[str]) -> None:
        self._redis = redis
        self._keys = keys
        self._channels = tuple(channels)
        self._kinds = tuple(kinds)
        self._open = (keys.notices_due, keys.notices_open, keys.notices, keys.notices_failed)

    async def take(self) -> Taken:
        """Make notices from new events. An environment's first call only records where to start."""
        keys = (self._keys.events, self._keys.notices, self._keys.notices_due, self._keys.notices_open)
        args = (READ_AT_ONCE, LINES, MOST_OPEN, len(self._kinds), *self._kinds, *self._channels)
        return Taken(*map(int, await run_script(self._redis, TAKE, keys, args)))

    async def claim(self, *, limit: int) -> tuple[list[Notice], list[str]]:
        """Return the notices claimed for sending, and the names of those given up for their age."""
        args = (LEASE_MS, limit, AGE_MS, *self._channels)
        claimed, given_up = await run_script(self._redis, CLAIM, self._open, args)
        rows = zip(claimed[::3], claimed[1::3], claimed[2::3], strict=True)
        return [_notice(as_text(name), as_text(text), int(claim)) for name, text, claim in rows], [
            as_text(name) for name in given_up
        ]

    async def settle(
        self, notice: Notice, outcome: Literal["sent", "later", "failed"], *, delay_ms: int = 0, why: str = ""
    ) -> bool:
        """Record the outcome of a claimed notice; False if another worker has it or it is settled."""
        args = (notice.name, notice.claim, outcome, delay_ms, why)
        return as_text(await run_script(self._redis, SETTLE, self._open, args)) == "ok"

    async def state(self) -> State:
        """Return the number of pending notices, and those given up."""
        redis = cast("Any", self._redis)
        waiting = await redis.zcard(self._keys.notices_due)
        failed = await redis.llen(self._keys.notices_failed)
        last = as_text(await redis.lindex(self._keys.notices_failed, 0)) if failed else ""
        return State(int(waiting), int(failed), str(_object(last).get("why", "")))


def _notice(name: str, text: str, claim: int) -> Notice:
    fields = _object(text)
    lines: Any = fields.get("lines")
    events = [_object(str(line)) for line in cast("list[Any]", lines if isinstance(lines, list) else [])]
    notice_id, _, channel = name.partition("/")
    event, count = str(fields.get("event", "")), fields.get("count")
    number = count if isinstance(count, int) else len(events)
    return Notice(name, channel, notice_id, event, number, tuple(filter(None, events)), claim)


def _object(text: str) -> JsonObject:
    """Return a JSON object; an empty one for anything else, such as a line that somebody else added."""
    try:
        read: Any = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return cast("JsonObject", read) if isinstance(read, dict) else {}
