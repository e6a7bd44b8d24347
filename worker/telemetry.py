"""Sets up structlog, and lists every event a worker logs.

========================  ======================================================================
event                     when, with which fields
========================  ======================================================================
worker.started            after start-up: name, lanes, max_jobs, functions
worker.stopping           a signal came: signal, running
worker.stopped            everything is handed back or done: counts
job.finished              a delivery ended: job_id, kind, attempt, outcome, standing, run_ms, error, reason
job.rejected              an entry was no job: job_id, entry, reason
job.handed_back           a claim went back without a run: job_id, why
job.requeued              a job whose stream was deleted is queued again: job_id
job.lease_lost            another worker holds the job: job_id
job.cancel_seen           a cancellation reached a running job: job_id
jobs.promoted             scheduled jobs became due: count
jobs.reclaimed            jobs of a silent worker were taken over: lane, count, job_ids
entry.dropped             a claimed entry's job had ended or moved: job_id, entry, why
delivery.left_to_reclaim  Redis did not answer a start: job_id, entry, error
commit.repeated           Redis did not answer a commit: job_id, error
commit.refused            Redis refused a commit (a key of the wrong type): job_id, error
claim.paused              Redis refused or did not answer a claim: error, is_full
stream.group_was_gone     somebody deleted a lane's group: lane
stream.group_restored     … and it was made again: lane, requeued
lease.renewal_failed      Redis did not answer a renewal: error
lease.loop_hung           the event loop stands still: leases are given up
hook.failed               a hook raised after the outcome was clear: hook, error
schedule.fired            a schedule's time had come: batch
dead.capped               the dead-letter stream is full, old ones go: length, cap
upkeep.failed             one round of upkeep failed: step, error
settings.misspelt         a variable is nearly a setting's name: hint
========================  ======================================================================

Events are past facts with fields, one JSON object a line. Never a prompt, a header, a cookie or a secret.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal

import structlog

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_logging(*, level: Literal["debug", "info", "warning", "error"], form: Literal["json", "console"]) -> None:
    """Send structlog's events, and the libraries' own logs, to standard error. Once a process, before the first log."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # The libraries' own chatter only when it warns; arq's lines tell what our events tell.
    logging.basicConfig(level=max(LEVELS[level], logging.WARNING), stream=sys.stderr, force=True)
