"""The errors Sightline raises, as one tree, and the exit code each has on the command line.

::

    SightlineError
    ├── InputError                  64  the caller asked for something that cannot be done as asked
    │   ├── SettingsError               a setting is missing, malformed or contradicts another
    │   ├── InvalidJob                  a payload does not fit its kind
    │   ├── JobTooLarge                 a payload over MAX_PAYLOAD_BYTES
    │   └── UnknownJob                  no job (or batch) of that id
    ├── ServiceError                 3  the service cannot do it now; the same call may work later
    │   ├── RedisUnreachable            nothing answers at REDIS_URL
    │   │   └── Unconfirmed                 Redis was asked and did not reply: it may have done it
    │   ├── RedisUnsuitable             it answers, but lacks search, or rights, or is misconfigured
    │   ├── QueueFull                   the backlog or the memory limit is reached; nothing was written
    │   ├── NotDurable                  the acknowledgement asked for cannot be given; the job is queued
    │   ├── IndexMoved                  a reindex ended during a search; the next one goes to the new index
    │   ├── WaitTimeout                 no result within the time given; the job goes on
    │   └── DependencyMissing           a program or package this command needs is not installed
    ├── ResultExpired                4  the job has ended and its result is no longer kept
    ├── JobFailed                    2  the job ended without a result
    │   ├── JobDead                     every attempt failed; it is on the dead-letter stream
    │   └── JobCancelled                somebody cancelled it
    └── RunError                     2  one run went wrong inside a worker
        ├── PageUnreachable             the page could not be loaded or not be read whole
        ├── ScanFailed                  the browser or axe-core failed; worth another attempt
        └── ModelError                  a model call failed; worth another attempt, but for the last four
            ├── ModelUnreachable            no host of the model server answers
            ├── ModelBusy                   the model server is overloaded, or the GPU was not free in time
            ├── ModelTimeout                no whole answer within the deadline
            ├── SlotLost                    the GPU slot was lost during the call; its answer is void
            ├── AnswerIncomplete            the answer broke off, or is not what the protocol says
            ├── AnswerTruncated             the answer ran into its length limit
            ├── ContextExceeded             the prompt does not fit the model's context
            ├── ModelMissing                the model is not on the host; the message says what to type
            └── ModelRefused                the model server calls the request wrong

    Busy                                no failure: what the job needs is another's now; it waits, no attempt spent
    ├── ThreadBusy                      another query speaks in the conversation
    ├── HostBusy                        other scans have all places of the page's host
    └── Paused                          somebody has paused its lane, batch, host or site

A message names the thing with ``!r``, says what was expected, and what to do next. No message holds a
secret: URLs are shown without their user-info part.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar, Final


class SightlineError(Exception):
    """Base of all that Sightline raises on purpose."""

    exit_code: ClassVar[int] = 70
    retryable: bool = False


class InputError(SightlineError):
    """The caller's input cannot be used; the message says what was expected."""

    exit_code = 64


class SettingsError(InputError):
    """A setting is malformed or contradicts another one."""


class InvalidJob(InputError):
    """A payload does not fit its kind."""


class JobTooLarge(InputError):
    """A payload is over the limit of the contract."""


class UnknownJob(InputError):
    """There is no job or batch of that id; ids are kept for 7 days after the end."""


class ServiceError(SightlineError):
    """The service cannot answer now; the same call may work later."""

    exit_code = 3
    retryable = True


class RedisUnreachable(ServiceError):
    """Nothing answers at REDIS_URL."""


class Unconfirmed(RedisUnreachable):
    """Redis was asked and its reply is missing; the message says what may have happened and how to make sure."""


class RedisUnsuitable(ServiceError):
    """Redis answers, but cannot serve Sightline as it is."""

    retryable = False


class QueueFull(ServiceError):
    """The backlog limit or the memory limit is reached; nothing was written."""


class NotDurable(ServiceError):
    """The job is queued, but Redis did not confirm that it is on disk."""


class IndexMoved(ServiceError):
    """A reindex ended during a search: the same search goes to the new index."""


class WaitTimeout(ServiceError):
    """No result came within the time given; the job goes on."""


class DependencyMissing(ServiceError):
    """A program or package that is needed is not installed."""

    retryable = False


class ResultExpired(SightlineError):
    """The job has ended, and its result is no longer kept: nobody can say what it was."""

    exit_code = 4


class JobFailed(SightlineError):
    """The job ended without a result."""

    exit_code = 2


class JobDead(JobFailed):
    """Every attempt failed; the job is on the dead-letter stream."""


class JobCancelled(JobFailed):
    """Somebody cancelled the job."""


class RunError(SightlineError):
    """One run went wrong inside a worker."""

    exit_code = 2


class PageUnreachable(RunError):
    """The page could not be loaded, or could not be read whole; ``http_status`` where the server answered with one."""

    def __init__(self, message: str, *, http_status: int | None = None) -> None:
        super().__init__(message)
        self.http_status = http_status


class ScanFailed(RunError):
    """The browser or axe-core failed in a way that another attempt may not."""

    retryable = True


class ModelError(RunError):
    """A model call failed."""

    retryable = True

    spent: Any = None
    """What the failed calls cost, a ``Usage``; None where nothing was called."""


class ModelUnreachable(ModelError):
    """No host of the model server answers."""


class ModelBusy(ModelError):
    """The model server is overloaded, or the GPU was not free in time."""


class ModelTimeout(ModelError):
    """No whole answer came within the deadline."""


class SlotLost(ModelError):
    """The GPU slot was lost during the call; whatever was answered is void."""


class AnswerIncomplete(ModelError):
    """The answer broke off, or is not what the protocol says."""


class AnswerTruncated(ModelError):
    """The answer ran into its length limit; the same call would end the same way. ``text`` is as much as came."""

    retryable = False

    def __init__(self, message: str = "", *, text: str = "") -> None:
        super().__init__(message)
        self.text = text


class ContextExceeded(ModelError):
    """The prompt does not fit the model's context."""

    retryable = False


class ModelMissing(ModelError):
    """The model is not on the host; the message says what to type."""

    retryable = False


class ModelRefused(ModelError):
    """The model server calls the request wrong."""

    retryable = False


PAUSED_AGAIN_S: Final = 600.0
"""A job of something paused looks again after it, should the one who resumed it be killed before all were woken."""


class Busy(Exception):
    """What the job needs is another's now: it looks again in ``delay_s``. Never shown to a caller."""

    def __init__(self, message: str, *, delay_s: float) -> None:
        super().__init__(message)
        self.delay_s = delay_s


class ThreadBusy(Busy):
    """Another query speaks in the conversation."""


class HostBusy(Busy):
    """Other scans have all places of the page's host."""


class Paused(Busy):
    """Somebody has paused what the job needs: it waits until that is resumed. ``control`` names it in ``controls``."""

    def __init__(self, control: str) -> None:
        kind, _, name = control.partition(":")
        super().__init__(f"{kind} {name!r} is paused: sightline resume {kind} {name}", delay_s=PAUSED_AGAIN_S)
        self.control = control


def os_reason(error: OSError) -> str:
    """Return what the system calls it, without its number and the addresses it tried: ``Connection refused``."""
    if (error.strerror or "").startswith("No usable temporary directory"):  # tempfile's own, with ENOENT
        return "no folder for temporary files can be written"
    is_of_the_system = type(error).__module__ == "builtins"  # ssl's and socket's have numbers of their own
    if is_of_the_system and error.errno:
        return os.strerror(error.errno)
    return error.strerror or " ".join(str(error).split()) or type(error).__name__
