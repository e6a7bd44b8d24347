"""A model of the queue in plain Python: no Redis, no time. ``test_state_machine.py`` compares the scripts with it.

The rules are those of ``docs/state-machine.md``, from the point of view of one delivery: it holds its job as long as no
later delivery of the job was started, the job has not ended, and the entry is still its consumer's. The model is
independent of the Lua implementation.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from producer.contract import FINAL_STATES, JobState, Lane

WORKERS_TRIES = 3
"""Default number of attempts."""


@dataclass(slots=True)
class ModelBatch:
    total: int = 0
    ends: list[JobState] = field(default_factory=list[JobState])
    is_sealed: bool = False
    is_finished: bool = False


@dataclass(slots=True, eq=False)
class ModelEntry:
    """An entry of a lane; ``id`` is assigned by Redis. ``owner`` is the consumer it was delivered to."""

    lane: Lane
    job_id: str
    id: str = ""
    owner: str = ""
    is_silent: bool = False
    turn: int = 0
    """When it is to be served, once it was put in order."""


@dataclass(slots=True)
class ModelTurns:
    """Fair turns in a lane: the last one served, each batch's latest, and whether unread entries may belong to
    batches."""

    now: int = 0
    latest: dict[str, int] = field(default_factory=dict[str, int])
    has_batched: bool = False


@dataclass(slots=True, eq=False)
class ModelJob:
    """A job; without a state, only its entry exists (added by hand, never started)."""

    job_id: str
    lane: Lane
    state: JobState | None = JobState.QUEUED
    tries: int = WORKERS_TRIES
    batch: str = ""
    entry: ModelEntry | None = None
    attempt: int = 0
    fence: int = 0
    latest: ModelDelivery | None = None
    is_cancel_asked: bool = False
    progress: str = ""
    has_retried: bool = False
    """Whether its last reason to wait, always the same one here, was announced."""

    @property
    def has_ended(self) -> bool:
        return self.state in FINAL_STATES


@dataclass(slots=True, eq=False)
class ModelDelivery:
    """One start of a job; ``ended_as`` is the state that its commit left."""

    job: ModelJob
    entry: ModelEntry
    consumer: str
    attempt: int
    is_exhausted: bool
    ended_as: JobState | None = None

    @property
    def holds_job(self) -> bool:
        """Return whether a commit of this delivery takes effect."""
        is_latest = self.job.latest is self and self.job.state is JobState.RUNNING
        return is_latest and self.ended_as is None and self.entry.owner == self.consumer

    def answers(self, state: JobState) -> set[str]:
        """Return the possible replies to a commit of ``state``; a repeated commit never takes effect again."""
        if self.holds_job:
            return {"committed"}
        if self.job.latest is not self or self.ended_as is None:
            return {"lost"}
        return {"already"} if self.ended_as is state is self.job.state else {"already", "lost"}


class QueueModel:
    """All jobs of one environment."""

    def __init__(self) -> None:
        self.jobs: dict[str, ModelJob] = {}
        self.lanes: dict[Lane, list[ModelEntry]] = {lane: [] for lane in Lane}
        self.turns = {lane: ModelTurns() for lane in Lane}
        self.batches: dict[str, ModelBatch] = {}
        self.dead: list[str] = []
        self.events: list[tuple[str, str]] = []
        self.commits = 0

    # ------------------------------------------------------------------------------------------ producers

    def submit(self, job_id: str, lane: Lane, *, tries: int, batch: str, is_deferred: bool) -> None:
        job = self.jobs[job_id] = ModelJob(job_id, lane, tries=tries or WORKERS_TRIES, batch=batch)
        if batch:
            self.batches.setdefault(batch, ModelBatch()).total += 1
        if is_deferred:
            job.state = JobState.SCHEDULED
        else:
            self._enqueue(job, may_be_batched=bool(batch))

    def add_by_hand(self, lane: Lane, entry_id: str) -> str:
        entry = ModelEntry(lane, f"{lane}-{entry_id}", entry_id)
        self.lanes[lane].append(entry)
        self.jobs[entry.job_id] = ModelJob(entry.job_id, lane, state=None, entry=entry)
        return entry.job_id

    def add_copy(self, job: ModelJob) -> None:
        """Add an entry that names the job but is not its own."""
        self.lanes[job.lane].append(ModelEntry(job.lane, job.job_id))

    def cancel(self, job: ModelJob) -> JobState:
        """Cancel the job; return its state afterwards."""
        assert job.state is not None, "expected a job that has a hash"
        if job.state is JobState.RUNNING:
            job.is_cancel_asked = True
        elif not job.has_ended:
            if job.state is JobState.QUEUED and job.entry is not None and not job.entry.owner:
                self.lanes[job.lane].remove(job.entry)
            self._end(job, JobState.CANCELLED)  # an entry that a worker has stays until its start drops it
        return job.state

    def seal(self, batch_id: str) -> None:
        self.batches.setdefault(batch_id, ModelBatch()).is_sealed = True
        self._finish_batch(batch_id)

    def replay(self, index: int) -> str:
        """Queue the ``index``-th dead letter again; return the reply."""
        job = self.jobs[self.dead[index]]
        if job.state is not JobState.DEAD:
            return "busy"
        del self.dead[index]
        job.batch, job.attempt, job.is_cancel_asked, job.progress, job.has_retried = "", 0, False, "", False
        self._enqueue(job, may_be_batched=False)
        return "queued"

    # ------------------------------------------------------------------------------------------ workers

    def claim(self, consumer: str, *, slots: int, for_batch: int, turns: int) -> list[ModelEntry]:
        """Deliver the oldest waiting entries: the batch lane's fair share, then interactive, then more of batch."""
        first = self._take_turns(Lane.BATCH, consumer, min(turns, for_batch))
        interactive = self._take_turns(Lane.INTERACTIVE, consumer, slots - len(first))
        left = min(slots - len(first) - len(interactive), for_batch - len(first))
        return [*interactive, *first, *self._take_turns(Lane.BATCH, consumer, left)]

    def read(self, consumer: str, lane: Lane) -> list[ModelEntry]:
        """Deliver the oldest unread entry of one lane."""
        return self._deliver(lane, consumer, 1)

    def starts_when_read(self, entry: ModelEntry) -> bool:
        """Return whether a read also starts it: a submitted job's own entry, unless that would be the last attempt."""
        job = self.jobs[entry.job_id]
        return job.state is JobState.QUEUED and job.entry is entry and job.attempt + 1 < job.tries

    def reclaim(self, consumer: str, lane: Lane, count: int) -> list[ModelEntry]:
        taken = [entry for entry in self.lanes[lane] if entry.owner and entry.is_silent][:count]
        for entry in taken:
            entry.owner, entry.is_silent = consumer, False
        return taken

    def start(self, consumer: str, entry: ModelEntry) -> ModelDelivery | str:
        """Start the entry's job; return the delivery, or why there is none."""
        if entry not in self.lanes[entry.lane] or entry.owner != consumer:
            return "lost"
        job = self.jobs[entry.job_id]
        if job.has_ended or job.entry is not entry:
            self.lanes[entry.lane].remove(entry)
            return "dropped"
        is_exhausted = job.attempt >= job.tries
        job.attempt += not is_exhausted
        job.fence += 1
        job.state = JobState.RUNNING
        job.latest = ModelDelivery(job, entry, consumer, job.attempt, is_exhausted)
        return job.latest

    def end(self, delivery: ModelDelivery, state: JobState, *, attempt_returned: bool) -> None:
        """Put the job of a delivery that holds it into ``state``: an end, a retry or a requeue."""
        assert delivery.holds_job, "expected a delivery that holds its job"
        job, delivery.ended_as = delivery.job, state
        self.lanes[delivery.entry.lane].remove(delivery.entry)
        if state in FINAL_STATES:
            self.commits += state is JobState.SUCCEEDED
            if state is JobState.DEAD:
                self.dead.append(job.job_id)
            else:
                job.progress = ""
            self._end(job, state)
            return
        job.state, job.progress = state, ""
        is_returned = attempt_returned and not delivery.is_exhausted
        if is_returned or (state is JobState.QUEUED and not delivery.is_exhausted):
            job.attempt -= 1  # a start over the limit has spent nothing to return
        if state is JobState.QUEUED:
            self._enqueue(job, may_be_batched=True)
            return
        if not (is_returned and job.has_retried):
            self.events.append(("job.retried", job.job_id))
        job.has_retried = True

    def promote(self, job: ModelJob) -> None:
        self._enqueue(job, may_be_batched=True)

    # ------------------------------------------------------------------------------------------ parts

    @property
    def pending(self) -> list[ModelEntry]:
        """Return the entries held by any consumer."""
        return [entry for lane in Lane for entry in self.lanes[lane] if entry.owner]

    def in_state(self, *states: JobState) -> list[ModelJob]:
        return [job for job in self.jobs.values() if job.state in states]

    def _enqueue(self, job: ModelJob, *, may_be_batched: bool) -> None:
        self.turns[job.lane].has_batched |= may_be_batched
        job.state = JobState.QUEUED
        job.entry = ModelEntry(job.lane, job.job_id)
        self.lanes[job.lane].append(job.entry)

    def _deliver(self, lane: Lane, consumer: str, count: int) -> list[ModelEntry]:
        taken = [entry for entry in self.lanes[lane] if not entry.owner and not entry.turn][: max(0, count)]
        for entry in taken:
            entry.owner = consumer
        return taken

    def _take_turns(self, lane: Lane, consumer: str, count: int) -> list[ModelEntry]:
        """Deliver in fair turns; more than ``count`` unread entries are put in order if they may belong to a batch."""
        if count <= 0:
            return []
        if not self._waiting(lane):
            is_mixed = self.turns[lane].has_batched
            taken = self._deliver(lane, consumer, count)
            if is_mixed:
                self._put_in_order(lane)  # nothing, where fewer than ``count`` were there
            return taken
        self._put_in_order(lane)
        taken = self._waiting(lane)[:count]
        for entry in taken:
            entry.owner = consumer
            self.turns[lane].now = max(self.turns[lane].now, entry.turn)
        return taken

    def _waiting(self, lane: Lane) -> list[ModelEntry]:
        """Return the entries that were put in order; within a turn, Redis orders them by id as text."""
        entries = (entry for entry in self.lanes[lane] if entry.turn and not entry.owner)
        return sorted(entries, key=lambda entry: (entry.turn, entry.id))

    def _put_in_order(self, lane: Lane) -> None:
        turns = self.turns[lane]
        turns.has_batched = False
        for entry in self.lanes[lane]:
            if not entry.owner and not entry.turn:
                batch = self.jobs[entry.job_id].batch
                entry.turn = turns.latest[batch] = max(turns.latest.get(batch, 0), turns.now) + 1

    def _end(self, job: ModelJob, state: JobState) -> None:
        job.state = state
        self.events.append((f"job.{state}", job.job_id))
        if job.batch:
            self.batches[job.batch].ends.append(state)
            self._finish_batch(job.batch)

    def _finish_batch(self, batch_id: str) -> None:
        batch = self.batches[batch_id]
        if batch.is_sealed and not batch.is_finished and len(batch.ends) == batch.total:
            batch.is_finished = True
            self.events.append(("batch.finished", batch_id))
