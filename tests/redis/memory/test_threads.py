from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from producer.errors import ThreadBusy
from producer.keys import Keys
from producer.redis.scripts import run_script
from tests.support.queue import until
from tests.support.redis_server import StartServer
from worker.limits.conversation_hold import HOLD, LONGEST_WAIT_S, RELEASE, RENEW, Hold, Threads, next_look_s, thread_tag
from worker.queue.outcome import Retried, decide

LEASE_MS = 10_000
SILENCE_MS = 15_000


async def hold(redis: Redis, keys: Keys, job: str, *, submitted: int = 1, holder: str = "") -> str:
    """Run thread_hold.lua; '' for held, else whom it waits for."""
    args = (holder or f"token-{job}", job, submitted, LEASE_MS, SILENCE_MS)
    reply = await run_script(redis, HOLD, [keys.thread("t-a"), keys.job(job)], args)
    return "" if reply[0] == b"held" else reply[1].decode()


async def release(redis: Redis, keys: Keys, token: str) -> bytes:
    return await run_script(redis, RELEASE, [keys.thread("t-a")], [token])


async def renew(redis: Redis, keys: Keys, token: str) -> bytes:
    return await run_script(redis, RENEW, [keys.thread("t-a")], [token, LEASE_MS, SILENCE_MS])


async def fields(redis: Redis, keys: Keys) -> dict[bytes, bytes]:
    return await cast("Awaitable[dict[bytes, bytes]]", redis.hgetall(keys.thread("t-a")))


async def plant(redis: Redis, keys: Keys, values: dict[str, str]) -> None:
    for name, value in values.items():
        await redis.execute_command("HSET", keys.thread("t-a"), name, value)


async def ms_from_now(redis: Redis, ms: int) -> int:
    seconds, micros = await cast("Awaitable[tuple[int, int]]", redis.time())
    return int(seconds) * 1000 + int(micros) // 1000 + ms


async def speak(threads: Threads, job: str, body: Callable[[Hold], Awaitable[None]]) -> None:
    """Hold the conversation while ``body`` runs."""
    async with threads.hold("t-a", job, submitted_ms=1) as held:
        await body(held)


async def for_ever(_: Hold) -> None:
    await asyncio.wait_for(asyncio.Event().wait(), 10)


async def test_one_query_runs_and_the_next_waits_until_it_is_done(redis: Redis, keys: Keys):
    first = await hold(redis, keys, "q1", submitted=1)
    second = await hold(redis, keys, "q2", submitted=2)
    await release(redis, keys, "token-q1")

    assert (first, second) == ("", "q1")
    assert await hold(redis, keys, "q2", submitted=2) == ""


async def test_queries_run_in_the_order_of_submission(redis: Redis, keys: Keys):
    await hold(redis, keys, "q1", submitted=1)
    waiting = [await hold(redis, keys, f"q{n}", submitted=n) for n in (4, 3, 2)]
    await release(redis, keys, "token-q1")

    turns = [await hold(redis, keys, f"q{n}", submitted=n) for n in (4, 3, 2)]

    assert waiting == ["q1"] * 3
    assert turns == ["q2", "q2", ""]


async def test_of_two_submitted_at_once_one_goes_first(redis: Redis, keys: Keys):
    await hold(redis, keys, "q0", submitted=0)
    for job in ("q2", "q1"):
        await hold(redis, keys, job, submitted=5)
    await release(redis, keys, "token-q0")

    assert await hold(redis, keys, "q2", submitted=5) == "q1"
    assert await hold(redis, keys, "q1", submitted=5) == ""


async def test_those_submitted_in_one_millisecond_run_in_the_order_of_their_first_entries(redis: Redis, keys: Keys):
    for job, entry in (("q9", "5-0"), ("q5", "5-2"), ("q7", "5-10"), ("q8", "6-0")):
        await redis.execute_command("HSET", keys.job(job), "entry", entry)
    await hold(redis, keys, "q9", submitted=5)
    waiting = [("q7", 5), ("q8", 6), ("q5", 5)]
    for job, submitted in waiting:
        await hold(redis, keys, job, submitted=submitted)
        await redis.execute_command("HSET", keys.job(job), "entry", f"{100 - submitted}-0")  # a retry
    await release(redis, keys, "token-q9")

    order: list[str] = []
    while waiting:
        for job, submitted in list(waiting):
            if not await hold(redis, keys, job, submitted=submitted):
                order.append(job)
                waiting.remove((job, submitted))
                await release(redis, keys, f"token-{job}")

    assert order == ["q5", "q7", "q8"]


async def test_a_silent_waiter_loses_its_turn_and_is_removed(redis: Redis, keys: Keys):
    await plant(redis, keys, {"w:gone": "1-0:1000", "w:other": "1-0:1000", "w:wrong": "1"})

    assert await hold(redis, keys, "q2", submitted=2) == ""
    assert not [name for name in await fields(redis, keys) if name.startswith(b"w:")]


async def test_a_later_delivery_of_the_same_job_takes_over_from_the_earlier(redis: Redis, keys: Keys):
    await hold(redis, keys, "q1", holder="first")

    assert await hold(redis, keys, "q1", holder="second") == ""
    assert await renew(redis, keys, "first") == b"lost"
    assert await release(redis, keys, "first") == b"lost"
    assert await renew(redis, keys, "second") == b"held"


async def test_an_expired_lease_can_be_taken(redis: Redis, keys: Keys):
    await plant(redis, keys, {"token": "dead", "job": "q1", "until_ms": "1000"})

    assert await hold(redis, keys, "q2", submitted=9) == ""
    assert await renew(redis, keys, "dead") == b"lost"


async def test_a_redis_clock_set_back_leaves_a_conversation_to_nobody_for_longer(redis: Redis, keys: Keys):
    ends = await ms_from_now(redis, 3_600_000)
    await plant(redis, keys, {"token": "dead", "job": "q1", "until_ms": str(ends)})
    busy = await hold(redis, keys, "q2", submitted=9)
    held_until = int((await fields(redis, keys))[b"until_ms"])
    await plant(redis, keys, {"until_ms": "1000", "w:silent": f"1-0:{ends}"})

    first = await hold(redis, keys, "q2", submitted=9)

    heard = int((await fields(redis, keys))[b"w:silent"].partition(b":")[2])
    assert (busy, first) == ("q1", "silent")
    assert max(held_until - LEASE_MS, heard) <= await ms_from_now(redis, 0)


async def test_every_key_of_a_conversations_turns_expires(redis: Redis, keys: Keys):
    await hold(redis, keys, "q1")
    await hold(redis, keys, "q2", submitted=2)
    await release(redis, keys, "token-q1")

    assert 0 < await redis.pttl(keys.thread("t-a")) <= LEASE_MS + SILENCE_MS


async def test_a_query_that_waited_and_has_ended_delays_no_other(redis: Redis, keys: Keys):
    await hold(redis, keys, "q1")
    await hold(redis, keys, "q2", submitted=2)
    await release(redis, keys, "token-q1")
    assert await hold(redis, keys, "q2", submitted=2) == ""
    await release(redis, keys, "token-q2")

    assert await hold(redis, keys, "q3", submitted=3) == ""


async def test_a_renewed_conversation_s_key_outlives_its_lease(redis: Redis, keys: Keys):
    await hold(redis, keys, "q1")
    await redis.pexpire(keys.thread("t-a"), 5_000)

    assert await renew(redis, keys, "token-q1") == b"held"

    assert LEASE_MS < await redis.pttl(keys.thread("t-a")) <= LEASE_MS + SILENCE_MS


@pytest.mark.parametrize("script", [HOLD, RENEW, RELEASE])
async def test_a_key_of_another_type_is_refused_and_left_alone(redis: Redis, keys: Keys, script: object):
    await redis.set(keys.thread("t-a"), "somebody else's")

    with pytest.raises(ResponseError, match="WRONGKEY"):
        await run_script(redis, script, [keys.thread("t-a")], ["token", "q1", 1, 1000, 1000])  # pyright: ignore[reportArgumentType]  parametrised

    assert await redis.get(keys.thread("t-a")) == b"somebody else's"


# ---------------------------------------------------------------------------------------------- holding


async def test_the_hold_lasts_as_long_as_the_body_and_is_given_back(redis: Redis, keys: Keys):
    threads = Threads(redis, keys, lease_s=2.0)  # renewed every half second

    async def body(held: Hold) -> None:
        begun = int((await fields(redis, keys))[b"until_ms"])

        async def is_renewed() -> bool:
            return int((await fields(redis, keys))[b"until_ms"]) > begun + 900

        await until(is_renewed, what="a second renewal")
        held.check()
        with pytest.raises(ThreadBusy, match="question 'q1' of the conversation"):
            await speak(threads, "q2", for_ever)

    await speak(threads, "q1", body)

    assert await hold(redis, keys, "q2", submitted=2) == ""


async def test_a_body_that_fails_gives_the_conversation_back(redis: Redis, keys: Keys):
    async def fail(_: Hold) -> None:
        msg = "the body's own"
        raise TimeoutError(msg)

    with pytest.raises(TimeoutError, match="the body's own"):
        await speak(Threads(redis, keys), "q1", fail)

    assert await hold(redis, keys, "q2") == ""


async def test_a_hold_that_is_taken_over_stops_the_body(redis: Redis, keys: Keys):
    stopped = asyncio.Event()

    async def body(held: Hold) -> None:
        await hold(redis, keys, "q1", holder="later")
        try:
            await for_ever(held)
        finally:
            with pytest.raises(ThreadBusy):
                held.check()
            stopped.set()

    with pytest.raises(ThreadBusy, match="lease expired"):
        await speak(Threads(redis, keys, lease_s=0.4), "q1", body)

    assert stopped.is_set()
    assert (await fields(redis, keys))[b"token"] == b"later"


async def test_without_redis_the_hold_ends_when_its_lease_does_there(redis_server: StartServer):
    server, keys = redis_server(), Keys("gone")
    loop = asyncio.get_running_loop()
    killed: list[float] = []

    async def body(held: Hold) -> None:
        server.kill()
        killed.append(loop.time())
        await for_ever(held)

    async with Redis.from_url(server.url, protocol=2) as client:
        with pytest.raises(ThreadBusy, match="lease expired"):
            await speak(Threads(client, keys, lease_s=0.6), "q1", body)

    assert loop.time() - killed[0] < 6.0


async def test_a_cancelled_job_is_cancelled_and_its_conversation_free(redis: Redis, keys: Keys):
    inside = asyncio.Event()

    async def body(held: Hold) -> None:
        inside.set()
        await for_ever(held)

    task = asyncio.create_task(speak(Threads(redis, keys), "q1", body))
    await asyncio.wait_for(inside.wait(), 10)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert await hold(redis, keys, "q2") == ""


async def test_of_ten_concurrent_queries_one_runs(redis: Redis, keys: Keys):
    spoke: list[str] = []
    refused: list[str] = []
    all_refused = asyncio.Event()

    async def body(_: Hold) -> None:
        await asyncio.wait_for(all_refused.wait(), 10)

    async def ask(job: str) -> None:
        try:
            await speak(Threads(redis, keys), job, body)
        except ThreadBusy:
            refused.append(job)
            if len(refused) == 9:
                all_refused.set()
        else:
            spoke.append(job)

    await asyncio.gather(*(ask(f"q{number}") for number in range(10)))

    assert (len(spoke), len(refused)) == (1, 9)


# ---------------------------------------------------------------------------------------------- names and waits


@given(st.lists(st.text(max_size=40), min_size=2, max_size=5, unique=True))
def test_no_two_conversations_share_a_name_and_none_holds_a_mark(ids: list[str]):
    tags = [thread_tag(one) for one in ids]

    assert len(set(tags)) == len(ids)
    assert not set("".join(tags)) - set("abcdefghijklmnopqrstuvwxyz0123456789._-")


@pytest.mark.parametrize(("one", "other"), [("a", "A"), ("a,b", "a|b"), ("x", "h-x"), ("t-x", "x"), ("a:b", "a b")])
def test_ids_that_look_alike_are_told_apart(one: str, other: str):
    assert thread_tag(one) != thread_tag(other)


def test_a_waiter_looks_soon_at_first_and_seldom_later():
    assert [next_look_s(waited_s) for waited_s in (0, 5, 20, 1e6)] == [0.5, 0.5, 2.0, LONGEST_WAIT_S]


def test_waiting_for_a_conversation_costs_no_attempt():
    outcome = decide(ThreadBusy("busy", delay_s=2.0), attempt=3, tries=3, random=lambda: 0.5)

    assert isinstance(outcome, Retried)
    assert (outcome.delay_s, outcome.attempt_returned) == (2.0, True)
