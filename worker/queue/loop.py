"""The loop of a worker: fills free slots with entries of the lanes and passes each to the executor.

While there is a backlog, one call of ``claim.lua`` takes as many entries as there are slots, alternating between
batches. Once a lane is empty, a blocking read on a dedicated connection waits for the next entry, which is requeued if
no slot is free any more. **Reclaims come before claims**: once ``upkeep.py`` has requested a reclaim, pending entries
of lost workers fill the free slots before new entries do. Redis decides who gets an entry. Next: ``executor.py``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sized
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog
from redis.exceptions import OutOfMemoryError, RedisError

from producer.contract import Lane
from producer.contract.terms import SUBMITTED
from producer.redis.backoff import Backoff
from producer.redis.raw_connection import end
from worker.queue.delivery import Entry, id_number
from worker.queue.executor import Executor
from worker.queue.leases import LeaseKeeper
from worker.queue.stream import JobStream

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 2.0
STOP_S: Final = 2.0
"""Longest wait of a stopping worker for Redis; what is claimed by a reply that comes later is reclaimed."""
UNBLOCK_S: Final = 1.0
BATCH_SHARE: Final = 5
"""While both lanes have waiting jobs, one claim in this many goes to batch."""

log = structlog.get_logger()


@dataclass(slots=True)
class Slots:
    """The slots of one worker: ``max_jobs``, and those held by each lane's ``holders``.

    One slot is reserved for interactive jobs, so that a question never waits behind scans; while both lanes have
    waiting jobs, one claim in five is batch, so that questions never starve scans. Assessments have ``assess``
    additional slots, so that scans and model calls do not wait for each other.
    """

    max_jobs: int
    holders: Mapping[Lane, Sized]
    assess: int = 0
    kept: int = 1
    """Slots that the batch lane may not use."""
    credit: int = 0
    """Fair-share credit of the batch lane, capped so that an idle lane cannot burst."""

    @property
    def free(self) -> int:
        """The number of entries that could be claimed now."""
        return self.max_jobs - len(self.holders[Lane.INTERACTIVE]) - len(self.holders[Lane.BATCH])

    @property
    def for_batch(self) -> int:
        """The number of free slots that batch may use; a single slot is not reserved."""
        kept = self.kept if self.max_jobs > 1 else 0
        return max(0, min(self.free, self.max_jobs - kept - len(self.holders[Lane.BATCH])))

    def for_lane(self, lane: Lane) -> int:
        """The number of free slots that ``lane`` may use."""
        if lane is Lane.ASSESS:
            return max(0, self.assess - len(self.holders[lane]))
        return self.for_batch if lane is Lane.BATCH else self.free

    def batch_turns(self, slots: int) -> int:
        """The number of the next ``slots`` claims in which batch precedes interactive."""
        return max(0, self.credit + slots) // BATCH_SHARE

    def note_claim(self, *, interactive: int, batch: int) -> None:
        """Update batch's credit after a claim."""
        earned = self.credit + interactive - (BATCH_SHARE - 1) * batch
        self.credit = max(1 - BATCH_SHARE, min(earned, BATCH_SHARE - 1))


class Loop:
    """Keeps the slots of one worker filled until it is stopped.

    The worker's options that limit claims are read for each claim.
    """

    def __init__(self, stream: JobStream, executor: Executor, leases: LeaseKeeper, *, lease_s: float) -> None:
        self._stream = stream
        self._executor = executor
        self._leases = leases
        self._lease_s = lease_s
        functions = executor.functions
        self._slots = Slots(
            functions.options.max_jobs,
            executor.holders,
            assess=getattr(functions.options, "assess_slots", 0),
            kept=functions.slots_kept_for_interactive,
        )
        self._drained = {lane: asyncio.Event() for lane in Lane}
        self._newest = dict.fromkeys(Lane, "0-0")
        self._readers = {lane: stream.reader(lane, arrived=self._arrived) for lane in Lane}
        self._backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        self._reclaim_from = dict.fromkeys(Lane, "")  # cursor of each lane's reclaim; '' while none is requested
        self._reading = set[Lane]()
        self._filling: asyncio.Timeout | None = None
        self.claimed = 0
        self.is_stopping = False

    def look_again(self) -> None:
        """Wake the loop."""
        self._executor.freed.set()

    async def look_at(self, lane: Lane) -> None:
        """Claim from ``lane`` again if it is being read: a read does not return entries that wait for their turn."""
        if self._drained[lane].is_set():
            await self._readers[lane].unblock()

    async def heed_controls(self) -> None:
        """Stop reads of paused lanes, and claim from resumed ones."""
        for lane in list(self._reading):
            if self._room(lane) <= 0:
                await self._readers[lane].unblock()
        self.look_again()

    @property
    def is_idle(self) -> bool:
        """Whether no job is held and no read can return one."""
        return not self._executor.tasks and not self._reading

    def request_reclaim(self) -> None:
        """Let the loop reclaim before its next claim; an incomplete reclaim continues."""
        for lane, cursor in self._reclaim_from.items():
            self._reclaim_from[lane] = cursor or "0-0"
        self.look_again()

    async def run(self) -> None:
        """Claim until ``stop``; survives every error of Redis.

        Raises a reader's unexpected error, since nobody would claim from its lane otherwise.
        """
        lanes = [lane for lane in Lane if lane is not Lane.ASSESS or self._slots.assess]
        readers = [asyncio.create_task(self._read_lane(lane), name=f"read-{lane}") for lane in lanes]
        for reader in readers:
            reader.add_done_callback(lambda _: self.look_again())
        self.look_again()
        try:
            while not self.is_stopping:
                await self._executor.freed.wait()
                self._executor.freed.clear()
                for reader in readers:
                    if reader.done():
                        reader.result()
                if not self.is_stopping:
                    await self._fill_until_stopped()
        finally:
            await self._end_readers(readers)

    def stop(self) -> None:
        """Claim no more; ``run`` returns when the outstanding reads have ended, or soon if Redis is away."""
        if self._filling is not None and not self.is_stopping:
            self._filling.reschedule(asyncio.get_running_loop().time() + STOP_S)
        self.is_stopping = True
        self.look_again()
        for event in self._drained.values():
            event.set()

    async def _fill_until_stopped(self) -> None:
        """Fill the free slots; a worker that stops meanwhile waits no longer than ``STOP_S``."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(None) as self._filling:
                    await self._fill()
        finally:
            self._filling = None

    async def _fill(self) -> None:
        """Fill the free slots: with pending entries of lost workers, then with new entries."""
        try:
            await self._reclaim()
            await self._claim()
        except (RedisError, OSError) as error:
            await self._pause(error)
            self.look_again()
        else:
            self._backoff.reset()

    @property
    def may_reclaim(self) -> bool:
        """Whether Redis has answered this worker without interruption for a full lease.

        The outage rule: idle time continues while Redis is down, and within a lease every healthy worker renews its
        leases. The lease thread detects a Redis that is frozen or unreachable, and a freeze of this process, perhaps
        together with Redis; the reclaim's connection detects one that was restarted between two renewals, perhaps from
        a snapshot so old that every lease has ended in it.
        """
        up_since = max(self._leases.up_since, self._stream.connected_since)
        return not self._leases.loop_was_frozen and time.monotonic() - up_since >= self._lease_s

    async def _reclaim(self) -> None:
        """Reclaim pending entries that were not renewed for a lease, as many as their lane has slots for.

        XAUTOCLAIM examines ten pending entries per slot: it is called until it has seen all or the slots are full.
        """
        idle_ms = int(self._lease_s * 1000)
        for lane in Lane:
            while (cursor := self._reclaim_from[lane]) and self.may_reclaim:
                slots = self._room(lane)
                if slots <= 0:
                    break
                self._reclaim_from[lane] = ""  # a request made during this call is kept
                following, entries = await self._stream.reclaim(lane, cursor=cursor, count=slots, min_idle_ms=idle_ms)
                if following != "0-0" or len(entries) == slots:
                    self._reclaim_from[lane] = following
                if entries:
                    job_ids = [entry.job_id for entry in entries]
                    log.warning("jobs.reclaimed", lane=lane, count=len(entries), job_ids=job_ids[:20])
                    self._begin(entries)

    async def _claim(self) -> None:
        """Claim new entries for the free slots from lanes without a pending read, which would start them itself.

        Assessments are only read, one at a time: each is a model call.
        """
        if self._room(Lane.ASSESS) > 0:
            self._drained[Lane.ASSESS].set()
        slots = self._allowed(self._slots.free)
        for_interactive = 0 if self._drained[Lane.INTERACTIVE].is_set() else self._room(Lane.INTERACTIVE)
        for_batch = 0 if self._drained[Lane.BATCH].is_set() else min(slots, self._room(Lane.BATCH))
        if for_interactive <= 0 and for_batch <= 0:
            return
        turns = self._slots.batch_turns(slots)
        entries = await self._stream.claim(
            slots=slots,
            for_interactive=for_interactive,
            for_batch=for_batch,
            turns=turns,
            tries=self._executor.functions.tries(),
        )
        batch = sum(entry.lane is Lane.BATCH for entry in entries)
        interactive = len(entries) - batch
        self._slots.note_claim(interactive=interactive, batch=batch)
        for lane in {entry.lane for entry in entries}:  # turns are not in the order of ids
            ids = (entry.id for entry in entries if entry.lane is lane)
            self._newest[lane] = max(self._newest[lane], *ids, key=id_number)
        self._begin(entries)
        if for_batch and batch < min(for_batch, slots - interactive):
            self._drained[Lane.BATCH].set()
        if for_interactive and len(entries) < slots:
            self._drained[Lane.INTERACTIVE].set()

    def _room(self, lane: Lane) -> int:
        """Return the number of entries of ``lane`` that may be claimed now; none while it is paused."""
        is_paused = f"lane:{lane}" in self._executor.controls.fields
        return 0 if is_paused else self._allowed(self._slots.for_lane(lane))

    def _allowed(self, slots: int) -> int:
        """Return how many of ``slots`` may be filled: none when stopping or draining, else by arq's options."""
        options = self._executor.functions.options
        if self.is_stopping or self._executor.controls.is_draining or not options.allow_pick_jobs:
            return 0
        if options.burst and options.max_burst_jobs >= 0:
            slots = min(slots, options.max_burst_jobs - self.claimed)
        return min(slots, options.queue_read_limit)

    def _begin(self, entries: Iterable[Entry]) -> None:
        """Pass entries to the executor, which requeues those without a slot."""
        for entry in entries:
            self.claimed += 1
            has_slot = not self.is_stopping and self._slots.for_lane(entry.lane) > 0
            self._executor.begin(entry, has_slot=has_slot)
        self._stream.send_starts()

    async def _read_lane(self, lane: Lane) -> None:
        """Wait for the next entry of an empty lane whenever the lane has a free slot."""
        drained = self._drained[lane]
        while not self.is_stopping:
            await drained.wait()
            if self.is_stopping:
                return
            if self._room(lane) > 0:
                await self._read_once(lane)
            else:
                drained.clear()  # the next free slot makes `run` look again

    async def _read_once(self, lane: Lane) -> None:
        self._reading.add(lane)
        try:
            reader = self._readers[lane]
            if not await reader.read(newest=self._newest[lane], tries=self._executor.functions.tries()):
                self._drained[lane].clear()  # another worker may have ordered entries from before the read
                self.look_again()
        except (RedisError, OSError) as error:
            if not self.is_stopping:
                await self._pause(error)
                self._drained[lane].clear()  # claim from it until it is read again
                self.look_again()
        finally:
            self._reading.discard(lane)

    def _arrived(self, entries: list[Entry]) -> None:
        """Start the entry that a blocking read returned; everything else can wait."""
        newest = entries[-1]
        lane = newest.lane
        self._newest[lane] = newest.id
        self._begin(entries)
        self._drained[lane].clear()
        if lane in SUBMITTED:
            self._slots.note_claim(interactive=int(lane is Lane.INTERACTIVE), batch=int(lane is Lane.BATCH))
        self.look_again()

    async def _end_readers(self, readers: list[asyncio.Task[None]]) -> None:
        self.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(UNBLOCK_S):
                while not all(task.done() for task in readers):
                    for reader in self._readers.values():
                        await reader.unblock()
                    await asyncio.wait(readers, timeout=0.02)
        await end(*readers)
        for reader in self._readers.values():
            await reader.close()

    async def _pause(self, error: Exception) -> None:
        """Wait with back-off after an error, and recreate lost groups."""
        pause_s = self._backoff.pause_s()
        log.warning("claim.paused", error=str(error), pause_s=pause_s, is_full=isinstance(error, OutOfMemoryError))
        if "NOGROUP" in str(error):
            await self._stream.lanes.restore_groups()
        await asyncio.sleep(pause_s)
