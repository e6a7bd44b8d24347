"""Sets up structlog, lists every event a worker logs, and keeps background tasks running, with their errors logged.

========================  ======================================================================
event                     when, with which fields
========================  ======================================================================
worker.started            after start-up: name, max_jobs, functions
metrics.served            the metrics endpoint is ready: host, port
worker.stopping           a signal arrived: signal, running
process.started           a process of ``sightline worker --processes`` runs: number, pid
process.died              … and ended by itself: number, exit_code, restarted_in_s
worker.stopped            everything is requeued or done: counts
worker.heartbeat_left     Redis was unreachable at the end, so the worker is shown for 30 s more: name, error
job.finished              a delivery ended: job_id, kind, lane, attempt, outcome, standing, waited_ms, run_ms, error,
                          reason, and its traceback as ``exception`` where the function raised one (LOG_TRACEBACKS)
job.waits                 … or found that its job has to wait, at the cost of no attempt (debug): job_id, kind, why
job.rejected              an entry was not a job: job_id, entry, reason
job.requeued              a job was queued again without a run: job_id, why (no slot, entry lost)
job.no_function           this worker has no function for its kind, so it waits for another: job_id, kind, wait_s
job.lease_lost            another worker holds the job: job_id
job.cancel_seen           a cancellation reached a running job: job_id
progress.lost             Redis did not accept a note of a job's progress (debug): job_id, error
jobs.promoted             scheduled jobs became due: count
jobs.due_earlier          Redis's clock was set back, so scheduled jobs became due earlier by it: count
scheduled.no_job          a member of the scheduled set was not a job and was removed: member, error
jobs.reclaimed            jobs of a silent worker were taken over: lane, count, job_ids
entry.dropped             a claimed entry's job had ended, moved or expired, or was resubmitted: job_id, entry, why
redis.clock_jumped        Redis's clock was moved, so every lease is renewed once: lane, by_ms
delivery.left_to_reclaim  a start was refused, or unanswered when the worker stopped: job_id, entry, error
start.repeated            Redis did not answer a start, or was read-only: job_id, error
commit.repeated           Redis did not answer a commit, or was read-only: job_id, error
commit.refused            Redis refused a commit (a key of the wrong type): job_id, error
controls.changed          something was paused, resumed or drained: controls (all current), draining (this worker)
controls.dropped          workers that were being drained have been killed; their drain has ended: workers
controls.not_read         the pauses could not be read; the last known ones apply: error
claim.paused              Redis refused or did not answer a claim: error, is_full
stream.group_was_gone     someone deleted a lane's group: lane
stream.entries_were_gone  someone trimmed a lane, deleted entries or moved its group: requeued
stream.group_restored     … and it was recreated: lane, requeued
stream.group_not_restored … or could not be: error
lease.renewal_failed      Redis did not answer a renewal: error
lease.loop_hung           the event loop is blocked: leases are given up
background.failed         an unforeseen error in a background task, which goes on: task, error, and its traceback as
                          ``exception`` (LOG_TRACEBACKS)
hook.failed               a hook raised after the outcome was known: hook, error
pages.found               the pages of a due batch were found and submitted: batch, pages, problems
schedule.fired            a schedule was due: batch
browser.started           Chromium runs: pid, version, sandbox
browser.sandbox_off       … without its sandbox: reason
browser.replaced          it died or hung, and another one was started: scans, said
browser.glyphs_missing    it renders text in these scripts as boxes: scripts, fonts
browser.fonts_unknown     its fonts could not be determined: error
browser.recycled          it had scanned enough or grown too large: scans
browser.killed            it did not exit by itself, or used too much memory: pid, reason, process, resident_mb
browser.page_killed       one page used too much memory: resident_mb, max_mb
library.warned            a library logged something: logger, said, error; the traceback of asyncio's, as above
dead.capped               the dead-letter stream is full, old entries are dropped: length, cap
upkeep.failed             one round of upkeep failed: step, error
settings.misspelt         a variable's name resembles a setting's: hint
host.closed               a host asks to be left alone (429, 503 with Retry-After): host, wait_s, waited_s
scan.finished             a page was read, or could not be: job_id, status, barriers
scan.assessed             a scan's assessment was settled: job_id, source, calls, saved (by known explanations)
scan.fixes_tried          changes were tried on a scan's page, or not: job_id, tried, fixes, state
assessment.waits          no model host is available now: job_id, error, pause_s
order.written             what to fix first on a site was written: site, pages, model
order.failed              … or could not be: site, error
assessment.not_wanted     the result has expired or is assessed: job_id
query.answered            a turn is complete: job_id, model, cached, rounds, tools, sources, notes
query.shortened           the model's tokenizer needs more for a prompt than its context holds: job_id, error
query.looked_up           a model answered without a look-up, so one was made: job_id, model
query.answer_unusable     a model gave no usable answer: job_id, model, round
query.thread_busy         a query waits for its conversation: job_id, waits_for, waited_s
query.thread_lost         the lock on a conversation expired during a query: job_id
tool.failed               a tool call failed: tool, job_id, error
tool.refused              a call was not run: tool, job_id
login.kept                a scan logged in for its batch: generation
login.failed              a batch's login failed, for its other scans too
gpu.slot_granted          a call got its slot (debug): host, kind, wait_ms, token
gpu.slot_lost             a slot was lost during its call: host, kind, token, why
gpu.yielded               a batch call yielded its slot to a question, and is repeated: host, kind, token
gpu.host_set_aside        a model host failed its health check: host, reason
gpu.host_still_down       … and failed it again (debug): host, fails, reason
gpu.host_back             … and passed it again: host
gpu.redis_silent          Redis did not answer the pool: step, error
model.answered            a model call succeeded: kind, model, host, job_id, wait_ms, run_ms, tokens
model.failed              a model call failed: kind, model, host, job_id, wait_ms, run_ms, error
model.missing             a model is not on a host: host, model, type (the command to run)
model.found               … and is there now: host, model
model.lacking             a host or a model on it lacks an ability that the settings need: host, what (with what to do)
model.host_unreachable    a host could not be asked for its models: host, error
model.facts_unknown       no host reported a model's limits: model, error
model.without_tools       a model refuses tools, so look-ups are made for it: model
model.text_cut            texts were longer than the embedding model reads: model, texts, context
cloud.failed              the cloud could not answer a call: job_id, error
cloud.share_unknown       Redis did not answer how much of the cloud's share is left: error
cloud.tokens_unknown      an endpoint reported no tokens, so none are counted: model, host
cloud.key_unencrypted     the key goes to an http:// endpoint: host
vectors.backfilled        documents without a vector got theirs: documents, model
vectors.refused           the model refuses to embed this document's text: model, chars, error
vectors.deleted           documents lost vectors of a model that is no longer used: documents
history.respelled         addresses in records of an earlier release were normalised: records
backfill.failed           … or this could not be done now: error
memory.dropped            a namespace had more memories than are kept: namespace (its first label), memories, most
reindex.model_failed      the model of a running reindex failed, the old one stays in use: model, error
reindex.left_to_backfill  a change was abandoned, and the model in use is not available now: model, error
settings.model_moved      EMBEDDING_MODEL names the model before a reindex: given, used
notice.sent               a receiver accepted a notice: notice, about, events
notice.retried            … or not yet: notice, about, events, why, pause_s
notice.given_up           … or not for hours: notice, about, events, why
notice.receivers_refused  a mail server refused some of a mail's receivers: notice, receivers, codes
notices.dropped           too many are pending, new ones are dropped: notices
notices.failed            notices could not be read now: error
usage.not_counted         Redis did not accept a call's usage: kind, model, error
========================  ======================================================================

Events are past facts with fields, one JSON object per line. Never a prompt, a header, a cookie or a secret.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine, MutableMapping
from typing import Any, Final, Literal

import structlog

from producer.reports.plain_text import printable

MAX_TRACEBACK: Final = 20_000
MAX_SAID: Final = 300
"""Maximum characters kept of a library's line, and of an error's message."""
AGAIN_S: Final = 5.0
"""Pause of a background task after an unforeseen error, which may come again at once."""
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_logging(
    *,
    level: Literal["debug", "info", "warning", "error"],
    form: Literal["json", "console"],
    tracebacks: bool = True,
    watch: Callable[[Any, str, Any], Any] | None = None,
) -> None:
    """Send structlog's events and the libraries' logs to standard error. Once per process, before the first log.

    ``watch`` is a structlog processor that gets every event of ``info`` and above, regardless of ``level``.
    """
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            *((watch, drop_below(LEVELS[level])) if watch else ()),
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            with_traceback if tracebacks else without_traceback,
            *((fit_for_a_terminal,) if form == "console" else ()),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            min(LEVELS[level], logging.INFO) if watch else LEVELS[level]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Only warnings of the libraries; arq's lines repeat Sightline's events.
    logging.basicConfig(level=max(LEVELS[level], logging.WARNING), handlers=[_LibraryLog()], force=True)
    # RedisVL logs a failed command in full, including the page; Sightline's events report its exceptions.
    for name in ("redisvl", "[RedisVL]"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


class _LibraryLog(logging.Handler):
    """Converts libraries' log lines to events: their tracebacks are not JSON and may quote data.

    asyncio's is kept: it reports a task of ours that failed while nothing waited for it.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Log ``library.warned``; a record that cannot be formatted is logged by its template."""
        try:
            said = record.getMessage()
        except (TypeError, ValueError):
            said = str(record.msg)
        raised = record.exc_info[1] if record.exc_info else None
        error: dict[str, Any] = {"error": type(raised).__name__} if raised is not None else {}
        if record.name == "asyncio":
            error["exc_info"] = raised
        log = structlog.get_logger()
        tell = log.error if record.levelno >= logging.ERROR else log.warning
        tell("library.warned", logger=record.name, said=" ".join(said.split())[:MAX_SAID], **error)


def fit_for_a_terminal(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Remove control characters from an event's texts: some come from pages or models. JSON escapes them anyway."""
    return {name: printable(value) if isinstance(value, str) else value for name, value in event.items()}


def with_traceback(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Convert an event's exception to text; a long one is cut to its end, which says where it was raised."""
    told = structlog.processors.format_exc_info(logger, method, event)
    if "exception" in told:
        told["exception"] = str(told["exception"])[-MAX_TRACEBACK:]
    return told


def without_traceback(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Remove the exception from an event."""
    event.pop("exc_info", None)
    return event


def drop_below(level: int) -> Callable[[Any, str, Any], Any]:
    """Return a processor that drops events below ``level``."""

    def drop(_logger: object, method: str, event: Any) -> Any:
        if LEVELS.get(method, logging.ERROR) < level:
            raise structlog.DropEvent
        return event

    return drop


def in_background(
    run: Callable[[], Coroutine[Any, Any, None]], *, name: str, again_s: float = AGAIN_S
) -> asyncio.Task[None]:
    """Start ``run`` as a task; after an unforeseen error, which is logged, it is called again ``again_s`` later.

    ``run`` handles the foreseen ones, such as an outage of Redis. Cancel the task, or return, to end it.
    """

    async def keep_running() -> None:
        while True:
            try:
                return await run()
            except Exception as error:  # noqa: BLE001  whatever it is: a task that ends in silence is missed too late
                note_failure(name, error)
            await asyncio.sleep(again_s)

    return asyncio.create_task(keep_running(), name=name)


def note_failure(task: str, error: Exception) -> None:
    """Log an unforeseen error after which ``task`` goes on, with its traceback."""
    said = " ".join(f"{type(error).__name__}: {error}".split())[:MAX_SAID]
    log = structlog.get_logger()
    log.error("background.failed", task=task, error=said, exc_info=error)
