"""The data of the live board: lanes, workers, running jobs, batches, GPU slots, rates, tokens, errors.

Read-only, and cheap enough to be read every second: about ten commands, none of which reads more than the newest
events. Times are Redis ms. ``cli/top_board.py`` lays it out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, cast

from producer.client.client import Client
from producer.client.event_stream import fields_of
from producer.client.gpu_view import GpuView, read_gpu
from producer.client.queue_info import BatchInfo, QueueInfo
from producer.contract import Lane, decode_payload
from producer.errors import InvalidJob
from producer.keys import GROUP
from producer.redis.connection import redis_errors
from producer.stored.dead_letters import DeadLetter
from producer.views.activity import LOOKED_AT, Activity, FailingPage, activity_of, failing_of

WINDOW_MS: Final = 60_000
EVENTS_READ: Final = 1_000
"""Number of newest events used for rates; if the window has more, it is shortened."""
ENOUGH: Final = 10
JOBS_READ: Final = 100
PAYLOAD_READ: Final = 4_096
"""Maximum size of payloads parsed for the address; pages sent as HTML are larger."""
ERRORS_KEPT: Final = 8
BATCHES_READ: Final = 12
"""Number of recently sealed batches to read besides those with running jobs."""
_DONE: Final = ("succeeded", "cancelled", "dead", "retried")
_NOT_SCANNED: Final = ("unreachable", "blocked")
"""Statuses of pages that were not scanned completely; their jobs count as succeeded."""


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A running job; ``about`` is the page or the question, ``step`` its last progress."""

    job_id: str
    worker: str
    kind: str
    about: str
    step: str
    attempt: int
    batch: str
    running_ms: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """A problem: a job (or malformed entry) that is ``dead``, or was ``retried``."""

    at_ms: int
    what: str
    job_id: str
    message: str


@dataclass(frozen=True, slots=True)
class Recent:
    """The number of deliveries that ended in the last ``span_ms``, by outcome."""

    span_ms: int
    counts: Mapping[str, int]

    def per_minute(self, outcome: str) -> float:
        """Return the rate of one outcome."""
        return self.counts.get(outcome, 0) * 60_000 / self.span_ms if self.span_ms else 0.0


@dataclass(frozen=True, slots=True)
class ModelUse:
    """A model's usage today (UTC); ``saved`` counts calls avoided by known explanations."""

    kind: str
    model: str
    calls: int
    failed: int
    prompt_tokens: int
    output_tokens: int
    wait_ms: int
    gpu_ms: int
    saved: int = 0


@dataclass(frozen=True, slots=True)
class Board:
    """The whole board."""

    at_ms: int
    environment: str
    queue: QueueInfo
    jobs: tuple[RunningJob, ...]
    batches: tuple[BatchInfo, ...]
    gpu: GpuView
    recent: Recent
    models: tuple[ModelUse, ...]
    troubles: tuple[Trouble, ...]
    failing: tuple[FailingPage, ...] = ()
    ended: tuple[BatchInfo, ...] = ()
    """The batches that ended last, newest first."""
    events: tuple[Activity, ...] = ()


async def newest_batches(client: Client, *, limit: int = BATCHES_READ) -> list[BatchInfo]:
    """Return the newest batches whose counters are still kept, newest first."""
    redis, keys = cast("Any", client.redis), client.keys
    names = [raw.decode() for raw in await redis.zrevrange(keys.batches, 0, limit - 1)]
    async with redis.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.hgetall(keys.batch(name))
        counters = await pipe.execute() if names else []
    return [BatchInfo.of(name, fields) for name, fields in zip(names, counters, strict=True) if fields]


async def read_board(client: Client) -> Board:
    """Read the board; raises ``RedisUnreachable`` or ``RedisUnsuitable``."""
    redis, keys = cast("Any", client.redis), client.keys
    queue = await client.queue()
    with redis_errors(client.settings, None):
        gpu = await read_gpu(client.redis, keys)
        now = gpu.at_ms
        day = datetime.fromtimestamp(now / 1000, tz=UTC).date().isoformat()
        rows = await redis.xrevrange(keys.events, min=now - WINDOW_MS, count=EVENTS_READ)
        latest = rows[:LOOKED_AT] if len(rows) >= LOOKED_AT else await redis.xrevrange(keys.events, count=LOOKED_AT)
        jobs, held = await _jobs(client, now)
        worked_on = dict.fromkeys(job.batch for job in jobs if job.batch)
        recent = await redis.zrange(keys.batches, -BATCHES_READ, -1)
        names = [*worked_on, *(name for name in (raw.decode() for raw in reversed(recent)) if name not in worked_on)]
        async with redis.pipeline(transaction=False) as pipe:
            pipe.hgetall(keys.usage(day))
            pipe.xrevrange(keys.dead, count=ERRORS_KEPT)
            for name in names:
                pipe.hgetall(keys.batch(name))
            usage, letters, *counters = await pipe.execute()
    events, newest = ([event for event in map(_event, found) if event] for found in (rows, latest))
    infos = [BatchInfo.of(name, fields) for name, fields in zip(names, counters, strict=True) if fields]
    return Board(
        at_ms=now,
        environment=keys.environment,
        queue=agreeing(queue, held),
        jobs=tuple(jobs),
        batches=batches_shown(infos, worked_on=worked_on),
        ended=tuple(sorted((one for one in infos if one.finished_ms), key=lambda one: -(one.finished_ms or 0))),
        failing=failing_of(newest),
        events=activity_of(newest),
        gpu=gpu,
        recent=recent_of(events, now_ms=now, is_cut=len(rows) == EVENTS_READ),
        models=models_of({name.decode(): int(value) for name, value in usage.items()}),
        troubles=troubles_of(events, [DeadLetter.of(entry.decode(), fields) for entry, fields in letters]),
    )


def agreeing(queue: QueueInfo, held: Mapping[str, int]) -> QueueInfo:
    """Return the queue with each lane's number of running jobs as listed, since the list was read a moment later. Pure.

    A lane with more jobs than are listed keeps its count.
    """
    lanes = {
        name: lane
        if max(lane.running, held.get(name, 0)) >= JOBS_READ
        else replace(lane, running=held.get(name, 0), queued=max(0, lane.queued + lane.running - held.get(name, 0)))
        for name, lane in queue.lanes.items()
    }
    return replace(queue, lanes=lanes)


def batches_shown(batches: Iterable[BatchInfo], *, worked_on: Container[str]) -> tuple[BatchInfo, ...]:
    """Return the batches that run or wait, in the given order. Pure."""
    return tuple(batch for batch in batches if batch.batch_id in worked_on or not batch.finished_ms)


def recent_of(events: Sequence[Mapping[str, Any]], *, now_ms: int, is_cut: bool) -> Recent:
    """Return the rates of ``events``, newest first; ``is_cut`` if older ones in the window were left out. Pure.

    With at least ``ENOUGH`` events the span starts at the oldest, so that work that has just started does not look
    slow; fewer are related to the whole window.
    """
    counts = Counter(str(event.get("event", "")).removeprefix("job.") for event in events)
    counts.update(str(event["status"]) for event in events if event.get("status") in _NOT_SCANNED)
    is_telling = is_cut or len(events) >= ENOUGH
    span_ms = max(1, now_ms - int(events[-1]["at_ms"])) if is_telling else WINDOW_MS
    return Recent(span_ms, {name: counts[name] for name in (*_DONE, *_NOT_SCANNED)})


def troubles_of(events: Iterable[Mapping[str, Any]], letters: Iterable[DeadLetter]) -> tuple[Trouble, ...]:
    """Return the newest dead letters and the retries among ``events``, newest first. Pure."""
    found = [
        Trouble(letter.at_ms, "dead", letter.job_id, ": ".join(filter(None, (letter.error, letter.reason))))
        for letter in letters
    ]
    for event in events:
        if event.get("event") == "job.retried":
            error = event.get("error")
            fields = cast("Mapping[str, Any]", error if isinstance(error, dict) else {})
            message = ": ".join(str(fields[name]) for name in ("type", "message") if fields.get(name))
            found.append(Trouble(int(event["at_ms"]), "retried", str(event.get("job_id") or ""), message))
    return tuple(sorted(found, key=lambda trouble: -trouble.at_ms)[:ERRORS_KEPT])


def models_of(sums: Mapping[str, int]) -> tuple[ModelUse, ...]:
    """Return a day's usage hash, ``<kind>:<what>:<model>`` → sum, by model. Pure."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    for name, value in sums.items():
        kind, _, rest = name.partition(":")
        what, _, model = rest.partition(":")
        found.setdefault((kind, model), {})[what] = value
    names = ("calls", "failed", "prompt_tokens", "output_tokens", "wait_ms", "gpu_ms", "saved")
    return tuple(
        ModelUse(kind, model, *(sums_of.get(name, 0) for name in names))
        for (kind, model), sums_of in sorted(found.items())
    )


def _event(row: tuple[bytes, Mapping[bytes, bytes]]) -> dict[str, Any] | None:
    event = fields_of(row[1].get(b"event", b""))
    return None if event is None else {**event, "at_ms": int(row[0].partition(b"-")[0])}


async def _jobs(client: Client, now_ms: int) -> tuple[list[RunningJob], Counter[str]]:
    """Return the jobs that workers hold now, oldest claim first, and their number by lane. Heartbeats would lag."""
    held, lanes = await _held(client)
    redis, keys = cast("Any", client.redis), client.keys
    async with redis.pipeline(transaction=False) as pipe:
        for job_id in held:
            pipe.hmget(keys.job(job_id), ("kind", "progress", "attempt", "batch", "started_ms"))
            pipe.hstrlen(keys.job(job_id), "payload")
        replies = await pipe.execute()
        small = [job_id for job_id, size in zip(held, replies[1::2], strict=True) if 0 < size <= PAYLOAD_READ]
        for job_id in small:
            pipe.hget(keys.job(job_id), "payload")
        payloads = dict(zip(small, await pipe.execute(), strict=True))
    jobs: list[RunningJob] = []
    for (job_id, worker), values in zip(held.items(), replies[::2], strict=True):
        kind, progress, attempt, batch, started = (
            value.decode("utf-8", "replace") if value else "" for value in values
        )
        running_ms = max(0, now_ms - int(started)) if started else 0  # claimed, but not started yet
        about = _about(payloads.get(job_id))
        jobs.append(RunningJob(job_id, worker, kind or "job", about, progress, int(attempt or 0), batch, running_ms))
    return jobs, lanes


async def _held(client: Client) -> tuple[dict[str, str], Counter[str]]:
    """Return job id → worker of the pending entries, and their number by lane."""
    redis, keys = cast("Any", client.redis), client.keys
    async with redis.pipeline(transaction=False) as pipe:
        for lane in Lane:
            pipe.xpending_range(keys.lane(lane), GROUP, "-", "+", JOBS_READ)
        replies = await pipe.execute(raise_on_error=False)
        pending = [
            (lane, row["message_id"].decode(), row["consumer"].decode("utf-8", "replace"))
            for lane, rows in zip(Lane, replies, strict=True)
            if not isinstance(rows, Exception)  # no worker has created the group yet
            for row in rows
        ]
        for lane, entry, _ in pending:
            pipe.xrange(keys.lane(lane), entry, entry)
        entries = await pipe.execute()
    held: dict[str, str] = {}
    lanes = Counter[str]()
    for (lane, entry, worker), rows in zip(pending, entries, strict=True):
        if rows:
            held[rows[0][1].get(b"id", f"{lane}-{entry}".encode()).decode("utf-8", "replace")] = worker
            lanes[lane.value] += 1
    return held, lanes


def _about(payload: bytes | None) -> str:
    try:
        fields = decode_payload(payload or b"")
    except InvalidJob:
        return ""
    return str(fields.get("url") or fields.get("question") or "")
