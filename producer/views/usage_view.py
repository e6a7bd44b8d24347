"""Sums of model usage over days (``usage:<day>``), and the cloud's price for the same number of tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, cast

from producer.client.client import Client
from producer.redis.connection import redis_errors
from producer.views.board import ModelUse, models_of

MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Prices:
    """The cloud's prices per million tokens, in any currency; both 0 if not set."""

    prompt: float
    output: float

    @property
    def are_known(self) -> bool:
        """Whether prices are set."""
        return bool(self.prompt or self.output)

    def of(self, use: ModelUse) -> float | None:
        """Return the cloud's price for the tokens of ``use``; None for embeddings and without prices."""
        if use.kind == "embed" or not self.are_known:
            return None
        return (use.prompt_tokens * self.prompt + use.output_tokens * self.output) / MILLION


@dataclass(frozen=True, slots=True)
class UsageView:
    """The sums by model from ``first`` to ``last`` (UTC), inclusive."""

    first: date
    last: date
    models: tuple[ModelUse, ...]


async def read_usage(client: Client, *, days: int) -> UsageView:
    """Sum the last ``days`` days, including today, by Redis's clock; raises ``RedisUnreachable``."""
    with redis_errors(client.settings, None):
        seconds, _ = cast("tuple[int, int]", await client.redis.time())
        last = datetime.fromtimestamp(seconds, tz=UTC).date()
        first = last - timedelta(days=days - 1)
        async with client.redis.pipeline(transaction=False) as pipe:
            for number in range(days):
                pipe.hgetall(client.keys.usage((first + timedelta(days=number)).isoformat()))
            found: Sequence[dict[bytes, bytes]] = await pipe.execute()
    sums = Counter[str]()
    for fields in found:
        sums.update({name.decode(): int(value) for name, value in fields.items()})
    return UsageView(first, last, models_of(sums))
