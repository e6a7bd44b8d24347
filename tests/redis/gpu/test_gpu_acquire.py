"""gpu_acquire.lua, alone, on a real Redis: who is served, where, in which order."""

from __future__ import annotations

from redis.asyncio import Redis

from producer.keys import Keys
from tests.support.gpu import GPU1, GPU2, ONE, TWO, ask, expire, holders, listening, set_host
from worker.gpu.hosts import parse_hosts
from worker.gpu.scripts import PoolScripts


async def test_a_free_slot_is_granted_at_once(scripts: PoolScripts, redis: Redis, keys: Keys):
    answer = await scripts.acquire(ask("a"))

    assert (answer.verdict, answer.host) == ("granted", GPU1)
    assert await holders(redis, keys) == {"a": GPU1}


async def test_asking_again_with_the_same_token_changes_nothing(scripts: PoolScripts, redis: Redis, keys: Keys):
    first = await scripts.acquire(ask("a"))
    waiting = await scripts.acquire(ask("b"))

    again, waiting_again = await scripts.acquire(ask("a")), await scripts.acquire(ask("b"))

    assert (again, waiting_again) == (first, waiting)
    assert waiting.verdict == "waiting"
    assert await holders(redis, keys) == {"a": GPU1}


async def test_no_host_has_more_holders_than_slots(scripts: PoolScripts, redis: Redis, keys: Keys):
    hosts = parse_hosts(f"{GPU1}#chat=2,embed=1,{GPU2}#chat=1,embed=0")

    for number in range(6):
        await scripts.acquire(ask(f"c{number}", hosts=hosts))
        await scripts.acquire(ask(f"e{number}", "embed", hosts=hosts))

    taken = list((await holders(redis, keys)).values())
    assert (taken.count(GPU1), taken.count(GPU2)) == (3, 1)


async def test_embeddings_take_a_chat_slot_where_there_are_none_of_their_own(
    scripts: PoolScripts, redis: Redis, keys: Keys
):
    hosts = parse_hosts(f"{GPU1}#embed=0")
    async with listening(redis, keys) as ear:
        await scripts.acquire(ask("holder", hosts=hosts))
        first = await scripts.acquire(ask("embed", "embed", hosts=hosts))
        await scripts.acquire(ask("chat", hosts=hosts))
        await scripts.acquire(ask("embed-2", "embed", hosts=hosts))

        served: list[str] = []
        for token in ("holder", "embed", "chat"):
            await scripts.release(token)
            served.append(await ear.next())

    assert first.verdict == "waiting"
    assert served == ["embed", "chat", "embed-2"]


async def test_a_short_embedding_does_not_wait_behind_a_long_answer(scripts: PoolScripts):
    await scripts.acquire(ask("chat"))

    answer = await scripts.acquire(ask("embed", "embed"))

    assert answer.verdict == "granted"


async def test_the_least_loaded_host_is_chosen(scripts: PoolScripts):
    hosts = parse_hosts(f"{GPU1}#chat=4,{GPU2}#chat=4")

    answers = [await scripts.acquire(ask(f"c{number}", hosts=hosts)) for number in range(4)]

    assert [answer.host for answer in answers] == [GPU1, GPU2, GPU1, GPU2]


async def test_a_call_goes_only_to_hosts_that_it_named(scripts: PoolScripts):
    await scripts.acquire(ask("a", hosts=TWO[:1]))
    await scripts.acquire(ask("other", hosts=TWO[1:]))
    await scripts.release("other")

    answer = await scripts.acquire(ask("b", hosts=TWO[:1]))

    assert answer.verdict == "waiting"


async def test_a_call_that_asks_again_keeps_its_position(scripts: PoolScripts, redis: Redis, keys: Keys):
    async with listening(redis, keys) as ear:
        await scripts.acquire(ask("holder"))
        early = await scripts.acquire(ask("early"))
        await scripts.acquire(ask("late"))
        await scripts.release("early")

        await scripts.acquire(ask("early", seq=early.seq))
        await scripts.release("holder")

        assert await ear.next() == "early"


async def test_while_both_wait_every_fifth_grant_is_batch(scripts: PoolScripts, redis: Redis, keys: Keys):
    async with listening(redis, keys) as ear:
        await scripts.acquire(ask("holder"))
        for number in range(12):
            await scripts.acquire(ask(f"b{number}", priority="batch"))
            await scripts.acquire(ask(f"i{number}", priority="interactive"))

        served = ["holder"]
        for _ in range(15):
            await scripts.release(served[-1])
            served.append(await ear.next())

    assert "".join(token[0] for token in served[1:]) == "iiiibiiiibiiiib"
    assert [token for token in served if token[0] == "i"] == [f"i{number}" for number in range(12)]


async def test_an_interactive_call_overtakes_all_waiting_batch_calls(scripts: PoolScripts, redis: Redis, keys: Keys):
    async with listening(redis, keys) as ear:
        await scripts.acquire(ask("holder"))
        for number in range(200):
            await scripts.acquire(ask(f"b{number}"))

        await scripts.acquire(ask("question", priority="interactive"))
        await scripts.release("holder")

        assert await ear.next() == "question"


async def test_a_waiter_whose_worker_does_not_listen_is_passed_over(scripts: PoolScripts, redis: Redis, keys: Keys):
    async with listening(redis, keys, "alive") as ear:
        await scripts.acquire(ask("holder", worker="alive"))
        await scripts.acquire(ask("ghost", worker="dead"))
        await scripts.acquire(ask("next", worker="alive"))

        await scripts.release("holder")

        assert await ear.next() == "next"


async def test_a_waiter_that_was_silent_for_too_long_is_dropped(scripts: PoolScripts, redis: Redis, keys: Keys):
    async with listening(redis, keys):
        await scripts.acquire(ask("holder"))
        await scripts.acquire(ask("silent"))
        await expire(redis, keys.gpu_waiters, "silent")

        await scripts.release("holder")

        assert await holders(redis, keys) == {}
        assert (await scripts.check(ask("silent"))).verdict == "gone"


async def test_a_call_does_not_wait_for_hosts_that_have_been_down_for_long(
    scripts: PoolScripts, redis: Redis, keys: Keys
):
    await scripts.tend(ONE, ())
    await scripts.report(GPU1, reason="nothing listens")
    waiting = await scripts.acquire(ask("a"))
    await set_host(redis, keys, GPU1, since_ms=1)

    unserved = await scripts.acquire(ask("b"))

    assert (waiting.verdict, unserved.verdict) == ("waiting", "unserved")
    assert (await scripts.check(ask("b"))).verdict == "gone"
