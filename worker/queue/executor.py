"""Runs claimed entries from start to commit, one task each.

The steps, from top to bottom::

    begin      take the slot; the start goes to Redis with the others of this tick
    started    its reply: a delivery; or the entry is rejected, or dropped
    perform    resolve the function, watch its time-out, run it, normalise what it returned or raised (``run.py``)
    commit     one fenced script for each outcome (``stream.py``), repeated until Redis has answered
    finish     one event in the log, counters and the last hook

A step without a reply from Redis is repeated; an entry whose start is refused is not renewed, and so reclaimed later.
While a delivery runs, its lease is renewed (``leases.py``). This module tracks which entries hold a slot; ``loop.py``
decides how many slots each lane has.
"""

from __future__ import annotations

import asyncio
import time
from contextvars import copy_context
from functools import partial
from typing import Any, Final, assert_never

import structlog
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from producer.contract import WIRE_VERSION, ErrorInfo, Lane
from producer.errors import PAUSED_AGAIN_S, InvalidJob, Paused
from producer.redis.backoff import Backoff
from worker.queue.controls import Controls
from worker.queue.delivery import Delivery, Entry, NotStarted, Started, check_entry, newer
from worker.queue.leases import Leased, LeaseKeeper
from worker.queue.outcome import Cancelled, Dead, Decided, Lost, Outcome, Requeued, Retried, Succeeded, describe
from worker.queue.run import Deadlines, JobFunctions, Run, StopReason, execute, run_hook
from worker.queue.stream import DEAD_CAP, JobStream, Standing

FIRST_PAUSE_S: Final = 0.05
LONGEST_START_PAUSE_S: Final = 1.0
"""Well below a lease, or another worker would reclaim the entry when Redis is back."""
LONGEST_COMMIT_PAUSE_S: Final = 5.0
NEWER_PAUSE_S: Final = 5.0
"""Delay before a job of a newer release is offered again, since a worker of that release may have started."""
NO_ANSWER: Final = (RedisConnectionError, RedisTimeoutError, ReadOnlyError, OSError)
"""A read-only Redis is an outage: the next connection may lead to the new primary."""

UNWELCOME: Final = (Dead, Retried, Lost)

log = structlog.get_logger()


class Executor:
    """The deliveries of one worker, from claim to commit.

    ``holders`` are the entries that hold a slot of their lane; a release sets ``freed``. Jobs see the context variables
    of ``context``.
    """

    def __init__(
        self, stream: JobStream, leases: LeaseKeeper, functions: JobFunctions, *, controls: Controls | None = None
    ) -> None:
        self._stream = stream
        self._leases = leases
        self.functions = functions
        self.controls = controls or Controls(stream.redis, stream.keys, worker=stream.consumer)
        self.context = copy_context()
        self._runs: dict[int, Run] = {}  # by the identity of the delivery, as leases are
        self._deadlines = Deadlines()
        self.tasks: set[asyncio.Task[None]] = set()
        self.holders: dict[Lane, set[Entry]] = {lane: set() for lane in Lane}
        self.freed = asyncio.Event()
        self.is_stopping = False
        self.refusals = 0
        self.missed_kinds: set[str] = set()  # kinds of jobs that wait for a worker that knows them

    # ------------------------------------------------------------------------------------------ one entry

    def begin(self, entry: Entry, *, has_slot: bool) -> None:
        """Start a claimed entry in a slot of its lane; without a slot it is requeued.

        The start is sent before the task begins, unless the script that claimed the entry has started it. A reply that
        brings an entry is handled in the context in which its connection was opened, perhaps another job's.
        """
        if has_slot:
            self.holders[entry.lane].add(entry)
        context = self.context.copy()
        sent = entry.start or context.run(self._send_start, entry)
        task = asyncio.create_task(self._deliver(entry, sent), context=context)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _send_start(self, entry: Entry) -> asyncio.Future[Started] | NotStarted:
        try:
            check_entry(entry)
        except InvalidJob as error:
            return NotStarted("invalid", describe(error).message)
        return self._stream.start(entry, tries=self.functions.tries_of(entry.kind))

    async def _deliver(self, entry: Entry, sent: Started | asyncio.Future[Started]) -> None:
        try:
            start = await self._answered(entry, sent) if isinstance(sent, asyncio.Future) else sent
            delivery = await self._started(entry, start)
            if delivery is not None and entry in self.holders[entry.lane]:
                await self._carry(entry, delivery)
            elif delivery is not None:
                await self._stream.requeue(delivery)
                log.info("job.requeued", job_id=delivery.job_id, why="no slot")
        except (RedisError, OSError) as error:
            log.warning("delivery.left_to_reclaim", job_id=entry.job_id, entry=entry.id, error=str(error))
        finally:
            self._release_slot(entry)

    async def _answered(self, entry: Entry, sent: asyncio.Future[Started]) -> Started:
        """Return the reply of a start, which is repeated if the reply was lost, since it may have counted."""
        backoff = Backoff(FIRST_PAUSE_S, LONGEST_START_PAUSE_S)
        while True:
            try:
                return await sent
            except NO_ANSWER as error:
                if self.is_stopping:
                    raise
                pause_s = backoff.pause_s()
                log.warning("start.repeated", job_id=entry.job_id, error=str(error), pause_s=pause_s)
            await asyncio.sleep(pause_s)
            sent = self._stream.start(entry, tries=self.functions.tries_of(entry.kind), is_repeated=True)

    async def _started(self, entry: Entry, start: Started) -> Delivery | None:
        """Return the delivery; None for an entry without one, which is settled here."""
        if isinstance(start, Delivery) and self._leases.loop_was_frozen and not await self._stream.holds(start):
            start = NotStarted("lost")
        if isinstance(start, Delivery):
            start.started_at = time.monotonic()
            return start
        if start.why in ("invalid", "missing"):
            error, is_unknown = self.functions.refused(entry, start.reason), start.why == "missing"
            rejected, length = await self._stream.reject(entry, error, is_unknown=is_unknown)
            if rejected == "ended":
                log.warning("entry.dropped", job_id=entry.job_id, entry=entry.id, why="its job has expired")
                return None
            log.warning("job.rejected", job_id=entry.job_id, entry=entry.id, reason=error.message)
            _warn_if_capped(length)
        else:
            log.info("entry.dropped", job_id=entry.job_id, entry=entry.id, why=start.why)
        return None

    async def _carry(self, entry: Entry, delivery: Delivery) -> None:
        """Perform, commit and finish a delivery while renewing its lease."""
        self._leases.hold(delivery)
        try:
            ctx = {"check_paused": partial(self.controls.check, delivery), **self.functions.ctx_of(delivery)}
            outcome = await self._perform(delivery, ctx)
            if isinstance(outcome, Dead | Cancelled):
                outcome = await self.functions.settled(delivery, outcome)
            if self.functions.options.after_job_end is None:  # the job runs no further code, so the next one may start
                self._release_slot(entry)
            standing, outcome = await self._commit(entry, delivery, outcome)
            _log_end(delivery, outcome, standing)
            await self.functions.after(ctx, outcome, is_committed=standing != "lost")
        finally:
            self._leases.release(delivery)

    async def _perform(self, delivery: Delivery, ctx: dict[Any, Any]) -> Outcome:
        if delivery.is_cancelled and self.functions.may_be_cancelled:
            return Cancelled()
        if delivery.version > WIRE_VERSION:
            return Retried(NEWER_PAUSE_S, newer(delivery), attempt_returned=True)
        if why := self.functions.refusal(delivery):
            return Dead(why)
        if control := delivery.pause_in(self.controls.fields):
            return Retried(PAUSED_AGAIN_S, describe(Paused(control)), attempt_returned=True, control=control)
        try:
            run = self.functions.resolve(delivery)
        except InvalidJob as error:
            return Dead(describe(error))
        except Decided as decided:
            return decided.outcome
        options = self.functions.options
        self._runs[id(delivery)] = run
        self._deadlines.begin(run)
        try:
            outcome = await execute(run, ctx, on_start=options.on_job_start)
        finally:
            del self._runs[id(delivery)]
            self._deadlines.end(run)
        if options.on_job_end is not None:
            await run_hook(options.on_job_end, ctx)
        return outcome

    async def _commit(self, entry: Entry, delivery: Delivery, outcome: Outcome) -> tuple[Standing, Outcome]:
        """Commit, repeated until Redis replies; return the status and the committed outcome. Fences make this safe.

        While Redis refuses, the slot stays held, so that jobs whose outcome cannot be stored do not pile up.
        """
        backoff = Backoff(FIRST_PAUSE_S, LONGEST_COMMIT_PAUSE_S)
        while True:
            try:
                if (standing := await self._commit_once(delivery, outcome)) != "overdue":
                    return standing, outcome
                outcome = self.functions.unknown(delivery, has_waited=True)
                continue
            except (TypeError, ValueError) as error:
                if isinstance(outcome, Dead):
                    raise
                outcome = Dead(ErrorInfo(type="InvalidResult", message=f"Redis cannot store it: {error}"))
                continue
            except NO_ANSWER as error:
                pause_s = backoff.pause_s()
                log.warning("commit.repeated", job_id=delivery.job_id, error=str(error), pause_s=pause_s)
            except RedisError as error:
                self.refusals += 1
                if "NOGROUP" in str(error):
                    return "lost", outcome
                pause_s = backoff.pause_s()
                log.error("commit.refused", job_id=delivery.job_id, error=str(error), pause_s=pause_s)
                if self.is_stopping:
                    raise
            self.holders[entry.lane].add(entry)  # even beyond the number of slots
            await asyncio.sleep(pause_s)

    async def _commit_once(self, delivery: Delivery, outcome: Outcome) -> Standing:
        match outcome:
            case Succeeded():
                ttl_s = self.functions.result_ttl_s(delivery.kind)
                return await self._stream.finish(
                    delivery, commit=outcome.commit, value_json=outcome.value_json, result_ttl_s=ttl_s
                )
            case Cancelled():
                kept_s = self.functions.failure_ttl_s(delivery.kind)
                return await self._stream.finish_cancelled(delivery, result_ttl_s=kept_s)
            case Dead():
                kept_s = self.functions.failure_ttl_s(delivery.kind)
                standing, length = await self._stream.bury(delivery, outcome.error, result_ttl_s=kept_s)
                _warn_if_capped(length)
                return standing
            case Retried():
                self.missed_kinds |= {delivery.kind} if outcome.needs_function else set()
                return await self._stream.retry(
                    delivery,
                    delay_s=outcome.delay_s,
                    error=outcome.error,
                    attempt_returned=outcome.attempt_returned,
                    needs_function=outcome.needs_function,
                    control=outcome.control,
                    may_be_cancelled=self.functions.may_be_cancelled,
                )
            case Requeued():
                return await self._stream.requeue(delivery)
            case Lost():
                return "lost"
            case _:
                assert_never(outcome)

    def _release_slot(self, entry: Entry) -> None:
        """Free the entry's slot and wake the loop. Safe to call twice."""
        if entry in self.holders[entry.lane]:
            self.holders[entry.lane].remove(entry)
            self.freed.set()

    # ------------------------------------------------------------------------------------------ all entries

    @property
    def running(self) -> list[Delivery]:
        """Return the running deliveries."""
        return [run.delivery for run in self._runs.values()]

    def lease_lost(self, delivery: Leased) -> None:
        """Stop a run whose job another worker holds; its commit would be refused."""
        if self._stop_run(delivery, StopReason.LEASE_LOST):
            log.warning("job.lease_lost", job_id=delivery.job_id)

    def cancel_seen(self, delivery: Leased) -> None:
        """Stop a cancelled run."""
        if self.functions.may_be_cancelled and self._stop_run(delivery, StopReason.CANCELLED):
            log.info("job.cancel_seen", job_id=delivery.job_id)

    def stop_all(self, reason: StopReason) -> None:
        """Stop all running functions."""
        for run in list(self._runs.values()):
            run.stop(reason)

    async def wait_until_done(self, *, timeout_s: float | None) -> None:
        """Wait for all tasks to end, at most ``timeout_s``."""
        if self.tasks:
            await asyncio.wait(set(self.tasks), timeout=timeout_s)

    def _stop_run(self, delivery: Leased, reason: StopReason) -> bool:
        """Stop the function of ``delivery``; False if it has ended, so that its commit decides."""
        run = self._runs.get(id(delivery))
        if run is not None:
            run.stop(reason)
        return run is not None


def _warn_if_capped(length: int) -> None:
    if length >= DEAD_CAP:
        log.error("dead.capped", length=length, cap=DEAD_CAP)


def _log_end(delivery: Delivery, outcome: Outcome, standing: Standing) -> None:
    error, cause = getattr(outcome, "error", None), getattr(outcome, "cause", None)
    if isinstance(outcome, Retried) and outcome.attempt_returned and standing != "lost":
        # Not an end: thousands of jobs that wait for scans look several times a minute.
        log.debug("job.waits", job_id=delivery.job_id, kind=delivery.kind, why=outcome.error.message)
        return
    level = log.warning if standing == "lost" or isinstance(outcome, UNWELCOME) else log.info
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
        **({"exc_info": cause} if cause is not None else {}),
    )
