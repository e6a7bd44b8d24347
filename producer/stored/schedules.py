"""Schedules: scans that come again by a cron line. Kept in Redis, fired by whichever worker looks first.

A schedule fires by submitting a batch whose job ids are made of its name and its due time, so that several workers, or
one that died in between, fire it once. A missed time (no worker ran) fires once when one does, not once for every
miss. Times are UTC, by Redis' clock: that of one worker may be wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self, cast

from producer import contract
from producer.client.client import Client
from producer.contract import JsonObject
from producer.errors import InvalidJob, UnknownJob
from producer.redis.connection import redis_errors

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_FIRED: Final = ":fired"
"""Suffix of the field that holds the time, ms, at which a schedule fired last; no name has a colon."""
_RANGES: Final = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))
_LONGEST_GAP: Final = timedelta(days=366 * 12 + 1)
"""29 February comes again after eight years at the latest, 1 February on a Monday after twelve."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A five-field cron line. As in cron, day of month and day of week are alternatives where both are limited.

    A field that begins with ``*``, so ``*/2`` too, limits nothing in that sense: both must fit (crontab(5)).
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read ``minute hour day month weekday`` with ``*``, lists, ranges and steps; raises ``InvalidJob``."""
        fields = line.split()
        if len(fields) != len(_RANGES):
            msg = f"cron line {line!r}: expected five fields (minute hour day month weekday), such as '0 3 * * 1-5'"
            raise InvalidJob(msg)
        sets = [_values(text, *bounds) for text, bounds in zip(fields, _RANGES, strict=True)]
        weekdays = frozenset(day % 7 for day in sets[4])
        made = cls(sets[0], sets[1], sets[2], sets[3], weekdays, fields[2][0] == "*", fields[4][0] == "*")
        made.previous(datetime.now(UTC))  # 31 February never comes
        return made

    def has(self, moment: datetime) -> bool:
        """Whether the line names this minute."""
        return self._has_day(moment) and moment.hour in self.hours and moment.minute in self.minutes

    def previous(self, now: datetime) -> datetime:
        """Return the latest minute up to ``now`` that the line names; raises ``InvalidJob`` if there is none."""
        moment = now.replace(second=0, microsecond=0)
        oldest = moment - _LONGEST_GAP
        while moment > oldest:
            if not self._has_day(moment):
                moment = moment.replace(hour=0, minute=0) - timedelta(minutes=1)
            elif moment.hour not in self.hours:
                moment = moment.replace(minute=0) - timedelta(minutes=1)
            elif moment.minute not in self.minutes:
                moment -= timedelta(minutes=1)
            else:
                return moment
        msg = "the cron line names a day that never comes"
        raise InvalidJob(msg)

    def _has_day(self, moment: datetime) -> bool:
        if moment.month not in self.months:
            return False
        by_day, by_weekday = moment.day in self.days, moment.isoweekday() % 7 in self.weekdays
        if self.any_day or self.any_weekday:
            return by_day and by_weekday
        return by_day or by_weekday


@dataclass(frozen=True, slots=True)
class Schedule:
    """What to submit when: one job a payload, all of one kind, as one batch."""

    name: str
    cron: str
    kind: str
    payloads: tuple[JsonObject, ...]

    def job_id(self, due: datetime, number: int) -> str:
        """Return the id of the ``number``-th job of the batch due then: the same whoever fires it."""
        return f"{self.batch_id(due)}.{number}"

    def batch_id(self, due: datetime) -> str:
        """Return the id of the batch due then."""
        return f"{self.name}-{due:%Y%m%dT%H%M}"


class Schedules:
    """The schedules of a client's environment."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._redis = cast("Any", client.redis)
        self._key = client.keys.schedules

    async def add(self, schedule: Schedule, *, now: datetime | None = None) -> None:
        """Keep the schedule, replacing one of its name; its first time is after ``now``. Raises ``InvalidJob``.

        ``now`` is Redis' time where it is not given.
        """
        if not NAME.fullmatch(schedule.name):
            msg = f"schedule name {schedule.name!r}: expected 1 to 64 letters, digits, '_' or '-'"
            raise InvalidJob(msg)
        if not schedule.payloads:
            msg = f"schedule {schedule.name!r} has nothing to submit: give at least one URL"
            raise InvalidJob(msg)
        Cron.parse(schedule.cron)
        for payload in schedule.payloads:
            contract.request_fields(schedule.kind, payload)
        with redis_errors(self._client.settings):
            now_ms = int((now or await self._now()).timestamp() * 1000)
            fields = {schedule.name: json.dumps(asdict(schedule)), schedule.name + _FIRED: now_ms}
            await self._redis.hset(self._key, mapping=fields)

    async def all(self) -> list[Schedule]:
        """Return the schedules, by name; what cannot be read is left out."""
        return [schedule for schedule in (await self._read()).values() if schedule is not None]

    async def remove(self, name: str) -> None:
        """Remove a schedule; what it has submitted goes on. Raises ``UnknownJob``."""
        with redis_errors(self._client.settings):
            removed = await self._redis.hdel(self._key, name, name + _FIRED)
        if not removed:
            msg = (
                f"no schedule {name!r} in environment {self._client.keys.environment!r}: see 'sightline schedule list'"
            )
            raise UnknownJob(msg)

    async def fire_due(self, *, now: datetime | None = None) -> list[str]:
        """Submit every schedule whose time has come since it fired last; returns the ids of the batches.

        ``now`` is Redis' time where it is not given. Safe to call by many at once and again after a crash in between.
        One that cannot be fired keeps no other from it: ``InvalidJob`` names them all in the end.
        """
        fired: list[str] = []
        now = now or await self._now()
        wrong: list[str] = []
        for name, schedule in (await self._read()).items():
            try:
                fired += await self._fire_if_due(name, schedule, now)
            except InvalidJob as error:
                wrong.append(f"schedule {name!r}: {error}")
        if wrong:
            raise InvalidJob("; ".join(wrong))
        return fired

    async def _now(self) -> datetime:
        seconds, micros = await self._redis.time()
        return datetime.fromtimestamp(seconds + micros / 1_000_000, tz=UTC)

    async def _read(self) -> dict[str, Schedule | None]:
        """Return the schedules by name; None for one that cannot be read."""
        with redis_errors(self._client.settings):
            fields = await self._redis.hgetall(self._key)
        names = sorted(name for name in fields if not name.endswith(_FIRED.encode()))
        return {name.decode("utf-8", "replace"): _schedule(fields[name]) for name in names}

    async def _fire_if_due(self, name: str, schedule: Schedule | None, now: datetime) -> list[str]:
        if schedule is None or schedule.name != name or not NAME.fullmatch(name):
            msg = "it cannot be read: remove it, and add it with 'sightline schedule add'"
            raise InvalidJob(msg)
        due = Cron.parse(schedule.cron).previous(now)
        last_ms = await self._redis.hget(self._key, name + _FIRED) or b"0"
        if last_ms.isdigit() and due.timestamp() * 1000 <= int(last_ms):
            return []
        await self._fire(schedule, due)
        await self._redis.hset(self._key, name + _FIRED, int(due.timestamp() * 1000))
        return [schedule.batch_id(due)]

    async def _fire(self, schedule: Schedule, due: datetime) -> None:
        batch = schedule.batch_id(due)
        ids = [schedule.job_id(due, number) for number in range(len(schedule.payloads))]
        try:
            submitted = self._client.submit_many(schedule.kind, schedule.payloads, batch=batch, job_ids=ids)
            async for _ in submitted:
                pass
        except InvalidJob as error:
            if "sealed" not in str(error):
                raise  # sealed: another worker has fired it whole
        await self._client.seal_batch(batch, create=True)


def _schedule(value: bytes) -> Schedule | None:
    try:
        fields: Any = json.loads(value)
        payloads: Sequence[JsonObject] = fields["payloads"]
        return Schedule(str(fields["name"]), str(fields["cron"]), str(fields["kind"]), tuple(payloads))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _values(text: str, what: str, low: int, high: int) -> frozenset[int]:
    """Return what one field of a cron line names."""
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(\*|\d+(?:-\d+)?)(?:/(\d+))?", part)
        if match is None:
            msg = f"cron field {text!r} for the {what}: expected *, numbers {low} to {high}, lists, ranges or steps"
            raise InvalidJob(msg)
        first, _, last = (f"{low}-{high}" if match[1] == "*" else match[1]).partition("-")
        end = int(last or (high if match[2] else first))
        step = int(match[2] or 1)
        if not (low <= int(first) <= end <= high) or step == 0:
            msg = f"cron field {part!r} for the {what}: expected numbers from {low} to {high}, the smaller one first"
            raise InvalidJob(msg)
        found.update(range(int(first), end + 1, step))
    return frozenset(found)
