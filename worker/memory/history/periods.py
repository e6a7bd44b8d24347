"""Resolves a name in a comparison to a batch, a pipeline run or a time, with its period and hosts.

``period:<kind>:<digest of the name>`` outlives the batch: each scan's commit updates, by host, when the batch or run
began and when its last scan ended. A page belongs to it if it was seen after its start and its state had begun by its
end. Concurrent batches of one site cannot be distinguished by page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, cast

from redis.asyncio import Redis

from producer.contract import check_job_id
from producer.contract.addresses import any_port, without_port
from producer.errors import InputError, InvalidJob
from producer.keys import Keys
from producer.redis.scripts import as_text
from producer.reports.comparison import Kind, Side
from worker.memory.dates import EXPECTED, parse_when
from worker.memory.history.history import ScanFilter
from worker.memory.vectors.documents import key_batches

KINDS: Final[tuple[Literal["batch", "run"], ...]] = ("batch", "run")
ANY_HOST: Final = ""
"""Host of a batch of an earlier release, which did not record hosts."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One side of a comparison. ``hosts`` maps each host to begin and end (Redis ms); empty for a time."""

    name: str
    kind: Kind
    at_ms: int
    hosts: Mapping[str, tuple[int, int]]

    @property
    def side(self) -> Side:
        """This moment in the form used by reports."""
        return Side(self.name, self.kind, self.at_ms)

    def filters(self, wanted: ScanFilter) -> Iterator[ScanFilter]:
        """Yield filters that select the pages' states at this moment."""
        if not self.hosts:
            yield replace(wanted, begun_by_ms=self.at_ms)
        for host, (began_ms, ended_ms) in self.hosts.items():
            # Releases until 11cf9aa recorded hosts without ports.
            of = any_port(host) if host and host == without_port(host) else host
            if host == ANY_HOST or wanted.host is None:
                yield replace(wanted, host=of or wanted.host, begun_by_ms=ended_ms, since_ms=began_ms)
            elif _fit(of, wanted.host):
                yield replace(wanted, begun_by_ms=ended_ms, since_ms=began_ms)


def _fit(one: str, other: str) -> bool:
    """Return whether two sites overlap; ``localhost:*`` means every port."""
    is_any = one.endswith(":*") or other.endswith(":*")
    return one == other or (is_any and without_port(one) == without_port(other))


async def moment_of(redis: Redis, keys: Keys, name: str, *, now_ms: int) -> Moment:
    """Resolve ``name`` as a batch, else a run, else a time. Raises ``InputError`` if it is none of them."""
    for kind in KINDS:
        if hosts := parse_hosts(await cast("Any", redis).hgetall(keys.period(kind, name))):
            return Moment(name, kind, max(ended for _, ended in hosts.values()), hosts)
    if window := await _live_batch(redis, keys, name, now_ms):
        return Moment(name, "batch", window[1], {ANY_HOST: window})
    try:
        return Moment(name, "time", parse_when(name, now_ms=now_ms), {})
    except ValueError:
        msg = (
            f"{name[:100]!r} is neither a batch, nor a pipeline run (--run) nor a time with recorded scans: {EXPECTED}"
        )
        raise InputError(msg) from None


def parse_hosts(fields: Mapping[bytes, bytes]) -> dict[str, tuple[int, int]]:
    """Return begin and end by host; malformed entries are left out."""
    found: dict[str, tuple[int, int]] = {}
    for host, times in fields.items():
        began, _, ended = as_text(times).partition(" ")
        if began.isdecimal() and ended.isdecimal():
            found[as_text(host)] = (int(began), int(ended))
    return found


async def _live_batch(redis: Redis, keys: Keys, name: str, now_ms: int) -> tuple[int, int] | None:
    """Return begin and end of a batch of an earlier release, while its counters exist."""
    try:
        check_job_id(name)
    except InvalidJob:
        return None
    began, ended = await cast("Any", redis).hmget(keys.batch(name), "created_ms", "finished_ms")
    return (int(began), int(ended or now_ms)) if began else None


async def prune_periods(redis: Redis, keys: Keys, *, older_than_ms: int) -> None:
    """Delete batches and runs whose last scan ended before that time, since their pages' states are pruned as well."""
    async for names in key_batches(redis, keys.period_prefix):
        for name in names:
            hosts = parse_hosts(await cast("Any", redis).hgetall(name))
            if all(ended < older_than_ms for _, ended in hosts.values()):
                await redis.delete(name)
