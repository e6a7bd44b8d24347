"""The memories with real processes: a conversation across a crash, three months of history, a shuffled page."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import Changes, QueryResult, ScanResult
from producer.keys import Keys
from tests.support.command_line import run_sightline
from tests.support.queue import settings_for, until
from tests.support.redis_server import StartServer
from tests.support.scan_worker import StartScanWorker, environment_for, need_browser, start_scan_worker
from tests.support.seeded_history import DAY_MS, Nights, page
from tests.support.small_site import SmallSite
from worker.agent.conversation.state import parse_turns
from worker.limits.conversation_hold import thread_tag
from worker.memory.checkpoints import conversation_saver
from worker.memory.history.history import History
from worker.memory.vectors.embeddings import Embeddings
from worker.models.builtin.models import BuiltinEmbedder

WAIT_S = 60
TURNS = 20
THREAD = "Audit: {5}, a|b"


async def seeded(redis: Redis, keys: Keys, *, nights: int) -> Nights:
    """Nightly scans up to yesterday: the checkout got worse, the help better, and the news stayed as they were."""
    await History(Embeddings(redis, keys, BuiltinEmbedder())).ensure_index()
    past = Nights(redis, keys, first_ms=round(time.time() * 1000) - nights * DAY_MS)
    shop = "https://shop.example"
    for night in range(nights):
        late = night > nights // 2
        past.scan(night, page(f"{shop}/cart", "checkout", critical=3 if late else 1, title="Cart"))
        past.scan(night, page(f"{shop}/pay", "checkout", critical=1, title="Pay"))
        past.scan(night, page(f"{shop}/faq", "help", critical=0 if late else 2, title="FAQ"))
        past.scan(night, page(f"{shop}/news", "news", minor=2, title="News"))
    await past.commit()
    return past


async def ttls(redis: Redis, keys: Keys) -> dict[bytes, int]:
    """Return the TTLs of all keys of conversations and answers."""
    patterns = (f"{keys.prefix}checkpoint*", f"write_keys_zset:{keys.environment}:*", f"{keys.prefix}thread:*")
    names = [name for pattern in patterns for name in await redis.keys(pattern)]
    return {name: await redis.ttl(name) for name in names}


async def test_a_conversation_of_twenty_turns_outlives_all_workers_and_redis(
    redis_server: StartServer, children: list[subprocess.Popen[bytes]], tmp_path: Path, keys: Keys
):
    need_browser()
    server = redis_server()
    questions = ["Which page has the worst barriers?", *["What is wrong with that page?"] * (TURNS - 1)]
    results: list[QueryResult] = []
    async with Redis.from_url(server.url, protocol=2) as redis:
        await seeded(redis, keys, nights=3)

    for half in (questions[: TURNS // 2], questions[TURNS // 2 :]):
        worker = start_scan_worker(children, tmp_path / "workers.log", server.url, keys)
        async with Client(settings_for(server.url, keys)) as client:
            for question in half:
                job = await client.submit("query", {"question": question, "thread_id": THREAD})
                result = await client.wait(job.job_id, timeout_s=WAIT_S)
                assert isinstance(result, QueryResult)
                results.append(result)
        worker.kill()
        worker.wait()
        server.kill()
        await asyncio.to_thread(server.start)

    async with Redis.from_url(server.url, protocol=2) as redis:
        saver = await conversation_saver(redis, keys, ttl_s=600)
        config: Any = {"configurable": {"thread_id": f"{keys.environment}:talk:{thread_tag(THREAD)}"}}
        kept = await saver.aget_tuple(config)
        left = await ttls(redis, keys)
    assert kept is not None
    assert [turn.question for turn in parse_turns(kept.checkpoint["channel_values"]["turns"])] == questions
    # Whatever "that page" is, only the conversation knows.
    assert {(one.sources, "image-alt" in one.answer) for one in results[1:]} == {((results[0].sources[0],), True)}
    assert left
    assert all(0 < ttl_s <= 7 * 86_400 for ttl_s in left.values()), left


async def test_three_months_of_history_tell_which_groups_got_worse(
    start_worker: StartScanWorker, redis: Redis, redis_url: str, keys: Keys
):
    past = await seeded(redis, keys, nights=91)
    start_worker()
    since = time.strftime("%Y-%m-%d", time.gmtime(past.at(20) / 1000))
    question = f"Which groups got worse since {since}?"

    asked, trend = [
        await asyncio.to_thread(call, redis_url, keys, *arguments)
        for arguments in (
            ("ask", question, "--wait", "--json", "--timeout", "50"),
            ("history", "--trend", "--since", since, "--json"),
        )
    ]

    (answer,) = asked
    assert f"Worse since {since}" in answer["answer"]
    assert "\u201ccheckout\u201d (2 new, 0 fixed) [scan cart-46]" in answer["answer"]
    assert "Better: \u201chelp\u201d (0 new, 2 fixed) [scan faq-46]" in answer["answer"]
    assert "news" not in answer["answer"]
    assert answer["sources"] == ["cart-46", "faq-46"]
    verdicts = {one["group"]: one["verdict"] for one in trend}
    assert verdicts == {"checkout": "worse", "help": "better", "news": "same"}
    (changed,) = trend[0]["changed"]
    assert (changed["before"]["scan_id"], changed["after"]["scan_id"]) == ("cart-0", "cart-46")


def call(url: str, keys: Keys, *arguments: str) -> list[dict[str, Any]]:
    done = run_sightline(environment_for(url, keys), *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


# ---------------------------------------------------------------------------------------------- a shuffled page

CUP = '<figure class="{c}-pic"><img class="{c}" src="/img/cup.png?v={c}" width=20 height=20></figure>'
POT = '<div id="{c}-pot"><img src="/img/pot.png" data-id="{c}" width=20 height=20></div>'
FIELD = '<form action="/find"><input id="q-{c}" class="{c} field" type="text" name="q"></form>'
BUTTON = '<div class="{c} bar"><button type="button" class="{c}-btn" name="menu"></button></div>'
LINK = '<p class="{c}"><a href="/sale"></a></p>'


# Large and apart wherever they stand: axe-core's target-size is about neighbours, and a true change with their order.
STYLE = "<style>a, button, input, img { display: block; min-width: 60px; min-height: 44px; margin: 30px }</style>"


def shop(mark: str, *parts: str, wrap: str = "") -> bytes:
    body = "".join(part.format(c=mark) for part in parts)
    if wrap:
        body = f'<div class="{mark}-wrap" id="{mark}"><div>{body}</div></div>'
    text = (
        f'<!doctype html><html lang="en"><head><title>Shop</title>{STYLE}</head><body class="{mark}-theme">'
        f"<main><h1>Shop</h1>{body}</main></body></html>"
    )
    return text.encode()


@pytest.fixture
async def changes(
    client: Client, start_worker: StartScanWorker, site: SmallSite, keys: Keys
) -> list[tuple[ScanResult, Changes]]:
    """What each scan of one page told: as it is, shuffled, and with one barrier mended and one added."""
    start_worker()
    told: list[tuple[ScanResult, Changes]] = []
    for state in (
        shop("a1b2c3d4e5", CUP, POT, FIELD, BUTTON),
        shop("z9y8x7w6v5", BUTTON, FIELD, POT, CUP, wrap="yes"),
        shop("m5n6o7p8q9", CUP.replace("<img", '<img alt="A cup"'), LINK, BUTTON, POT, FIELD),
    ):
        site.files["/shop"] = state
        job = await client.submit("scan", {"url": f"{site.url}/shop"})
        result = await client.wait(job.job_id, timeout_s=WAIT_S)
        assert isinstance(result, ScanResult)
        told.append((result, result.changes or Changes()))
    await until(partial(is_forgotten, client.redis, keys), what="the finished scans' steps being dropped")
    return told


async def is_forgotten(redis: Redis, keys: Keys) -> bool:
    """Whether no step of a finished scan is kept."""
    return not await redis.keys(f"*{keys.environment}*:scan:*checkpoint*") and not [
        name for name in await redis.keys(f"{keys.prefix}checkpoint*") if b":scan:" in name
    ]


async def test_a_shuffled_page_is_unchanged_and_one_fixed_and_one_added_barrier_are_found(
    changes: list[tuple[ScanResult, Changes]],
):
    (first, _), (shuffled, same), (mended, step) = changes
    barriers = {node.fingerprint: finding.rule for finding in first.findings for node in finding.nodes}
    after = {node.fingerprint: finding.rule for finding in mended.findings for node in finding.nodes}

    assert sorted(barriers.values()) == ["button-name", "image-alt", "image-alt", "label"]
    assert ([after.get(one, one) for one in same.new], same.fixed, same.unchanged) == ([], (), 4)
    # A new state of the page would be a new record: there is none.
    assert shuffled.scan_id == first.scan_id
    assert [after[one] for one in step.new] == ["link-name"]
    assert [barriers[one] for one in step.fixed] == ["image-alt"]
    assert step.unchanged == 3
    assert mended.scan_id != first.scan_id
