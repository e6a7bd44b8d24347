"""A model's answers shared by pages, each requested once: ``explanation:<digest>`` has its JSON, or its requester.

A caller leases unanswered questions, asks a model, and stores the answers; others wait for them. Leases are short and
renewed, so a killed caller does not block others for long. If two callers ask the same question after all (one was
frozen), the first answer is kept. An answer expires ``TTL_S`` after its last use. The questions are in ``explain.py``
and ``review.py``.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Final, Generic, Protocol, TypeVar

from pydantic import ValidationError
from redis.asyncio import Redis

from producer.contract import Usage
from producer.contract.message import Part
from producer.errors import Busy, ModelError
from producer.keys import Keys
from producer.redis.backoff import Backoff
from producer.redis.lease import kept
from producer.redis.scripts import as_text, load_script, run_script
from worker.telemetry import note_failure

TAKE: Final = load_script("worker.agent.assessment", "explain_take")
KEEP: Final = load_script("worker.agent.assessment", "explain_keep")
RENEW: Final = load_script("worker.agent.assessment", "explain_renew")

TTL_S: Final = 60 * 86_400
"""Seconds after the last use: a barrier not seen for two months has been fixed."""
UNANSWERED_S: Final = 3_600
"""Seconds until an unanswered question is asked again."""
_NOTHING: Final = "{}"
LEASE_S: Final = 10.0
RENEWALS_PER_LEASE: Final = 4
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0
"""Seconds between checks for an answer that another job requested."""
WAIT_S: Final = 60.0
"""Seconds to wait for other jobs' answers; then the job is requeued and its slot released."""
LATER_S: Final = 10.0


class SharedAnswer(Part):
    """An answer of ``model`` about one component. Without a value: the model did not answer."""

    model: str = ""

    @property
    def is_told(self) -> bool:
        """Whether the model answered."""
        raise NotImplementedError


A = TypeVar("A", bound=SharedAnswer)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Taken(Generic[A]):
    """Known answers by digest, and the digests to be requested by this caller and by others."""

    known: Mapping[str, A]
    mine: tuple[str, ...]
    theirs: frozenset[str] = frozenset()


class Answers(Protocol[A]):
    """A store of answers."""

    def take(self, digests: Sequence[str], *, most: int) -> AbstractAsyncContextManager[Taken[A]]:
        """Return the known answers of ``digests`` and lease the first ``most`` of the rest while the body runs."""
        ...

    async def keep(self, found: Mapping[str, A]) -> None:
        """Store answers by digest. Safe to call twice."""
        ...


@dataclass(frozen=True)
class SharedAnswers(Generic[A]):
    """The answers of type ``form`` of one environment."""

    redis: Redis
    keys: Keys
    form: type[A]
    lease_s: float = LEASE_S

    @asynccontextmanager
    async def take(self, digests: Sequence[str], *, most: int) -> AsyncGenerator[Taken[A]]:
        """Return the known answers of ``digests`` and lease the first ``most`` of the rest while the body runs."""
        token, lease_ms = secrets.token_hex(8), round(self.lease_s * 1000)
        told = await run_script(self.redis, TAKE, self._keys(digests), (token, lease_ms, TTL_S, most))
        texts = dict(zip(digests, map(as_text, told), strict=True))
        mine = tuple(digest for digest, text in texts.items() if text == "yours")
        theirs = frozenset(digest for digest, text in texts.items() if text == "theirs")
        known = {digest: found for digest, text in texts.items() if (found := self._parsed(text)) is not None}
        if not mine:
            yield Taken(known, (), theirs)
            return
        renew = partial(self._lease, mine, token, lease_ms)
        release = partial(self._lease, mine, token, 0)
        failed = partial(note_failure, "shared-answers")
        async with kept(renew, every_s=self.lease_s / RENEWALS_PER_LEASE, release=release, on_error=failed):
            yield Taken(known, mine, theirs)

    async def keep(self, found: Mapping[str, A]) -> None:
        """Store answers by digest. Safe to call twice."""
        if found:
            texts = [one.model_dump_json() if one.is_told else _NOTHING for one in found.values()]
            await run_script(self.redis, KEEP, self._keys(found), (TTL_S, UNANSWERED_S, *texts))

    async def _lease(self, digests: Sequence[str], token: str, lease_ms: int) -> None:
        await run_script(self.redis, RENEW, self._keys(digests), (token, lease_ms))

    def _keys(self, digests: Iterable[str]) -> list[str]:
        return [self.keys.explanation(digest) for digest in digests]

    def _parsed(self, text: str) -> A | None:
        """Return the answer in ``text``, or None, also for an unreadable one."""
        if not text.startswith("{"):
            return None
        try:
            return self.form.model_validate_json(text)
        except ValidationError:
            return self.form()


@dataclass(frozen=True)
class OwnAnswers(Generic[A]):
    """Answers in memory for a single caller, used by the evaluation."""

    known: dict[str, A] = field(default_factory=dict[str, A])

    @asynccontextmanager
    async def take(self, digests: Sequence[str], *, most: int) -> AsyncGenerator[Taken[A]]:
        """Return the known answers of ``digests``, and the first ``most`` of the rest."""
        lacking = tuple(digest for digest in digests if digest not in self.known)
        yield Taken({digest: self.known[digest] for digest in digests if digest in self.known}, lacking[:most])

    async def keep(self, found: Mapping[str, A]) -> None:
        """Store answers by digest."""
        self.known.update(found)


@dataclass(slots=True)
class Asked(Generic[A]):
    """The state of a series of calls: answers by digest, calls, and reasons for missing answers.

    ``most`` is the number of questions per call, at most as many as fit into an answer so far.
    """

    most: int
    max_calls: int
    found: dict[str, A] = field(default_factory=dict[str, A])
    usage: Usage = field(default_factory=Usage)
    calls: int = 0
    model_reason: str = ""
    reason: str = ""
    failure: ModelError | None = None

    @property
    def goes_on(self) -> bool:
        """Whether another call may be made."""
        return self.calls < self.max_calls and self.failure is None


async def obtain(
    wanted: Mapping[str, T],
    answers: Answers[A],
    done: Asked[A],
    ask: Callable[[Mapping[str, T]], Awaitable[frozenset[str]]],
) -> None:
    """Find answers about ``wanted``: the known ones, and those that ``ask`` adds to ``done``.

    ``ask`` makes one call and returns the settled digests. Raises ``Busy`` if other jobs are asking for the rest and
    take long.
    """
    left = dict(wanted)
    backoff, waits_since = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S), monotonic()
    while left:
        most = done.most if done.goes_on else 0
        async with answers.take(list(left), most=most) as taken:
            done.found |= taken.known
            settled = frozenset[str]()
            if taken.mine:
                settled = await ask({digest: left[digest] for digest in taken.mine})
                await answers.keep({digest: done.found[digest] for digest in settled & done.found.keys()})
                waits_since = monotonic()
                backoff.reset()
        left = {digest: one for digest, one in left.items() if digest not in taken.known and digest not in settled}
        if done.failure is not None:
            return
        if not done.goes_on:
            left = {digest: one for digest, one in left.items() if digest in taken.theirs}
        if left and not taken.mine:
            if monotonic() - waits_since > WAIT_S:
                raise Busy("other jobs are asking a model the same question", delay_s=LATER_S)
            await asyncio.sleep(backoff.pause_s())
