"""The errors that Sightline raises, as one tree, with the exit code of each on the command line.

    SightlineError
    ├── InputError                  64  the caller's input cannot be used
    │   ├── SettingsError               a setting is missing, malformed or contradicts another
    │   ├── InvalidJob                  a payload does not match its kind
    │   │   └── BatchClosed                 the batch is sealed and takes no more jobs
    │   ├── JobTooLarge                 a payload over MAX_PAYLOAD_BYTES
    │   └── UnknownJob                  no job or batch with that id
    ├── ServiceError                 3  the service cannot answer now; the same call may work later
    │   ├── RedisUnreachable            nothing answers at REDIS_URL
    │   │   └── Unconfirmed                 Redis did not reply: the command may have taken effect
    │   ├── RedisUnsuitable             it answers, but lacks search or permissions, or is misconfigured
    │   ├── QueueFull                   the backlog or the memory limit is reached; nothing was written
    │   ├── NotDurable                  the job is queued, but not confirmed to be on disk
    │   ├── IndexMoved                  a reindex ended during a search; a repeated search uses the new index
    │   ├── WaitTimeout                 no result within the time given; the job continues
    │   └── DependencyMissing           a required program or package is not installed
    ├── ResultExpired                4  the job has ended and its result is no longer kept
    ├── JobFailed                    2  the job ended without a result
    │   ├── JobDead                     every attempt failed; it is on the dead-letter stream
    │   └── JobCancelled                the job was cancelled
    └── RunError                     2  one run failed inside a worker
        ├── PageUnreachable             the page could not be loaded, or not completely
        ├── ScanFailed                  the browser or axe-core failed; worth another attempt
        └── ModelError                  a model call failed; worth another attempt, except for the last four
            ├── ModelUnreachable            no host of the model server answers
            ├── ModelBusy                   the model server is overloaded, or the GPU was not free in time
            ├── ModelTimeout                no complete answer within the deadline
            ├── SlotLost                    the GPU slot was lost during the call; its answer is void
            ├── AnswerIncomplete            the answer broke off or violates the protocol
            ├── AnswerTruncated             the answer reached its length limit
            ├── ContextExceeded             the prompt does not fit the model's context
            ├── ModelMissing                the model is not on the host; the message says how to install it
            └── ModelRefused                the model server rejects the request

    Busy                                not a failure: the job waits, and no attempt is used
    ├── ThreadBusy                      another question of the conversation is running
    ├── HostBusy                        other scans hold all slots of the page's host
    └── Paused                          its lane, batch, host or site is paused

A message names the thing with ``!r`` and says what was expected and what to do next. No message contains a secret: URLs
are shown without their user info.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar, Final


class SightlineError(Exception):
    """Base of all errors that Sightline raises on purpose."""

    exit_code: ClassVar[int] = 70
    retryable: bool = False


class InputError(SightlineError):
    """The caller's input cannot be used; the message says what was expected."""

    exit_code = 64


class SettingsError(InputError):
    """A setting is malformed or contradicts another."""


class InvalidJob(InputError):
    """A payload does not match its kind."""


class BatchClosed(InvalidJob):
    """The batch is sealed and takes no more jobs."""


class JobTooLarge(InputError):
    """A payload exceeds the contract's limit."""


class UnknownJob(InputError):
    """There is no job or batch with that id; ids are kept for 7 days after the end."""


class ServiceError(SightlineError):
    """The service cannot answer now; the same call may work later."""

    exit_code = 3
    retryable = True


class RedisUnreachable(ServiceError):
    """Nothing answers at REDIS_URL."""


class Unconfirmed(RedisUnreachable):
    """Redis did not reply to a command; the message says what may have happened and how to find out."""


class RedisUnsuitable(ServiceError):
    """Redis answers, but cannot serve Sightline as it is."""

    retryable = False


class QueueFull(ServiceError):
    """The backlog limit or the memory limit is reached; nothing was written."""


class NotDurable(ServiceError):
    """The job is queued, but Redis did not confirm that it is on disk."""


class IndexMoved(ServiceError):
    """A reindex ended during a search: a repeated search uses the new index."""


class WaitTimeout(ServiceError):
    """No result arrived within the time given; the job continues."""


class DependencyMissing(ServiceError):
    """A program or package that is needed is not installed."""

    retryable = False


class ResultExpired(SightlineError):
    """The job has ended, and its result is no longer kept."""

    exit_code = 4


class JobFailed(SightlineError):
    """The job ended without a result."""

    exit_code = 2


class JobDead(JobFailed):
    """Every attempt failed; the job is on the dead-letter stream."""


class JobCancelled(JobFailed):
    """The job was cancelled."""


class RunError(SightlineError):
    """One run failed inside a worker."""

    exit_code = 2


class PageUnreachable(RunError):
    """The page could not be loaded, or not completely; ``http_status`` is set if the server sent one."""

    def __init__(self, message: str, *, http_status: int | None = None) -> None:
        super().__init__(message)
        self.http_status = http_status


class ScanFailed(RunError):
    """The browser or axe-core failed; another attempt may succeed."""

    retryable = True


class ModelError(RunError):
    """A model call failed."""

    retryable = True

    spent: Any = None
    """The cost of the failed calls, a ``Usage``; None if nothing was called."""


class ModelUnreachable(ModelError):
    """No host of the model server answers."""


class ModelBusy(ModelError):
    """The model server is overloaded, or the GPU was not free in time."""


class ModelTimeout(ModelError):
    """No complete answer arrived within the deadline."""


class SlotLost(ModelError):
    """The GPU slot was lost during the call; its answer is void."""


class AnswerIncomplete(ModelError):
    """The answer broke off or violates the protocol."""


class AnswerTruncated(ModelError):
    """The answer reached its length limit; the same call would end the same way. ``text`` is the part received."""

    retryable = False

    def __init__(self, message: str = "", *, text: str = "") -> None:
        super().__init__(message)
        self.text = text


class ContextExceeded(ModelError):
    """The prompt does not fit the model's context."""

    retryable = False


class ModelMissing(ModelError):
    """The model is not on the host; the message has the command to install it."""

    retryable = False


class ModelRefused(ModelError):
    """The model server rejects the request."""

    retryable = False


PAUSED_AGAIN_S: Final = 600.0
"""Seconds after which a paused job checks again, in case the resuming process was killed before it woke all jobs."""


class Busy(Exception):
    """A resource that the job needs is in use: the job runs again in ``delay_s``. Never shown to a caller."""

    def __init__(self, message: str, *, delay_s: float) -> None:
        super().__init__(message)
        self.delay_s = delay_s


class ThreadBusy(Busy):
    """Another question of the conversation is running."""


class HostBusy(Busy):
    """Other scans hold all slots of the page's host."""


class Paused(Busy):
    """Something that the job belongs to is paused: it waits for the resume. ``control`` is its name in ``controls``."""

    def __init__(self, control: str) -> None:
        kind, _, name = control.partition(":")
        super().__init__(f"{kind} {name!r} is paused: sightline resume {kind} {name}", delay_s=PAUSED_AGAIN_S)
        self.control = control


def os_reason(error: OSError) -> str:
    """Return the system's message, without its number and the addresses tried: ``Connection refused``."""
    if (error.strerror or "").startswith("No usable temporary directory"):  # tempfile's own, with ENOENT
        return "no folder for temporary files is writable"
    is_of_the_system = type(error).__module__ == "builtins"  # errors of ssl and socket have their own numbers
    if is_of_the_system and error.errno:
        return os.strerror(error.errno)
    return error.strerror or " ".join(str(error).split()) or type(error).__name__
