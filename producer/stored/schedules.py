"""Schedules: scans that recur by a cron line. Kept in Redis, fired by whichever worker checks first.

A schedule fires by submitting a batch whose job ids are derived from its name and due time, so that it fires once even
if several workers try, or one dies in between. A schedule with sitemaps or crawls (kind ``FIND_PAGES``) instead submits
a job that finds the current pages and submits their scans (``worker/page_search.py``). Times missed while no worker ran
fire once in total. Times are by Redis's clock, since a worker's may be wrong, and in the schedule's time zone, by
default UTC (``due_times.py``).
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

from producer.client.client import Client
from producer.client.given import check_text
from producer.client.queue_info import BatchInfo
from producer.client.queue_view import unknown
from producer.client.submission import prepare
from producer.contract import JsonObject
from producer.contract.addresses import hide_user_info, public_url, split_user_info
from producer.contract.payloads import FIND_PAGES, PAGES
from producer.errors import BatchClosed, InvalidJob, UnknownJob
from producer.redis.connection import redis_errors
from producer.redis.scripts import load_script, run_script
from producer.stored.due_times import check_cron, latest_time, zone_of

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from producer.keys import Keys

HIDE_LOGINS: Final = load_script("producer.stored", "hide_logins")
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
FIRED: Final = ":fired"
"""Suffix of the field that holds the time, in ms, at which a schedule last fired; names have no colon."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The jobs to submit, and when: one job per payload, all of one kind, as a batch; or a search for pages.

    ``time_zone`` is a name of the IANA database, '' for UTC. ``gate`` has the options ``fail_on`` and ``strict`` of
    ``result`` for its batches.
    """

    name: str
    cron: str
    kind: str
    payloads: tuple[JsonObject, ...]
    time_zone: str = ""
    gate: JsonObject = field(default_factory=dict[str, Any])

    @property
    def document(self) -> JsonObject:
        """The schedule as stored, without empty fields."""
        optional = {name: value for name, value in (("time_zone", self.time_zone), ("gate", self.gate)) if value}
        return {"name": self.name, "cron": self.cron, "kind": self.kind, "payloads": list(self.payloads), **optional}

    @property
    def urls(self) -> list[str]:
        """Its addresses: pages, sitemaps and the start pages of crawls."""
        return [url for payload in self.payloads for url in _urls_of(payload)]

    def latest(self, now: datetime) -> datetime:
        """Return its latest time up to ``now``; raises ``InvalidJob`` as ``latest_time`` and ``zone_of`` do."""
        return latest_time(self.cron, now.astimezone(zone_of(self.time_zone)))

    @property
    def url_with_login(self) -> str | None:
        """An address with a name or password, as earlier releases stored them; None if there is none."""
        return next((url for url in self.urls if _has_login(url)), None)

    def job_id(self, due: datetime, number: int) -> str:
        """Return the id of the ``number``-th job of the batch due then, the same for every worker."""
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
        """Save the schedule, replacing one of the same name; its first time is after ``now``. Raises ``InvalidJob``.

        ``now`` is Redis's time by default.
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
        """Return the schedules by name, without unreadable ones."""
        return [schedule for schedule in (await self._read()).values() if schedule is not None]

    async def last_runs(self) -> dict[str, BatchInfo]:
        """Return the batch of each schedule's last run, if it has run and the batch is still known."""
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
        """Return a schedule and the batch of its last run; raises ``UnknownJob`` if there is none."""
        schedule = next((one for one in await self.all() if one.name == name), None)
        if schedule is None:
            raise unknown(f"schedule {name!r}", self._client.keys, see="schedule list")
        run = (await self.last_runs()).get(name)
        if run is None:
            msg = f"schedule {name!r} has no known run: it has not been due yet, or its search has not ended"
            raise UnknownJob(f"{msg} (see 'sightline dead list'), or the run is older than a week")
        return schedule, run.batch_id

    async def remove(self, name: str) -> None:
        """Remove a schedule; submitted jobs continue. Raises ``UnknownJob``."""
        with redis_errors(self._client.settings, lambda: f"schedule {name!r} may have been removed"):
            removed = await self._redis.hdel(self._key, name, name + FIRED)
        if not removed:
            raise unknown(f"schedule {name!r}", self._client.keys, see="schedule list")

    async def fire_due(self, *, now: datetime | None = None) -> list[str]:
        """Submit every schedule that has become due since it last fired; returns the ids of the batches.

        ``now`` is Redis's time by default. Safe to call concurrently and again after a crash. A schedule that cannot be
        fired does not hold up others: ``InvalidJob`` names them all at the end.
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
        """Remove names and passwords from the stored schedule and from later backups; keeps a mark of them."""
        payloads = tuple(
            {**one, "url": hide_user_info(_url_of(one))} if _has_login(_url_of(one)) else one
            for one in schedule.payloads
        )
        if payloads != schedule.payloads:
            hidden = json.dumps(replace(schedule, payloads=payloads).document)
            kept = await self._redis.hget(self._key, schedule.name)
            if schedule_of(kept or b"") == schedule:
                await run_script(self._client.redis, HIDE_LOGINS, [self._key], [schedule.name, kept, hidden])

    async def _fire(self, schedule: Schedule, due: datetime) -> None:
        batch = schedule.batch_id(due)
        if schedule.kind == FIND_PAGES:
            search = {**schedule.payloads[0], "batch": batch}
            await self._client.submit(FIND_PAGES, search, job_id=f"{batch}{PAGES}")
            return
        ids = [schedule.job_id(due, number) for number in range(len(schedule.payloads))]
        with suppress(BatchClosed):  # another worker has fired it completely
            async for _ in self._client.submit_many(schedule.kind, schedule.payloads, batch=batch, job_ids=ids):
                pass
        await self._client.seal_batch(batch, create=True)


async def read_schedules(redis: Redis, keys: Keys) -> dict[str, Schedule | None]:
    """Return the schedules by name; None for unreadable ones. Raises redis-py's errors."""
    fields = await cast("Any", redis).hgetall(keys.schedules)
    names = sorted(name for name in fields if not name.endswith(FIRED.encode()))
    return {name.decode("utf-8", "replace"): schedule_of(fields[name]) for name in names}


def no_login(url: str) -> str:
    """Return a message that says why a page of a schedule is not scanned, and what to do."""
    return (
        f"{public_url(url)!r} has a name and password, which schedules do not store: let cron run 'sightline scan "
        f"--header-file F {public_url(url)}'"
    )


def _urls_of(payload: Any) -> list[str]:
    """Return the addresses in a payload, which may be malformed if written by hand."""
    listed = [payload.get(name) for name in ("urls", "sitemaps", "crawl")] if isinstance(payload, dict) else []
    found = [str(one) for some in listed if isinstance(some, list | tuple) for one in some]
    return [url for url in (_url_of(payload), *found) if url]


def _url_of(payload: Any) -> str:
    """Return a payload's address; the payload may be malformed if written by hand."""
    return str(payload.get("url") or "") if isinstance(payload, dict) else ""


def _has_login(url: str) -> bool:
    try:
        return split_user_info(url)[1] is not None
    except ValueError:  # not an address
        return False


def schedule_of(value: bytes) -> Schedule | None:
    """Decode a stored schedule; None for an invalid one, such as one written by hand."""
    try:
        fields: Any = json.loads(value)
        payloads: Any = fields["payloads"]
        zone, gate = str(fields.get("time_zone") or ""), fields.get("gate") or {}
        if fields["kind"] == FIND_PAGES and not isinstance(payloads[0], dict):
            return None
        return Schedule(
            str(fields["name"]), str(fields["cron"]), str(fields["kind"]), tuple(payloads), zone, dict(gate)
        )
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
