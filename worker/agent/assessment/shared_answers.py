"""A model's answers that pages share, each asked for once: ``explanation:<digest>`` is its JSON, or who asks for it.

A caller leases what nobody has asked for, asks a model, and keeps the answers; others wait for them. The lease is short
and renewed, so that a caller that was killed holds nobody up. Two that ask for the same after all (one was frozen)
answer the same question: the first answer stays. An answer lives ``TTL_S`` from its last use on. What is asked:
``explain.py``, ``review.py``.
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

TAKE: Final = load_script("worker.agent.assessment", "explain_take")
KEEP: Final = load_script("worker.agent.assessment", "explain_keep")
RENEW: Final = load_script("worker.agent.assessment", "explain_renew")

TTL_S: Final = 60 * 86_400
"""From the last use on: a barrier that no night has met for two months was mended."""
UNANSWERED_S: Final = 3_600
"""Until a model is asked again about what it did not answer."""
_NOTHING: Final = "{}"
LEASE_S: Final = 10.0
RENEWALS_PER_LEASE: Final = 4
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0
"""Between looks for an answer that another job asks for."""
WAIT_S: Final = 60.0
"""For other jobs' answers; then the job looks again later, and its slot is free meanwhile."""
LATER_S: Final = 10.0


class SharedAnswer(Part):
    """An answer about one component, of ``model``. Without a value it is what a model was asked about in vain."""

    model: str = ""

    @property
    def is_told(self) -> bool:
        """Whether there is an answer; False for what a model was asked about and did not answer."""
        raise NotImplementedError


A = TypeVar("A", bound=SharedAnswer)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Taken(Generic[A]):
    """Answers by digest, as far as there are any, and the digests that this caller, and others, are to ask for."""

    known: Mapping[str, A]
    mine: tuple[str, ...]
    theirs: frozenset[str] = frozenset()


class Answers(Protocol[A]):
    """What answers are taken from and kept in."""

    def take(self, digests: Sequence[str], *, most: int) -> AbstractAsyncContextManager[Taken[A]]:
        """Return what is known of ``digests`` and lease the first ``most`` of the rest while the body runs."""
        ...

    async def keep(self, found: Mapping[str, A]) -> None:
        """Keep answers by digest. Safe to call twice."""
        ...


@dataclass(frozen=True)
class SharedAnswers(Generic[A]):
    """The answers of one environment, of the kind ``form``."""

    redis: Redis
    keys: Keys
    form: type[A]
    lease_s: float = LEASE_S

    @asynccontextmanager
    async def take(self, digests: Sequence[str], *, most: int) -> AsyncGenerator[Taken[A]]:
        """Return what is known of ``digests`` and lease the first ``most`` of the rest while the body runs."""
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
        async with kept(renew, every_s=self.lease_s / RENEWALS_PER_LEASE, release=release):
            yield Taken(known, mine, theirs)

    async def keep(self, found: Mapping[str, A]) -> None:
        """Keep answers by digest. Safe to call twice."""
        if found:
            texts = [one.model_dump_json() if one.is_told else _NOTHING for one in found.values()]
            await run_script(self.redis, KEEP, self._keys(found), (TTL_S, UNANSWERED_S, *texts))

    async def _lease(self, digests: Sequence[str], token: str, lease_ms: int) -> None:
        await run_script(self.redis, RENEW, self._keys(digests), (token, lease_ms))

    def _keys(self, digests: Iterable[str]) -> list[str]:
        return [self.keys.explanation(digest) for digest in digests]

    def _parsed(self, text: str) -> A | None:
        """Return the answer in ``text``; None for none. Another program's is none that can be shown."""
        if not text.startswith("{"):
            return None
        try:
            return self.form.model_validate_json(text)
        except ValidationError:
            return self.form()


@dataclass(frozen=True)
class OwnAnswers(Generic[A]):
    """Answers in memory, of one caller: nobody else asks. For evaluation, where each page is asked about."""

    known: dict[str, A] = field(default_factory=dict[str, A])

    @asynccontextmanager
    async def take(self, digests: Sequence[str], *, most: int) -> AsyncGenerator[Taken[A]]:
        """Return what is known of ``digests``, and the first ``most`` of the rest."""
        lacking = tuple(digest for digest in digests if digest not in self.known)
        yield Taken({digest: self.known[digest] for digest in digests if digest in self.known}, lacking[:most])

    async def keep(self, found: Mapping[str, A]) -> None:
        """Keep answers by digest."""
        self.known.update(found)


@dataclass(slots=True)
class Asked(Generic[A]):
    """What has come of asking so far: answers by digest, calls, and why some are missing.

    ``most`` are asked about at once: no more than an answer has been seen to carry.
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
    """Find answers about ``wanted``: those there are, and what ``ask`` adds to ``done`` about the rest.

    ``ask`` makes one call and returns what needs no further one. Raises ``Busy`` where other jobs ask for what is
    missing, and take long.
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
                raise Busy("other jobs ask a model the same", delay_s=LATER_S)
            await asyncio.sleep(backoff.pause_s())
