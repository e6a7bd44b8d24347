"""What release 0.1 left in Redis is done, replayed and read by this one: its keys, as they were, written by hand.

Change nothing here: a release that no longer reads these lines loses the jobs that wait while it is rolled out.
``tests/crash/test_rolling_release.py`` replaces living workers, of the commit before.
"""

from __future__ import annotations

from typing import Any, cast

from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import FunctionResult, JobState, QueryResult, ScanResult, decode_result
from producer.keys import Keys
from producer.stored.dead_letters import DeadLetters
from producer.stored.schedules import Schedules
from producer.stored.waivers import Waivers
from tests.support.queue import events_of, running_worker

WAIT_S = 60
COMMON = {"attempt": "0", "fence": "0", "enqueued_ms": "1795587198096", "nonce": "b7fd4b17"}
JOBS: dict[str, dict[str, str]] = {
    "plain": {"kind": "add", "state": "queued", "lane": "batch", "entry": "1795587198096-0", "payload": '{"a":1}'},
    "batched": {
        "kind": "add",
        "state": "queued",
        "lane": "batch",
        "entry": "1795587198105-0",
        "payload": '{"a":2}',
        "args": "[5]",
        "tries": "2",
        "batch": "night",
    },
    "asked": {
        "kind": "add",
        "state": "queued",
        "lane": "interactive",
        "entry": "1795587198115-0",
        "payload": '{"a":4,"b":6}',
    },
    "later": {"kind": "add", "state": "scheduled", "lane": "batch", "entry": "", "payload": '{"a":3}'},
}
DEAD = {
    "id": "died",
    "kind": "add",
    "lane": "batch",
    "attempts": "3",
    "error": "ValueError",
    "reason": "bad",
    "batch": "",
    "worker": "vm-1-ab",
    "payload": '{"a":9}',
    "args": "",
    "tries": "3",
}
SCHEDULE = '{"name": "nightly", "cron": "0 3 * * *", "kind": "scan", "payloads": [{"url": "https://shop.example/"}]}'
WAIVER = '{"v": 1, "fingerprint": "06d3653901c9a96445d19e6a", "reason": "new shop", "until": "2027-03-31"}'
SCANNED = (
    '{"v":1,"job_id":"s","kind":"scan","state":"succeeded","error":null,"scan_id":"s","url":"https://shop.example/",'
    '"final_url":"https://shop.example/","title":"Shop","status":"scanned","standard":"wcag22aa","findings":[{"rule":'
    '"image-alt","impact":"critical","criteria":["1.1.1"],"help":"Images must have alternative text","nodes":[{'
    '"selector":["img"],"snippet":"<img>","failure_summary":"Fix","fingerprint":"06d3653901c9a96445d19e6a"}],"node_count":1,'
    '"fingerprint":"3f2b8c6e5a06d3653901c9a9"}],"barriers":{"minor":0,"moderate":0,"serious":0,"critical":1}}'
)
ANSWERED = '{"v":1,"job_id":"q","kind":"query","state":"succeeded","answer":"Tea.","sources":["s"],"thread_id":"t"}'


async def add(ctx: dict[Any, Any], *more: int, a: int, b: int = 0) -> int:
    del ctx
    return a + b + sum(more)


async def plant(redis: Redis, keys: Keys) -> None:
    """Leave behind what the older release did."""
    write = cast("Any", redis)
    for job_id, fields in JOBS.items():
        await write.hset(keys.job(job_id), mapping={**COMMON, **fields})
        if fields["entry"]:
            row = {"id": job_id, "kind": fields["kind"]}
            await write.xadd(keys.lane(fields["lane"]), row, id=fields["entry"])
    await write.zadd(keys.scheduled, {"later": 1795587199114 - 10**11})
    await write.hset(
        keys.batch("night"), mapping={"created_ms": "1795587198105", "total": "1", "done": "0", "sealed": "1"}
    )
    await write.hset(
        keys.job("died"), mapping={**COMMON, "kind": "add", "state": "dead", "lane": "batch", "fence": "3"}
    )
    await write.xadd(keys.dead, DEAD)


async def test_jobs_that_an_older_release_left_are_done_by_this_one(
    client: Client, redis: Redis, redis_url: str, keys: Keys
):
    await plant(redis, keys)
    letters = DeadLetters(client)
    await letters.replay(await letters.find("died"))

    async with running_worker(redis_url, keys, [add]):
        results = {r.job_id: r async for r in client.as_completed([*JOBS, "died"], timeout_s=WAIT_S)}

    values = {job_id: result.value for job_id, result in results.items() if isinstance(result, FunctionResult)}
    assert values == {"plain": 1, "batched": 7, "asked": 10, "later": 3, "died": 9}
    assert (await client.batch("night")).finished_ms
    assert sum('"batch.finished"' in line for line in await events_of(redis, keys)) == 1


async def test_what_an_older_release_keeps_for_long_is_read(client: Client, redis: Redis, keys: Keys):
    write = cast("Any", redis)
    await write.hset(keys.schedules, mapping={"nightly": SCHEDULE, "nightly:fired": "1795587198105"})
    await write.hset(keys.waivers, "06d3653901c9a96445d19e6a", WAIVER)

    [schedule] = await Schedules(client).all()
    [waiver] = await Waivers(client).all()

    assert (schedule.name, schedule.payloads) == ("nightly", ({"url": "https://shop.example/"},))
    assert (waiver.reason, str(waiver.until)) == ("new shop", "2027-03-31")


def test_results_of_an_older_release_are_read():
    scanned, answered = decode_result(SCANNED.encode()), decode_result(ANSWERED.encode())

    assert isinstance(scanned, ScanResult)
    assert scanned.findings[0].nodes[0].fingerprint == "06d3653901c9a96445d19e6a"
    assert isinstance(answered, QueryResult)
    assert (answered.state, answered.answer) == (JobState.SUCCEEDED, "Tea.")
