"""Schedules: scans that come again by a cron line. Kept in Redis, fired by whichever worker looks first.

A schedule fires by submitting a batch whose job ids are made of its name and its due time, so that several workers, or
one that died in between, fire it once. One with sitemaps or crawls (of the kind ``FIND_PAGES``) submits a job instead
that finds the pages of that time and submits their scans (``worker/page_search.py``). A missed time (no worker ran)
fires once when one does, not once for every miss. Times are by Redis' clock, since that of one worker may be wrong, and
in the schedule's time zone, by default UTC (``due_times.py``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

from producer.client.client import Client
from producer.client.given import check_text
from producer.client.queue_view import BatchInfo, unknown
from producer.client.submission import prepare
from producer.contract import JsonObject
from producer.contract.addresses import hide_user_info, public_url, split_user_info
from producer.contract.payloads import FIND_PAGES, PAGES
from producer.errors import InvalidJob, UnknownJob
from producer.redis.connection import redis_errors
from producer.redis.scripts import load_script, run_script
from producer.stored.due_times import check_cron, latest_time, zone_of

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from producer.keys import Keys

HIDE_LOGINS: Final = load_script("producer.stored", "hide_logins")
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
FIRED: Final = ":fired"
"""Suffix of the field that holds the time, ms, at which a schedule fired last; no name has a colon."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What to submit when: one job a payload, all of one kind, as one batch; or one search for its pages.

    ``time_zone`` is a name of the IANA database, '' for UTC. ``gate`` has what the batch is judged by: ``fail_on`` and
    ``strict``, as options of ``result``.
    """

    name: str
    cron: str
    kind: str
    payloads: tuple[JsonObject, ...]
    time_zone: str = ""
    gate: JsonObject = field(default_factory=dict[str, Any])

    @property
    def document(self) -> JsonObject:
        """The schedule as it is kept, what is empty left out."""
        optional = {name: value for name, value in (("time_zone", self.time_zone), ("gate", self.gate)) if value}
        return {"name": self.name, "cron": self.cron, "kind": self.kind, "payloads": list(self.payloads), **optional}

    @property
    def urls(self) -> list[str]:
        """The addresses it names: pages, sitemaps and where crawls begin."""
        return [url for payload in self.payloads for url in _urls_of(payload)]

    def latest(self, now: datetime) -> datetime:
        """Return its latest time up to ``now``; raises ``InvalidJob`` as ``latest_time`` and ``zone_of`` do."""
        return latest_time(self.cron, now.astimezone(zone_of(self.time_zone)))

    @property
    def url_with_login(self) -> str | None:
        """An address with a name or password, as an earlier release kept them; None where there is none."""
        return next((url for url in self.urls if _has_login(url)), None)

    def job_id(self, due: datetime, number: int) -> str:
        """Return the id of the ``number``-th job of the batch due then: the same whoever fires it."""
        return f"{self.batch_id(due)}.{number}"

    def batch_id(self, due: datetime) -> str:
        """Return the id of the batch due then."""
        return f"{self.name}-{due.astimezone(UTC):%Y%m%dT%H%M}"


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
        if not NAME.fullmatch(check_text("schedule name", schedule.name)):
            msg = f"schedule name {schedule.name!r}: expected 1 to 64 letters, digits, '_' or '-'"
            raise InvalidJob(msg)
        if not schedule.payloads:
            msg = f"schedule {schedule.name!r} has no pages: give at least one URL"
            raise InvalidJob(msg)
        check_cron(check_text("cron", schedule.cron))
        zone_of(schedule.time_zone)
        if schedule.url_with_login is not None:
            raise InvalidJob(f"schedule {schedule.name!r}: {no_login(schedule.url_with_login)}")
        for payload in schedule.payloads:
            if prepare(schedule.kind, payload).secrets:
                raise InvalidJob(f"schedule {schedule.name!r}: {no_login(str(payload['url']))}")
        with redis_errors(
            self._client.settings, lambda: f"schedule {schedule.name!r} may have been added; add it again"
        ):
            now_ms = int((now or await self._now()).timestamp() * 1000)
            fields = {schedule.name: json.dumps(schedule.document), schedule.name + FIRED: now_ms}
            await self._redis.hset(self._key, mapping=fields)

    async def all(self) -> list[Schedule]:
        """Return the schedules, by name; what cannot be read is left out."""
        return [schedule for schedule in (await self._read()).values() if schedule is not None]

    async def last_runs(self) -> dict[str, BatchInfo]:
        """Return the batch of each schedule's last run, where it has run and the batch is still known."""
        schedules = {schedule.name: schedule for schedule in await self.all()}
        names = list(schedules)
        with redis_errors(self._client.settings, None):
            fired = await self._redis.hmget(self._key, [name + FIRED for name in names]) if names else []
            found: dict[str, BatchInfo] = {}
            for name, at_ms in zip(names, fired, strict=True):
                if not (at_ms or b"").isdigit():
                    continue
                batch = schedules[name].batch_id(datetime.fromtimestamp(int(at_ms) / 1000, tz=UTC))
                if fields := await self._redis.hgetall(self._client.keys.batch(batch)):
                    found[name] = BatchInfo.of(batch, fields)
        return found

    async def last_run(self, name: str) -> tuple[Schedule, str]:
        """Return a schedule and the batch of its last run; raises ``UnknownJob`` where there is none."""
        schedule = next((one for one in await self.all() if one.name == name), None)
        if schedule is None:
            raise unknown(f"schedule {name!r}", self._client.keys, see="schedule list")
        run = (await self.last_runs()).get(name)
        if run is None:
            msg = f"schedule {name!r} has no run that is known: it has not been due yet, or its search has not ended"
            raise UnknownJob(f"{msg} (see 'sightline dead list'), or the run is older than a week")
        return schedule, run.batch_id

    async def remove(self, name: str) -> None:
        """Remove a schedule; what it has submitted goes on. Raises ``UnknownJob``."""
        with redis_errors(self._client.settings, lambda: f"schedule {name!r} may have been removed"):
            removed = await self._redis.hdel(self._key, name, name + FIRED)
        if not removed:
            raise unknown(f"schedule {name!r}", self._client.keys, see="schedule list")

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
        with redis_errors(self._client.settings, None):
            return await read_schedules(self._redis, self._client.keys)

    async def _fire_if_due(self, name: str, schedule: Schedule | None, now: datetime) -> list[str]:
        if schedule is None or schedule.name != name or not NAME.fullmatch(name):
            msg = "it cannot be read: remove it, and add it with 'sightline schedule add'"
            raise InvalidJob(msg)
        if (url := schedule.url_with_login) is not None:
            await self._hide_logins(schedule)
            raise InvalidJob(no_login(url))
        due = schedule.latest(now)
        last_ms = await self._redis.hget(self._key, name + FIRED) or b"0"
        if last_ms.isdigit() and due.timestamp() * 1000 <= int(last_ms):
            return []
        await self._fire(schedule, due)
        await self._redis.hset(self._key, name + FIRED, int(due.timestamp() * 1000))
        return [schedule.batch_id(due)]

    async def _hide_logins(self, schedule: Schedule) -> None:
        """Take names and passwords out of what is kept, so that no backup has them; that there were some stays."""
        payloads = tuple(
            {**one, "url": hide_user_info(_url_of(one))} if _has_login(_url_of(one)) else one
            for one in schedule.payloads
        )
        if payloads != schedule.payloads:
            hidden = json.dumps(replace(schedule, payloads=payloads).document)
            kept = await self._redis.hget(self._key, schedule.name)
            if _schedule(kept or b"") == schedule:
                await run_script(self._client.redis, HIDE_LOGINS, [self._key], [schedule.name, kept, hidden])

    async def _fire(self, schedule: Schedule, due: datetime) -> None:
        batch = schedule.batch_id(due)
        if schedule.kind == FIND_PAGES:
            search = {**schedule.payloads[0], "batch": batch}
            await self._client.submit(FIND_PAGES, search, job_id=f"{batch}{PAGES}")
            return
        ids = [schedule.job_id(due, number) for number in range(len(schedule.payloads))]
        try:
            submitted = self._client.submit_many(schedule.kind, schedule.payloads, batch=batch, job_ids=ids)
            async for _ in submitted:
                pass
        except InvalidJob as error:
            if "sealed" not in str(error):
                raise  # sealed: another worker has fired it whole
        await self._client.seal_batch(batch, create=True)


async def read_schedules(redis: Redis, keys: Keys) -> dict[str, Schedule | None]:
    """Return the schedules by name; None for what cannot be read. Raises redis-py's errors."""
    fields = await cast("Any", redis).hgetall(keys.schedules)
    names = sorted(name for name in fields if not name.endswith(FIRED.encode()))
    return {name.decode("utf-8", "replace"): _schedule(fields[name]) for name in names}


def no_login(url: str) -> str:
    """Return why a page of a schedule is not scanned, and what to do."""
    return (
        f"{public_url(url)!r} has a name and password, which a schedule, kept until it is removed, "
        f"does not keep: let cron run 'sightline scan --header-file F {public_url(url)}'"
    )


def _urls_of(payload: Any) -> list[str]:
    """Return the addresses that a payload names; what somebody wrote by hand may be anything."""
    listed = [payload.get(name) for name in ("urls", "sitemaps", "crawl")] if isinstance(payload, dict) else []
    found = [str(one) for some in listed if isinstance(some, list | tuple) for one in some]
    return [url for url in (_url_of(payload), *found) if url]


def _url_of(payload: Any) -> str:
    """Return a payload's address; what somebody wrote by hand may be anything."""
    return str(payload.get("url") or "") if isinstance(payload, dict) else ""


def _has_login(url: str) -> bool:
    try:
        return split_user_info(url)[1] is not None
    except ValueError:  # no address at all
        return False


def _schedule(value: bytes) -> Schedule | None:
    try:
        fields: Any = json.loads(value)
        payloads: Sequence[JsonObject] = fields["payloads"]
        zone, gate = str(fields.get("time_zone") or ""), fields.get("gate") or {}
        return Schedule(
            str(fields["name"]), str(fields["cron"]), str(fields["kind"]), tuple(payloads), zone, dict(gate)
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
