"""Explanations of barriers in Redis, each asked for once: ``explanation:<digest>`` is its JSON, or who asks for it.

A caller leases what nobody has explained, asks a model, and keeps the answers; others wait for them. The lease is short
and renewed, so that a caller that was killed holds nobody up. Two that ask for the same after all (one was frozen)
answer the same question: the first answer stays. An explanation lives ``TTL_S`` from its last use on.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from pydantic import ValidationError
from redis.asyncio import Redis

from producer.contract.message import Part
from producer.keys import Keys
from producer.redis.lease import kept
from producer.redis.scripts import as_text, load_script, run_script

TAKE: Final = load_script("worker.agent.assessment", "explain_take")
KEEP: Final = load_script("worker.agent.assessment", "explain_keep")
RENEW: Final = load_script("worker.agent.assessment", "explain_renew")

TTL_S: Final = 60 * 86_400
"""From the last use on: a barrier that no night has met for two months was mended."""
UNEXPLAINED_S: Final = 3_600
"""Until a model is asked again about what it did not explain."""
_NOTHING: Final = "{}"
LEASE_S: Final = 10.0
RENEWALS_PER_LEASE: Final = 4


class Explanation(Part):
    """Who is held up by a barrier, why, and the fix, as ``model`` wrote it."""

    who: str = ""
    why: str = ""
    fix: str = ""
    model: str = ""

    @property
    def is_told(self) -> bool:
        """Whether there is one; False for what a model was asked about and did not explain."""
        return bool(self.fix)


UNEXPLAINED: Final = Explanation()
"""What a model was asked about in vain: it is not asked again at once."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Explanations by digest, as far as there are any, and the digests that this caller is to ask for."""

    known: Mapping[str, Explanation]
    mine: tuple[str, ...]


class Explanations(Protocol):
    """What explanations are taken from and kept in."""

    def take(self, digests: Sequence[str], *, most: int) -> AbstractAsyncContextManager[Taken]:
        """Return what is known of ``digests`` and lease the first ``most`` of the rest while the body runs."""
        ...

    async def keep(self, found: Mapping[str, Explanation]) -> None:
        """Keep explanations by digest. Safe to call twice."""
        ...


@dataclass(frozen=True)
class SharedExplanations:
    """The explanations of one environment."""

    redis: Redis
    keys: Keys
    lease_s: float = LEASE_S

    @asynccontextmanager
    async def take(self, digests: Sequence[str], *, most: int) -> AsyncGenerator[Taken]:
        """Return what is known of ``digests`` and lease the first ``most`` of the rest while the body runs."""
        token, lease_ms = secrets.token_hex(8), round(self.lease_s * 1000)
        told = await run_script(self.redis, TAKE, self._keys(digests), (token, lease_ms, TTL_S, most))
        texts = dict(zip(digests, map(as_text, told), strict=True))
        mine = tuple(digest for digest, text in texts.items() if text == "yours")
        known = {digest: found for digest, text in texts.items() if (found := _parsed(text)) is not None}
        if not mine:
            yield Taken(known, ())
            return
        renew = partial(self._lease, mine, token, lease_ms)
        release = partial(self._lease, mine, token, 0)
        async with kept(renew, every_s=self.lease_s / RENEWALS_PER_LEASE, release=release):
            yield Taken(known, mine)

    async def keep(self, found: Mapping[str, Explanation]) -> None:
        """Keep explanations by digest. Safe to call twice."""
        if found:
            texts = [one.model_dump_json() if one.is_told else _NOTHING for one in found.values()]
            await run_script(self.redis, KEEP, self._keys(found), (TTL_S, UNEXPLAINED_S, *texts))

    async def _lease(self, digests: Sequence[str], token: str, lease_ms: int) -> None:
        await run_script(self.redis, RENEW, self._keys(digests), (token, lease_ms))

    def _keys(self, digests: Iterable[str]) -> list[str]:
        return [self.keys.explanation(digest) for digest in digests]


@dataclass(frozen=True)
class OwnExplanations:
    """Explanations in memory, of one caller: nobody else asks. For evaluation, where each page is asked about."""

    known: dict[str, Explanation] = field(default_factory=dict[str, Explanation])

    @asynccontextmanager
    async def take(self, digests: Sequence[str], *, most: int) -> AsyncGenerator[Taken]:
        """Return what is known of ``digests``, and the first ``most`` of the rest."""
        lacking = tuple(digest for digest in digests if digest not in self.known)
        yield Taken({digest: self.known[digest] for digest in digests if digest in self.known}, lacking[:most])

    async def keep(self, found: Mapping[str, Explanation]) -> None:
        """Keep explanations by digest."""
        self.known.update(found)


def _parsed(text: str) -> Explanation | None:
    """Return the explanation in ``text``; None for none, and for another program's."""
    if not text.startswith("{"):
        return None
    try:
        return Explanation.model_validate_json(text)
    except ValidationError:
        return UNEXPLAINED
