"""Fills a worker's free places from the lanes: in bulk while there is a backlog, by blocking reads when there is none.

``claim.lua`` takes as many entries as there are places in one call. Once a lane has shown itself empty, a blocking
read waits there, on a connection of its own, for the next entry. A read that was begun while a place was free may
come home when none is: what it brings is handed back. Redis decides who gets an entry; this module only asks. What
happens to an entry then is in ``deliveries.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

import structlog
from redis.exceptions import OutOfMemoryError, RedisError

from producer.contract import Lane
from producer.redis.scripts import Arg
from worker.queue.delivery import Answer
from worker.queue.entries import Entry
from worker.queue.lane_reader import Reply
from worker.queue.lanes import LANES
from worker.queue.places import Places
from worker.queue.stream import JobStream

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 2.0

log = structlog.get_logger()


class Claimer:
    """Keeps the places filled until told to stop.

    ``begin`` is called with each entry, and start.lua's answer if it is started already; it must not block. ``tries``
    returns those of a job function, then kind and tries of each that has its own.
    """

    def __init__(
        self,
        stream: JobStream,
        places: Places,
        *,
        begin: Callable[[Entry, Answer | None], None],
        tries: Callable[[], Sequence[Arg]],
    ) -> None:
        self._stream = stream
        self._places = places
        self._begin = begin
        self._tries = tries
        self._look = asyncio.Event()
        self._drained = {lane: asyncio.Event() for lane in LANES}
        self._newest = dict.fromkeys(LANES, "0-0")
        self._readers = {lane: stream.reader(lane, arrived=partial(self._arrived, lane)) for lane in LANES}
        self._pause_s = FIRST_PAUSE_S
        self.is_stopping = False
        self.may_claim: Callable[[int], int] = lambda places: places

    def look_again(self) -> None:
        """Say that a place is free, or that there may be work."""
        self._look.set()

    async def run(self) -> None:
        """Claim until ``stop``; survives whatever Redis answers.

        Raises what has ended a reader: its lane is not claimed from meanwhile, and would be nobody's.
        """
        readers = [asyncio.create_task(self._read_lane(lane), name=f"read-{lane}") for lane in LANES]
        for reader in readers:
            reader.add_done_callback(lambda _: self._look.set())
        self._look.set()
        try:
            while not self.is_stopping:
                await self._look.wait()
                self._look.clear()
                for reader in readers:
                    if reader.done():
                        reader.result()
                if not self.is_stopping:
                    await self._fill()
        finally:
            await self._end_readers(readers)

    def stop(self) -> None:
        """Take no more; ``run`` returns when the outstanding reads have come home."""
        self.is_stopping = True
        self._look.set()
        for event in self._drained.values():
            event.set()

    async def _end_readers(self, readers: list[asyncio.Task[None]]) -> None:
        self.stop()
        deadline = asyncio.get_running_loop().time() + 1.0
        while asyncio.get_running_loop().time() < deadline and not all(task.done() for task in readers):
            for reader in self._readers.values():
                await reader.unblock()
            await asyncio.wait(readers, timeout=0.02)
        for task in readers:
            task.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        for reader in self._readers.values():
            await reader.close()

    async def _fill(self) -> None:
        """Claim for the free places, of the lanes that nobody reads: a read starts what it finds unknown to us."""
        places = self.may_claim(self._places.free)
        for_interactive = 0 if self._drained[Lane.INTERACTIVE].is_set() else places
        for_batch = 0 if self._drained[Lane.BATCH].is_set() else min(places, self._places.for_batch)
        if for_interactive <= 0 and for_batch <= 0:
            return
        turns = self._places.batch_turns(places)
        try:
            entries = await self._stream.claim(
                places=places, for_interactive=for_interactive, for_batch=for_batch, turns=turns
            )
        except (RedisError, OSError) as error:
            await self.pause(error)
            self._look.set()
            return
        self._pause_s = FIRST_PAUSE_S
        batch = sum(entry.lane is Lane.BATCH for entry in entries)
        interactive = len(entries) - batch
        self._places.note_claim(interactive=interactive, batch=batch)
        self._begin_all([(entry, None) for entry in entries])
        if for_batch and batch < min(for_batch, places - interactive):
            self._drained[Lane.BATCH].set()
        if for_interactive and len(entries) < places:
            self._drained[Lane.INTERACTIVE].set()

    async def pause(self, error: Exception) -> None:
        """Wait with back-off after an error, and put right what can be put right."""
        log.warning(
            "claim.paused", error=str(error), pause_s=self._pause_s, is_full=isinstance(error, OutOfMemoryError)
        )
        if "NOGROUP" in str(error):
            await self._restore_groups()
        await asyncio.sleep(self._pause_s)
        self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)

    async def _restore_groups(self) -> None:
        """Make deleted groups anew, with the jobs of a stream that was deleted."""
        try:
            for lane, requeued in (await self._stream.lanes.ensure_groups()).items():
                log.error("stream.group_was_gone", lane=lane)
                log.warning("stream.group_restored", lane=lane, requeued=requeued)
        except (RedisError, OSError) as error:
            log.warning("stream.group_not_restored", error=str(error))

    async def _read_lane(self, lane: Lane) -> None:
        """Wait on an empty lane for its next entry, whenever the lane has a free place."""
        drained = self._drained[lane]
        while not self.is_stopping:
            await drained.wait()
            if self.is_stopping:
                return
            if self.may_claim(self._places.for_lane(lane)) > 0:
                await self._read_once(lane)
            else:
                drained.clear()  # the next free place makes `run` look again

    async def _read_once(self, lane: Lane) -> None:
        args = self._stream.read_args(lane, newest=self._newest[lane], tries=self._tries())
        try:
            await self._readers[lane].read(args)
        except (RedisError, OSError) as error:
            if not self.is_stopping:
                await self.pause(error)
                self._drained[lane].clear()  # until it is read again, it is claimed from
                self._look.set()

    def _arrived(self, lane: Lane, reply: Reply, answer: Answer) -> None:
        """Begin what a blocking read of ``lane`` has brought; the rest can wait until that is done."""
        self._begin_all(self._stream.read(lane, reply, answer))
        self._drained[lane].clear()
        self._places.note_claim(interactive=int(lane is Lane.INTERACTIVE), batch=int(lane is Lane.BATCH))
        self._look.set()

    def _begin_all(self, entries: Iterable[tuple[Entry, Answer | None]]) -> None:
        for entry, answer in entries:
            self._newest[entry.lane] = entry.id
            self._begin(entry, answer)
        self._stream.send_starts()
