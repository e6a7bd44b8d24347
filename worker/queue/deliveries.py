"""Carries each claimed entry from its start to its committed end.

``start → run → commit``, each a step of its own, one task a delivery. A step that Redis does not answer is repeated, a
start that it refuses is left to the reclaim: an entry nobody renews comes back by itself.
Next: ``execute.py`` for the run, ``stream.py`` for the commits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from typing import Any, Final, assert_never, cast

import structlog
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from producer.contract import WIRE_VERSION, ErrorInfo
from producer.errors import InvalidJob
from worker.queue.deadlines import Deadlines
from worker.queue.delivery import Answer, Delivery, NotStarted, exhausted, newer, started
from worker.queue.entries import Entry, check_entry
from worker.queue.execute import Run, StopReason, execute, run_hook
from worker.queue.functions import JobFunctions
from worker.queue.leases import Leased, LeaseId, LeaseKeeper, lease_id
from worker.queue.outcome import Cancelled, Dead, HandedBack, Lost, Outcome, Retried, Succeeded, describe
from worker.queue.places import Place, Places
from worker.queue.stream import DEAD_CAP, JobStream, Standing

FIRST_PAUSE_S: Final = 0.05
LONGEST_START_PAUSE_S: Final = 1.0
"""Well within a lease after Redis is back: later, the entry is taken over by whoever looks."""
LONGEST_COMMIT_PAUSE_S: Final = 5.0
NEWER_PAUSE_S: Final = 5.0
"""Before a job of a newer release is offered again: by then a worker of that release may be there."""

Start = InvalidJob | asyncio.Future[Answer]
"""A start on its way or done, or why there can be none."""

UNWELCOME: Final = (Dead, Retried, Lost)

log = structlog.get_logger()


class Deliveries:
    """The deliveries of one worker, from claim to commit."""

    def __init__(
        self,
        stream: JobStream,
        leases: LeaseKeeper,
        places: Places,
        functions: JobFunctions,
        *,
        on_place_freed: Callable[[], None],
    ) -> None:
        self._stream = stream
        self._leases = leases
        self._places = places
        self._functions = functions
        self._on_place_freed = on_place_freed
        self._runs: dict[LeaseId, Run] = {}
        self._deadlines = Deadlines(_out_of_time)
        self.tasks: set[asyncio.Task[None]] = set()
        self.is_stopping = False
        self.refusals = 0

    @property
    def running(self) -> list[Delivery]:
        """Return the deliveries that run now."""
        return [run.delivery for run in self._runs.values()]

    def begin(self, entry: Entry, answer: Answer | None = None) -> None:
        """Take charge of a claimed entry. Its start is sent before its task has begun, unless ``answer`` says it is."""
        surplus = self.is_stopping or self._places.for_lane(entry.lane) <= 0
        start = self._begin_start(entry) if answer is None else _done(answer)
        act = self._hand_on(entry, start) if surplus else self._deliver(entry, start, self._places.take(entry.lane))
        task = asyncio.create_task(act)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def stop_run(self, delivery: Leased, reason: StopReason) -> bool:
        """Stop the function of ``delivery``; False when it runs no more, so that its commit decides."""
        run = self._runs.get(lease_id(delivery))
        if run is not None:
            run.stop(reason)
        return run is not None

    def stop_all(self, reason: StopReason) -> None:
        """Stop every function that runs."""
        for run in list(self._runs.values()):
            run.stop(reason)

    async def wait_until_done(self, *, timeout_s: float | None = None) -> bool:
        """Wait for all tasks to end; False when the time ran out first."""
        if not self.tasks:
            return True
        _, waiting = await asyncio.wait(set(self.tasks), timeout=timeout_s)
        return not waiting

    async def _deliver(self, entry: Entry, start: Start, place: Place) -> None:
        try:
            delivery = await self._started(entry, start)
            if delivery is not None:
                await self._carry(delivery, place)
        except (RedisError, OSError) as error:
            log.warning("delivery.left_to_reclaim", job_id=entry.job_id, entry=entry.id, error=str(error))
        finally:
            self._free(place)

    async def _carry(self, delivery: Delivery, place: Place) -> None:
        self._leases.hold(delivery)
        try:
            ctx = self._functions.ctx_of(delivery)
            outcome = await self._perform(delivery, ctx)
            if self._functions.after_job_end is None:  # nothing of the job's runs any more: the next one may
                self._free(place)
            standing = await self._commit(delivery, outcome, place)
            _log_end(delivery, outcome, standing)
            await self._functions.after(ctx, outcome, standing)
        finally:
            self._leases.release(delivery)

    def _free(self, place: Place) -> None:
        if place.is_held:
            place.give_back()
            self._on_place_freed()

    async def _hand_on(self, entry: Entry, start: Start) -> None:
        """Give an entry to somebody with a place: once it is started, and so ours to move, it is handed back."""
        try:
            delivery = await self._started(entry, start)
            if delivery is not None:
                await self._stream.hand_back(delivery)
                log.info("job.handed_back", job_id=delivery.job_id, why="no place")
        except (RedisError, OSError) as error:
            log.warning("delivery.left_to_reclaim", job_id=entry.job_id, entry=entry.id, error=str(error))

    def _begin_start(self, entry: Entry) -> Start:
        try:
            check_entry(entry)
        except InvalidJob as error:
            return error
        return self._stream.begin_start(entry, tries=self._functions.tries_of(entry.kind))

    async def _started(self, entry: Entry, start: Start) -> Delivery | None:
        if isinstance(start, InvalidJob):
            await self._reject(entry, describe(start))
            return None
        delivery = started(entry, await self._answered(entry, start))
        is_doubtful = self._leases.loop_was_frozen
        if isinstance(delivery, Delivery) and is_doubtful and not await self._stream.holds(delivery):
            delivery = NotStarted("lost")
        if isinstance(delivery, Delivery):
            delivery.started_at = time.monotonic()
            return delivery
        await self._not_started(entry, delivery)
        return None

    async def _answered(self, entry: Entry, start: asyncio.Future[Answer]) -> Answer:
        """Return what start.lua says. Where its answer is lost it is asked again: it may have counted the attempt."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return await start
            except (RedisConnectionError, RedisTimeoutError, OSError) as error:
                if self.is_stopping:
                    raise
                log.warning("start.repeated", job_id=entry.job_id, error=str(error), pause_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_START_PAUSE_S)
            start = self._stream.begin_start(entry, tries=self._functions.tries_of(entry.kind), is_repeated=True)

    async def _not_started(self, entry: Entry, answer: NotStarted) -> None:
        if answer.why == "missing":
            reason = f"no job {entry.job_id!r} is known and the entry carries no payload: expected kind and payload"
            await self._reject(entry, ErrorInfo(type="InvalidJob", message=reason))
        else:
            log.info("entry.dropped", job_id=entry.job_id, entry=entry.id, why=answer.why)

    async def _reject(self, entry: Entry, error: ErrorInfo) -> None:
        _, length = await self._stream.reject(entry, error)
        log.warning("job.rejected", job_id=entry.job_id, entry=entry.id, reason=error.message)
        _warn_if_capped(length)

    async def _perform(self, delivery: Delivery, ctx: dict[Any, Any]) -> Outcome:
        if delivery.is_cancelled:
            return Cancelled()
        if delivery.version > WIRE_VERSION:
            return Retried(NEWER_PAUSE_S, newer(delivery), attempt_returned=True)
        if delivery.is_exhausted:
            return Dead(exhausted(delivery))
        try:
            resolved = self._functions.resolve(delivery)
        except InvalidJob as error:
            return Dead(describe(error))
        lease, run = lease_id(delivery), Run(delivery)
        self._runs[lease] = run
        if resolved.timeout_s:
            self._deadlines.begin(run, resolved.timeout_s)
        try:
            outcome = await execute(run, resolved, ctx, on_start=self._functions.on_job_start)
        finally:
            del self._runs[lease]
            if resolved.timeout_s:
                self._deadlines.end(run, resolved.timeout_s)
        if self._functions.on_job_end is not None:
            await run_hook(self._functions.on_job_end, ctx)
        return outcome

    async def _commit(self, delivery: Delivery, outcome: Outcome, place: Place) -> Standing:
        """Commit until Redis has answered; each script knows a repetition by its fence.

        While Redis refuses, the place is taken: jobs whose ends cannot be kept must not pile up.
        """
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return await self._commit_once(delivery, outcome)
            except (TypeError, ValueError) as error:
                if isinstance(outcome, Dead):
                    raise
                outcome = Dead(ErrorInfo(type="InvalidResult", message=f"Redis has no form for it: {error}"))
                continue
            except (RedisConnectionError, RedisTimeoutError, OSError) as error:
                log.warning("commit.repeated", job_id=delivery.job_id, error=str(error), pause_s=pause_s)
            except RedisError as error:
                self.refusals += 1
                if "NOGROUP" in str(error):
                    return "lost"
                log.error("commit.refused", job_id=delivery.job_id, error=str(error), pause_s=pause_s)
                if self.is_stopping:
                    raise
            place.take()
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_COMMIT_PAUSE_S)

    async def _commit_once(self, delivery: Delivery, outcome: Outcome) -> Standing:
        match outcome:
            case Succeeded():
                ttl_s = self._functions.result_ttl_s(delivery.kind)
                return await self._stream.finish(
                    delivery, commit=outcome.commit, value_json=outcome.value_json, result_ttl_s=ttl_s
                )
            case Cancelled():
                return await self._stream.finish_cancelled(delivery)
            case Dead():
                standing, length = await self._stream.bury(delivery, outcome.error)
                _warn_if_capped(length)
                return standing
            case Retried():
                return await self._stream.retry(
                    delivery, delay_s=outcome.delay_s, error=outcome.error, attempt_returned=outcome.attempt_returned
                )
            case HandedBack():
                return await self._stream.hand_back(delivery)
            case Lost():
                return "lost"
            case _:
                assert_never(outcome)


def _done(answer: Answer) -> asyncio.Future[Answer]:
    future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    future.set_result(answer)
    return future


def _out_of_time(run: Hashable) -> None:
    cast("Run", run).stop(StopReason.TIMEOUT)


def _warn_if_capped(length: int) -> None:
    if length >= DEAD_CAP:
        log.error("dead.capped", length=length, cap=DEAD_CAP)


def _log_end(delivery: Delivery, outcome: Outcome, standing: Standing) -> None:
    level = log.warning if standing == "lost" or isinstance(outcome, UNWELCOME) else log.info
    error = getattr(outcome, "error", None)
    level(
        "job.finished",
        job_id=delivery.job_id,
        kind=delivery.kind,
        lane=delivery.lane,
        attempt=delivery.attempt,
        outcome=type(outcome).__name__.lower(),
        standing=standing,
        waited_ms=delivery.waited_ms,
        run_ms=int((time.monotonic() - delivery.started_at) * 1000),
        **({"error": error.type, "reason": error.message} if error else {}),
    )
