"""Random walks through the queue's state machine: Redis and the model must agree after every step.

``QUEUE_SEQUENCES=20000 QUEUE_STEPS=60 pytest tests/redis/queue/test_state_machine.py`` walks further than CI does.
A walk ends with everything silent taken over, due and run to its end: what was submitted has then ended, once.
The model is ``tests/support/queue_model.py``, the parts of a step are in ``queue_walk.py``.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from typing import Any, Final, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test
from redis.asyncio import Redis

from producer.contract import JobState, Lane
from producer.contract.terms import SUBMITTED
from producer.errors import InvalidJob, UnknownJob
from producer.keys import GROUP, Keys
from producer.redis.script_pipe import ScriptPipe
from producer.redis.scripts import load_script, run_script
from tests.support.queue_walk import CONSUMERS, SILENT_MS, Consumer, QueueWalk, World, pick
from worker.queue.arq_pool import connections_of
from worker.queue.leases import RENEW

SEQUENCES: Final = int(os.environ.get("QUEUE_SEQUENCES", "80"))
STEPS: Final = int(os.environ.get("QUEUE_STEPS", "25"))
MOST_JOBS: Final = 3
"""At once; more would meet each other less often."""
AT_MOST: Final = {
    "submit_again": 1,
    "add_by_hand": 1,
    "copy_entry": 1,
    "tend": 1,
    "cancel": 2,
    "seal": 2,
    "kill": 2,
    "expire": 2,
}
"""Steps of one walk that lead nowhere or end things early: left to chance, there would be little else."""
REPLAY: Final = load_script("producer.stored", "replay")

LANES: Final = st.sampled_from(SUBMITTED)
WHO: Final = st.integers(0, CONSUMERS - 1)
ANY: Final = st.integers(0, 99)
OUTCOMES: Final = st.sampled_from([state for state in JobState if state is not JobState.RUNNING])


class QueueMachine(QueueWalk):
    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.taken = Counter[str]()

    def may(self, step: str) -> bool:
        return self.taken[step] < AT_MOST[step]

    @property
    def has_room(self) -> bool:
        return sum(not job.has_ended for job in self.model.jobs.values()) < MOST_JOBS

    # ------------------------------------------------------------------------------------------ producers

    @precondition(lambda self: self.has_room)
    @rule(lane=LANES, tries=st.integers(0, 2), batch=st.sampled_from(["", "a", "b"]), is_deferred=st.booleans())
    def submit(self, lane: Lane, tries: int, batch: str, is_deferred: bool) -> None:
        job_id, defer_s = f"j{len(self.model.jobs)}", 3600 if is_deferred else 0
        options: dict[str, Any] = {"lane": lane, "tries": tries, "batch": batch or None, "defer_s": defer_s}
        act = self.client.submit("add", {}, job_id=job_id, **options)
        if batch in self.model.batches and self.model.batches[batch].is_sealed:
            with pytest.raises(InvalidJob, match="is closed"):
                self.run(act)
            return

        assert self.run(act).created
        self.model.submit(job_id, lane, tries=tries, batch=batch, is_deferred=is_deferred)

    @precondition(lambda self: self.known and self.may("submit_again"))
    @rule(which=ANY)
    def submit_again(self, which: int) -> None:
        self.taken["submit_again"] += 1
        answer = self.run(self.client.submit("add", {}, job_id=pick(self.known, which).job_id))

        assert not answer.created

    @precondition(lambda self: self.has_room and self.may("add_by_hand"))
    @rule(lane=LANES)
    def add_by_hand(self, lane: Lane) -> None:
        self.taken["add_by_hand"] += 1
        entry_id = self.run(self.world.redis.xadd(self.keys.lane(lane), {"kind": "add", "payload": "{}"}))

        self.model.add_by_hand(lane, entry_id.decode())

    @precondition(lambda self: self.known and self.may("copy_entry"))
    @rule(which=ANY)
    def copy_entry(self, which: int) -> None:
        self.taken["copy_entry"] += 1
        job = pick(self.known, which)
        self.run(self.world.redis.xadd(self.keys.lane(job.lane), {"id": job.job_id, "kind": "add"}))

        self.model.add_copy(job)

    @precondition(lambda self: self.model.jobs and self.may("cancel"))
    @rule(which=ANY)
    def cancel(self, which: int) -> None:
        self.taken["cancel"] += 1
        job = pick(list(self.model.jobs.values()), which)
        act = self.client.cancel(job.job_id)
        if job.state is None:
            with pytest.raises(UnknownJob):
                self.run(act)
            return

        assert self.run(act) is self.model.cancel(job)

    @precondition(lambda self: self.model.jobs and self.may("seal"))
    @rule(batch=st.sampled_from(["a", "b"]))
    def seal(self, batch: str) -> None:
        self.taken["seal"] += 1
        info = self.run(self.client.seal_batch(batch, create=True))

        self.model.seal(batch)
        assert (info.finished_ms is not None) is self.model.batches[batch].is_finished

    @precondition(lambda self: self.model.dead)
    @rule(which=ANY)
    def replay(self, which: int) -> None:
        index = which % len(self.model.dead)
        rows = cast("list[Any]", self.run(self.world.redis.xrange(self.keys.dead)))
        job = self.model.jobs[self.model.dead[index]]
        keys = (self.keys.dead, self.keys.job(job.job_id), self.keys.lane(job.lane), self.keys.result(job.job_id))

        answer = self.run(run_script(self.world.redis, REPLAY, keys, (rows[index][0], job.job_id, job.lane, "nonce")))

        assert answer.decode() == self.model.replay(index)

    # ------------------------------------------------------------------------------------------ workers

    @precondition(lambda self: self.has_waiting)
    @rule(who=WHO, slots=st.integers(1, 3), for_batch=st.integers(0, 3), turns=st.integers(0, 1))
    def claim(self, who: int, slots: int, for_batch: int, turns: int) -> None:
        self.claim_now(self.consumers[who], {"slots": slots, "for_batch": min(slots, for_batch), "turns": turns})

    @precondition(lambda self: self.has_waiting)
    @rule(who=WHO, lane=LANES)
    def read(self, who: int, lane: Lane) -> None:
        self.read_now(self.consumers[who], lane)

    @precondition(lambda self: self.holders)
    @rule(who=WHO, which=ANY)
    def start(self, who: int, which: int) -> None:
        consumer = pick(self.holders, who)

        self.start_held(consumer, *pick(consumer.entries, which))

    @precondition(lambda self: self.has_waiting)
    @rule(who=WHO)
    def claim_and_start(self, who: int) -> None:
        self.claim(who, 1, 1, 0)
        self.start_held(self.consumers[who], *self.consumers[who].entries[-1])

    @rule(who=WHO, slots=st.integers(1, 4), for_batch=st.integers(0, 4), turns=st.integers(0, 2))
    def claim_starting_at_once(self, who: int, slots: int, for_batch: int, turns: int) -> None:
        self.claim_starting(self.consumers[who], {"slots": slots, "for_batch": for_batch, "turns": turns})

    @precondition(lambda self: self.has_waiting)
    @rule(who=WHO, state=OUTCOMES)
    def run_one(self, who: int, state: JobState) -> None:
        self.claim(who, 1, 1, 0)
        self.run_newest(self.consumers[who], state)

    @precondition(lambda self: self.has_waiting)
    @rule(who=WHO, is_cancelled=st.booleans())
    def run_together(self, who: int, is_cancelled: bool) -> None:
        """Start all that waits in one script call, and end all of it in another."""
        self.claim(who, MOST_JOBS + 2, MOST_JOBS + 2, 0)
        consumer, first = self.consumers[who], len(self.consumers[who].deliveries)
        self.start_together(consumer)
        self.end_together(consumer, first, JobState.CANCELLED if is_cancelled else JobState.SUCCEEDED)

    @precondition(lambda self: self.runners)
    @rule(who=WHO, which=ANY, state=OUTCOMES, is_returned=st.booleans())
    def end(self, who: int, which: int, state: JobState, is_returned: bool) -> None:
        self.end_delivery(*self.delivery(who, which), state, is_returned=is_returned)

    @precondition(lambda self: self.runners)
    @rule(who=WHO, which=ANY)
    def renew_and_note_progress(self, who: int, which: int) -> None:
        stream, delivery, expected = self.delivery(who, which)
        job, text = expected.job, f"{delivery.fence}"
        keys, held = (self.keys.lane(delivery.lane), self.keys.job(delivery.job_id)), (delivery.entry, delivery.fence)
        is_latest = job.latest is expected and job.state is JobState.RUNNING

        verdicts = self.run(run_script(self.world.redis, RENEW, keys, (GROUP, stream.consumer, *held)))
        is_noted = self.run(stream.note_progress(delivery, text))

        assert verdicts == [(1 + job.is_cancel_asked) * expected.holds_job]
        assert is_noted is is_latest
        expected.entry.is_silent &= not expected.holds_job
        job.progress = text if is_latest else job.progress

    @precondition(lambda self: self.runners and self.may("kill"))
    @rule(who=WHO, keeps_name=st.booleans())
    def kill(self, who: int, keeps_name: bool) -> None:
        self.taken["kill"] += 1
        old = self.consumers[who]
        self.consumers[who] = Consumer(old.stream) if keeps_name else self.new_consumer()

    # ------------------------------------------------------------------------------------------ upkeep

    @precondition(lambda self: self.model.pending and self.may("expire"))
    @rule(which=ANY)
    def expire(self, which: int) -> None:
        self.taken["expire"] += 1
        entry = pick(self.model.pending, which)
        self.run(self.make_silent(entry))

        entry.is_silent = True

    @precondition(lambda self: self.model.pending)
    @rule(who=WHO, lane=LANES, most=st.integers(1, 3))
    def reclaim(self, who: int, lane: Lane, most: int) -> None:
        consumer = self.consumers[who]

        _, entries = self.run(consumer.stream.reclaim(lane, cursor="0-0", count=most, min_idle_ms=SILENT_MS))

        self.now_held(consumer, entries, self.model.reclaim(consumer.stream.consumer, lane, most))

    @precondition(lambda self: self.model.pending)
    @rule(who=WHO, which=ANY, is_started=st.booleans())
    def take_over(self, who: int, which: int, is_started: bool) -> None:
        self.expire(which)
        self.reclaim(who, pick(self.model.pending, which).lane, 100)
        if is_started:
            self.start_held(self.consumers[who], *self.consumers[who].entries[-1])

    @precondition(lambda self: self.model.in_state(JobState.SCHEDULED))
    @rule(which=ANY, who=WHO)
    def promote(self, which: int, who: int) -> None:
        job = pick(self.model.in_state(JobState.SCHEDULED), which)

        self.promote_due(who, {job.job_id: job, **self.due})

    @precondition(lambda self: self.may("tend"))
    @rule(who=WHO)
    def tend(self, who: int) -> None:
        self.taken["tend"] += 1
        self.promote_due(who, self.due)
        self.run(self.consumers[who].stream.lanes.reap_consumers(idle_ms=0))

    # ------------------------------------------------------------------------------------------ what must hold

    @invariant()
    def redis_is_as_the_model_says(self) -> None:
        self.compare()

    def teardown(self) -> None:
        try:
            if self.is_compared:  # otherwise a step has failed, and the rest would only hide it
                self._run_to_the_end()
        finally:
            self.clean()

    def _run_to_the_end(self) -> None:
        """Take over, start and finish all there is, as a healthy worker would: nothing may be left."""
        for who in range(CONSUMERS):
            self.kill(who, keeps_name=False)
        while self.model.in_state(JobState.SCHEDULED):
            self.promote(0, 0)
        self.compare()  # gives the new entries their ids
        while self.model.pending:
            self.take_over(0, 0, is_started=False)
            self.run_newest(self.consumers[0], JobState.SUCCEEDED)
        while self.has_waiting:
            self.claim(0, 1, 1, 0)
            self.run_newest(self.consumers[0], JobState.SUCCEEDED)
        for batch in list(self.model.batches):
            self.seal(batch)
        self.compare()
        assert all(job.has_ended for job in self.model.jobs.values())
        assert all(batch.is_finished for batch in self.model.batches.values())


@pytest.mark.timeout(max(120, SEQUENCES))
def test_redis_and_the_model_agree_after_every_step_of_any_sequence(redis_url: str, keys: Keys):
    with asyncio.Runner() as runner:
        loop, redis = runner.get_loop(), Redis.from_url(redis_url, protocol=2)
        world = World(keys.environment, loop, redis, ScriptPipe(connections_of(redis)))

        run_state_machine_as_test(
            cast("Any", lambda: QueueMachine(world)),  # typed as a class; any factory is called the same
            settings=settings(
                max_examples=SEQUENCES,
                stateful_step_count=STEPS,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
            ),
        )

        loop.run_until_complete(world.pipe.close())
        loop.run_until_complete(redis.aclose())
