"""Walks through the queue's state machine: Redis and the model take the same steps and are compared after each.

The steps and the invariants are in ``test_state_machine.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, TypedDict, TypeVar

from hypothesis.stateful import RuleBasedStateMachine
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import FunctionResult, JobState, Lane
from producer.keys import GROUP, Keys
from producer.redis.script_pipe import ScriptPipe
from producer.redis.scripts import run_script
from producer.settings import ClientSettings
from tests.support.queue import BOOM
from tests.support.queue_model import WORKERS_TRIES, ModelDelivery, ModelEntry, ModelJob, QueueModel
from tests.support.queue_picture import Picture, expected_by, found_in
from worker.queue.delivery import Delivery, Entry, NotStarted, id_number
from worker.queue.lane_reader import START_READ
from worker.queue.outcome import Commit, CounterWrite
from worker.queue.stream import JobStream

CONSUMERS: Final = 2
SILENT_MS: Final = 60_000

T = TypeVar("T")


def pick(things: list[T], which: int) -> T:
    """Return an item of a list that is known only at run time; the newest for 0, which hypothesis prefers."""
    return things[-1 - which % len(things)]


@dataclass
class World:
    """Shared by all walks of a run: a loop, connections, and a number for each walk's environment."""

    environment: str
    loop: asyncio.AbstractEventLoop
    redis: Redis
    pipe: ScriptPipe
    numbers: Iterator[int] = field(default_factory=count)


class Wants(TypedDict):
    """Arguments of a claim."""

    slots: int
    for_batch: int
    turns: int


@dataclass(slots=True, eq=False)
class Consumer:
    """One worker process: its name, and the (possibly stale) entries and deliveries that it knows."""

    stream: JobStream
    entries: list[tuple[Entry, ModelEntry]] = field(default_factory=list[tuple[Entry, ModelEntry]])
    deliveries: list[tuple[Delivery, ModelDelivery]] = field(default_factory=list[tuple[Delivery, ModelDelivery]])
    newest: dict[Lane, str] = field(default_factory=lambda: dict.fromkeys(Lane, "0-0"))


class QueueWalk(RuleBasedStateMachine):
    """The building blocks of steps."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.keys = Keys(f"{world.environment}-{next(world.numbers)}")
        self.client = Client(ClientSettings(environment=self.keys.environment), redis=world.redis)
        self.model = QueueModel()
        self.names = count()
        self.consumers = [self.new_consumer() for _ in range(CONSUMERS)]
        self.is_compared = False
        self.run(self.consumers[0].stream.lanes.ensure_groups())

    def run(self, act: Awaitable[T]) -> T:
        """Perform one action on Redis; the next comparison checks the model against it."""
        self.is_compared = False
        return self.world.loop.run_until_complete(act)

    def compare(self) -> None:
        """Fail unless Redis matches the model; copy the ids that Redis gave to new entries."""
        found = self.run(found_in(self.world.redis, self.keys, self.model))
        assert found == expected_by(self.model)
        self._learn_ids(found)
        self.is_compared = True

    def clean(self) -> None:
        self.run(self._clean())

    # ------------------------------------------------------------------------------------------ who is there

    @property
    def known(self) -> list[ModelJob]:
        """Return the jobs that have a hash."""
        return [job for job in self.model.jobs.values() if job.state is not None]

    @property
    def holders(self) -> list[Consumer]:
        return [consumer for consumer in self.consumers if consumer.entries]

    @property
    def runners(self) -> list[Consumer]:
        return [consumer for consumer in self.consumers if consumer.deliveries]

    @property
    def has_waiting(self) -> bool:
        return any(not entry.owner for lane in Lane for entry in self.model.lanes[lane])

    def new_consumer(self) -> Consumer:
        name = f"w{next(self.names)}"
        return Consumer(JobStream(self.world.redis, self.world.pipe, self.keys, consumer=name, result_ttl_s=3600))

    def delivery(self, who: int, which: int) -> tuple[JobStream, Delivery, ModelDelivery]:
        consumer = pick(self.runners, who)
        return consumer.stream, *pick(consumer.deliveries, which)

    # ------------------------------------------------------------------------------------------ parts of steps

    def now_held(self, consumer: Consumer, entries: list[Entry], expected: list[ModelEntry]) -> None:
        assert [(entry.id, entry.job_id) for entry in entries] == [(entry.id, entry.job_id) for entry in expected]
        consumer.entries.extend(zip(entries, expected, strict=True))

    def claim_now(self, consumer: Consumer, wants: Wants) -> None:
        entries = self.run(consumer.stream.claim(**wants))
        for entry in entries:
            consumer.newest[entry.lane] = max(consumer.newest[entry.lane], entry.id, key=id_number)
        self.now_held(consumer, entries, self.model.claim(consumer.stream.consumer, **wants))

    def claim_starting(self, consumer: Consumer, wants: Wants) -> None:
        """Claim as a worker does: what a read would start is started by the claim."""
        entries = self.run(consumer.stream.claim(**wants, tries=[WORKERS_TRIES]))
        claimed = self.model.claim(consumer.stream.consumer, **wants)
        assert [entry.id for entry in entries] == [entry.id for entry in claimed]
        for entry, expected in zip(entries, claimed, strict=True):
            consumer.newest[entry.lane] = max(consumer.newest[entry.lane], entry.id, key=id_number)
            assert (entry.start is not None) is self.model.starts_when_read(expected)
            if entry.start is None:
                consumer.entries.append((entry, expected))
            else:
                assert self._now_started(consumer, expected, entry.start)

    def read_now(self, consumer: Consumer, lane: Lane) -> None:
        """Read the next entry and start it, as a blocking reader does, or only hold it if a read cannot start it."""
        found = self.run(self._read(consumer, lane))
        new = self.model.read(consumer.stream.consumer, lane)
        assert {entry.id for entry in new} <= {entry.id for entry in found}
        for entry in found:
            expected = next(one for one in self.model.lanes[lane] if one.id == entry.id)
            consumer.newest[lane] = entry.id
            assert expected not in new or (entry.start is not None) is self.model.starts_when_read(expected)
            if entry.start is None:
                consumer.entries.append((entry, expected))
            else:
                assert self._now_started(consumer, expected, entry.start)

    def start_held(self, consumer: Consumer, entry: Entry, expected: ModelEntry) -> bool:
        """Start a held entry; return False if it did not start."""
        return self._now_started(consumer, expected, self.run(self._start(consumer.stream, entry)))

    def start_together(self, consumer: Consumer) -> None:
        """Start all held entries in one script call; those already started are started again."""
        starts = [self._start(consumer.stream, entry) for entry, _ in consumer.entries]
        answers = self.run(asyncio.gather(*starts))
        for (_, expected), answer in zip(consumer.entries, answers, strict=True):
            self._now_started(consumer, expected, answer)

    def end_together(self, consumer: Consumer, first: int, state: JobState) -> None:
        """Finish the deliveries from index ``first`` on in one script call."""
        deliveries = consumer.deliveries[first:]
        ends = [self._commit(consumer.stream, delivery, state, is_returned=False) for delivery, _ in deliveries]
        for (_, expected), answer in zip(deliveries, self.run(asyncio.gather(*ends)), strict=True):
            assert answer in expected.answers(state)
            if answer == "committed":
                self.model.end(expected, state, attempt_returned=False)

    async def _start(self, stream: JobStream, entry: Entry) -> Delivery | NotStarted:
        return await stream.start(entry, tries=WORKERS_TRIES)

    async def _read(self, consumer: Consumer, lane: Lane) -> list[Entry]:
        key = self.keys.lane(lane)
        args = (GROUP, consumer.stream.consumer, self.keys.job(""), consumer.newest[lane], WORKERS_TRIES)
        reply: Any = await self.world.redis.xreadgroup(GROUP, consumer.stream.consumer, {key: ">"}, count=1)
        answer = await run_script(self.world.redis, START_READ, [key], args)
        flat = [
            (entry_id, [item for pair in fields.items() for item in pair])
            for _, rows in reply
            for entry_id, fields in rows
        ]
        reader = consumer.stream.reader(lane, arrived=lambda _: None)
        return reader._decoded([(key, flat)] if flat else (), answer)

    def _now_started(self, consumer: Consumer, expected: ModelEntry, answer: Delivery | NotStarted) -> bool:
        modelled = self.model.start(consumer.stream.consumer, expected)
        if isinstance(modelled, str):
            assert answer == NotStarted(modelled)
            return False
        assert isinstance(answer, Delivery)
        assert (answer.attempt, answer.fence) == (modelled.attempt, modelled.job.fence)
        assert (answer.is_exhausted, answer.is_cancelled) == (modelled.is_exhausted, modelled.job.is_cancel_asked)
        consumer.deliveries.append((answer, modelled))
        return True

    def end_delivery(
        self, stream: JobStream, delivery: Delivery, expected: ModelDelivery, state: JobState, *, is_returned: bool
    ) -> None:
        """Commit ``state``: an end, ``scheduled`` for a retry, ``queued`` for a requeue."""
        may = expected.answers(state)
        answer = self.run(self._commit(stream, delivery, state, is_returned=is_returned))
        assert answer in may
        if answer == "committed":
            self.model.end(expected, state, attempt_returned=is_returned)

    def run_newest(self, consumer: Consumer, state: JobState) -> None:
        if self.start_held(consumer, *consumer.entries[-1]):
            self.end_delivery(consumer.stream, *consumer.deliveries[-1], state, is_returned=False)

    @property
    def due(self) -> dict[str, ModelJob]:
        """Return jobs that are due before their delay is over: the retry of a cancelled job does not wait."""
        return {job.job_id: job for job in self.model.in_state(JobState.SCHEDULED) if job.is_cancel_asked}

    def promote_due(self, who: int, jobs: dict[str, ModelJob]) -> None:
        if jobs:
            self.run(self.world.redis.zadd(self.keys.scheduled, dict.fromkeys(jobs, 1), xx=True))

        assert self.run(self.consumers[who].stream.lanes.promote_due(limit=10)) == len(jobs)
        for job_id in sorted(jobs):  # of one score, Redis takes them by name
            self.model.promote(jobs[job_id])

    async def _commit(self, stream: JobStream, delivery: Delivery, state: JobState, *, is_returned: bool) -> str:
        match state:
            case JobState.SUCCEEDED:
                counted = CounterWrite(self.keys.site("x"), {"commits": 1})
                return await stream.finish(delivery, commit=Commit(FunctionResult(), writes=(counted,)))
            case JobState.CANCELLED:
                return await stream.finish_cancelled(delivery)
            case JobState.DEAD:
                return (await stream.bury(delivery, BOOM))[0]
            case JobState.SCHEDULED:
                return await stream.retry(delivery, delay_s=3600, error=BOOM, attempt_returned=is_returned)
            case _:
                return await stream.requeue(delivery)

    async def make_silent(self, entry: ModelEntry) -> None:
        """Plant an old time for the last renewal."""
        named: list[Any] = [entry.id]
        lane, old_ms = self.keys.lane(entry.lane), 2 * SILENT_MS
        await self.world.redis.xclaim(lane, GROUP, entry.owner, 0, named, idle=old_ms, justid=True)

    def _learn_ids(self, found: Picture) -> None:
        for lane in Lane:
            for entry_id, entry in zip(found.entry_ids[lane], self.model.lanes[lane], strict=True):
                entry.id = entry.id or entry_id

    async def _clean(self) -> None:
        found: list[Any] = [key async for key in self.world.redis.scan_iter(match=f"{self.keys.prefix}*", count=1000)]
        if found:
            await self.world.redis.unlink(*found)
