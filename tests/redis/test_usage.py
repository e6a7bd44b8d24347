"""``sightline usage``: sums over days as written by workers, with the configured prices only."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime

import pytest
from redis.asyncio import Redis
from rich.console import Console

from producer.cli.usage import print_usage
from producer.client.client import Client
from producer.contract import Usage
from producer.keys import Keys
from producer.settings import DAY_S
from producer.views.board import ModelUse
from producer.views.usage_view import Prices, read_usage
from tests.support.command_line import Call
from worker.models.usage import UsageLedger

DAY_MS = 86_400_000
LOCAL = Usage(prompt_tokens=1_000_000, output_tokens=100_000, calls=1, gpu_wait_ms=500, gpu_ms=90_000)
CLOUD = Usage(prompt_tokens=10_000, output_tokens=1_000, calls=1)


@pytest.fixture
async def counted(redis: Redis, keys: Keys) -> int:
    """Two local calls, one of them a week ago, a failed one, an embedding and one in the cloud; returns now, ms."""
    ledger = UsageLedger(redis, keys, ttl_s=400 * DAY_S)
    now = int((await redis.time())[0]) * 1000
    for at in (now, now - 7 * DAY_MS):
        await ledger.add(at_ms=at, kind="chat", model="qwen3.5:4b", usage=LOCAL, failed=False)
    await ledger.add(at_ms=now, kind="chat", model="qwen3.5:4b", usage=Usage(gpu_ms=10_000), failed=True)
    await ledger.add(at_ms=now, kind="embed", model="nomic-embed-text", usage=Usage(prompt_tokens=50), failed=False)
    await ledger.add(kind="cloud", model="big-model", usage=CLOUD, failed=False)
    return now


async def test_days_are_summed_by_model_today_s_among_them(counted: int, client: Client):
    week, more = await read_usage(client, days=7), await read_usage(client, days=8)

    assert [(use.kind, use.model) for use in week.models] == [
        ("chat", "qwen3.5:4b"), ("cloud", "big-model"), ("embed", "nomic-embed-text"),
    ]  # fmt: skip
    assert week.models[0] == ModelUse("chat", "qwen3.5:4b", 2, 1, 1_000_000, 100_000, 500, 100_000)
    assert more.models[0].prompt_tokens == 2_000_000
    assert week.last == datetime.fromtimestamp(counted / 1000, tz=UTC).date()


async def test_the_cloud_s_price_stands_beside_what_ran_here(counted: int, call: Call):
    assert counted

    priced = call("usage", "--days", "7", FALLBACK_PRICE_IN="2", FALLBACK_PRICE_OUT="10")
    unpriced = call("usage", "--days", "7")

    told, untold = json.loads(priced.stdout), json.loads(unpriced.stdout)
    assert [one["cloud_price"] for one in told["models"]] == [3.0, 0.03, None]
    assert (told["spent"], told["not_spent"]) == (0.03, 3.0)
    assert [one["cloud_price"] for one in untold["models"]] == [None] * 3
    assert (untold["spent"], untold["not_spent"]) == (None, None)


@pytest.mark.parametrize("days", ["0", "401", "many"])
def test_a_wrong_call_exits_64(call: Call, days: str):
    done = call("usage", "--days", days)

    assert done.returncode == 64
    assert "days" in done.stderr


def test_a_wrong_price_exits_64(call: Call):
    done = call("usage", FALLBACK_PRICE_IN="cheap")

    assert done.returncode == 64
    assert "FALLBACK_PRICE_IN is 'cheap': expected a number" in done.stderr


@pytest.mark.parametrize("width", [80, 120])
async def test_a_person_reads_a_table_and_how_to_see_prices(counted: int, client: Client, width: int):
    assert counted
    view = await read_usage(client, days=1)

    def shown(prices: Prices) -> str:
        out = io.StringIO()
        print_usage(Console(file=out, width=width), view, prices)
        return out.getvalue()

    assert "Spent in the cloud: 0.03. Saved by running locally: 3.00" in " ".join(shown(Prices(2, 10)).split())
    assert "Set FALLBACK_PRICE_IN and FALLBACK_PRICE_OUT" in shown(Prices(0, 0))
    assert re.search(r"qwen3\.5:4b +chat +2 +1 +1,000,000 +100,000 +2 min", shown(Prices(0, 0)))
