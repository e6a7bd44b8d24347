"""What an arq worker's options say about its job functions: tries, time-out, kept results, ctx, hooks, counters.

Read anew for each job, since an arq program may change its worker's attributes. Next: ``deliveries.py``, which asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from producer.redis.scripts import Arg
from worker.queue.delivery import Delivery
from worker.queue.execute import Hook, Resolved, resolve, run_hook
from worker.queue.outcome import Cancelled, Dead, HandedBack, Lost, Outcome, Retried, Succeeded
from worker.queue.stream import Standing

RAN_AGAIN: Final = (Retried, HandedBack)
FAILED: Final = (Dead, Cancelled)


class JobFunctions:
    """The functions of one worker; ``options`` has the attributes of ``arq.Worker``."""

    def __init__(self, options: Any, *, note_progress: Callable[[Delivery, str], Awaitable[object]]) -> None:
        self._options = options
        self._send_progress = note_progress

    @property
    def on_job_start(self) -> Hook | None:
        """Arq's hook before the run; its error is the job's."""
        return self._options.on_job_start

    @property
    def on_job_end(self) -> Hook | None:
        """Arq's hook after the run, before the commit."""
        return self._options.on_job_end

    @property
    def after_job_end(self) -> Hook | None:
        """Arq's hook after the commit."""
        return self._options.after_job_end

    def tries_of(self, kind: str) -> int:
        """Return how often a job of ``kind`` may be tried; unknown kinds as by default."""
        function = self._options.functions.get(kind)
        return getattr(function, "max_tries", None) or self._options.max_tries

    def tries(self) -> list[Arg]:
        """Return the tries of a kind by default, then kind and tries of each function that has its own."""
        own = {kind: getattr(function, "max_tries", None) for kind, function in self._options.functions.items()}
        return [self._options.max_tries, *(word for kind, tries in own.items() if tries for word in (kind, tries))]

    def resolve(self, delivery: Delivery) -> Resolved:
        """Return what to call for ``delivery``; raises ``InvalidJob``."""
        return resolve(delivery, self._options.functions, default_timeout_s=self._options.job_timeout_s)

    def result_ttl_s(self, kind: str) -> int | None:
        """Return how long a result of ``kind`` is kept: 0 for ever, -1 not at all, in s."""
        own, function = self._options, self._options.functions[kind]
        forever = own.keep_result_forever if function.keep_result_forever is None else function.keep_result_forever
        if forever:
            return 0
        ttl_s = own.keep_result_s if function.keep_result_s is None else function.keep_result_s
        return max(1, int(ttl_s)) if ttl_s else -1

    def ctx_of(self, delivery: Delivery) -> dict[Any, Any]:
        """Return the ctx a job function gets: the worker's, what arq adds, and ``ctx["progress"](text)``."""
        return {
            **self._options.ctx,
            "job_id": delivery.job_id,
            "job_try": delivery.attempt,
            "enqueue_time": datetime.fromtimestamp(delivery.enqueued_ms / 1000, tz=UTC),
            "score": delivery.enqueued_ms,
            "lane": delivery.lane,
            "progress": partial(self._note_progress, delivery),
        }

    async def after(self, ctx: dict[Any, Any], outcome: Outcome, standing: Standing) -> None:
        """Count a committed end, and run arq's ``after_job_end`` with ``ctx["outcome"]``."""
        options = self._options
        if standing != "lost":
            options.jobs_complete += isinstance(outcome, Succeeded)
            options.jobs_retried += isinstance(outcome, RAN_AGAIN)
            options.jobs_failed += isinstance(outcome, FAILED)
        if options.after_job_end is not None:
            await run_hook(options.after_job_end, {**ctx, "outcome": Lost() if standing == "lost" else outcome})

    def _note_progress(self, delivery: Delivery, text: str) -> None:
        """Send the note on its way; a lost one is no loss."""
        note = asyncio.ensure_future(self._send_progress(delivery, text))
        note.add_done_callback(lambda done: done.cancelled() or done.exception())
