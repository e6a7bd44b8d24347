"""Keys that should have a TTL but do not: only a sample, to spare a large Redis."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from redis.asyncio import Redis

from producer.contract import JobState
from producer.keys import Keys
from producer.reports.plain_text import counted
from worker.doctor.line import Line, ok, warning
from worker.memory.vectors.indexes import as_text

CALLS: Final = 400
"""Maximum SCAN calls, of ``COUNT`` slots each: a second or two, during which Redis serves others."""
COUNT: Final = 1_000
_MORTAL: Final = re.compile(r"(job|result|secret|audit|shot|thread|worker):|(checkpoint)|(cache):.*:answers:")
_FINAL: Final = frozenset(state.value for state in JobState if state.is_final)


@dataclass(slots=True)
class Sample:
    """The number of keys examined, and by kind those without an expiry."""

    is_whole: bool = False
    seen: int = 0
    lasting: Counter[str] = field(default_factory=Counter[str])
    examples: dict[str, str] = field(default_factory=dict[str, str])


def kind_of(keys: Keys, name: str) -> str:
    """Return the kind of a key that should have a TTL; '' for permanent and foreign keys."""
    if name.startswith(f"write_keys_zset:{keys.environment}:"):
        return "checkpoint"
    match = _MORTAL.match(name.removeprefix(keys.prefix)) if name.startswith(keys.prefix) else None
    return next((kind for kind in match.groups() if kind), "") if match else ""


async def take_sample(redis: Redis, keys: Keys, *, calls: int = CALLS) -> Sample:
    """Examine the keys returned by at most ``calls`` SCAN calls."""
    sample, cursor = Sample(), 0
    for _ in range(calls):
        cursor, names = await redis.scan(cursor, count=COUNT)
        mortal = [(kind, as_text(name)) for name in names if (kind := kind_of(keys, as_text(name)))]
        await _look(redis, mortal, sample)
        if int(cursor) == 0:
            sample.is_whole = True
            break
    return sample


async def _look(redis: Redis, mortal: Sequence[tuple[str, str]], sample: Sample) -> None:
    async with redis.pipeline(transaction=False) as pipe:
        for kind, name in mortal:
            pipe.ttl(name)
            if kind == "job":
                pipe.hget(name, "state")
        replies: list[Any] = await pipe.execute(raise_on_error=False) if mortal else []
    answers = iter(replies)
    for kind, name in mortal:
        ttl_s = next(answers)
        has_ended = kind != "job" or as_text(next(answers)) in _FINAL
        sample.seen += 1
        # -2: the key has expired meanwhile.
        if ttl_s == -1 and has_ended:
            sample.lasting[kind] += 1
            sample.examples.setdefault(kind, name)


def lifetime_line(sample: Sample) -> Line:
    """Return the line of the sample."""
    part = "" if sample.is_whole else " (a sample)"
    about = f"examined {counted(sample.seen, 'key')} that should expire{part}"
    if not sample.lasting:
        return ok("lifetimes", f"{about}: each has a TTL")
    kinds = ", ".join(f"{number:,} of {kind}" for kind, number in sorted(sample.lasting.items()))
    name = next(iter(sample.examples.values()))
    todo = f"a restore or another program removed the TTLs; for each key, such as {name!r}: redis-cli EXPIRE KEY 604800"
    return warning("lifetimes", f"{about}: {kinds} have no TTL", todo)
