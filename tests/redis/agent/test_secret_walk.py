"""A password in an address, given in every way: where Redis, log and errors have it while its job lives, and after."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from producer.client.client import Client
from producer.contract import JobState, ScanRequest
from producer.errors import InvalidJob
from producer.keys import Keys
from producer.stored.dead_letters import DeadLetters
from producer.stored.schedules import Schedule, Schedules
from tests.redis.agent.scanning import BARRIERS, graph, jobs
from tests.support.queue import running_worker, until
from tests.support.scans import FixedEngine
from worker.agent.job_secrets import secrets_of
from worker.memory.history.history import History
from worker.queue.outcome import Commit
from worker.queue.worker import func
from worker.scan.settings import Audit, Secrets

PASSWORD = "hunter2secret"  # noqa: S105  made up
ENCODED = b64encode(f"user:{PASSWORD}".encode()).decode()
LOGIN = {"Authorization": f"Basic {ENCODED}"}
WAIT_S = 90


def behind_login(path: str, **fields: Any) -> dict[str, Any]:
    return {"url": f"http://user:{PASSWORD}@127.0.0.1:9/{path}", **fields}


async def keys_with_password(redis: Redis, keys: Keys) -> set[str]:
    """The keys of the environment, of any type, whose name or value has the password."""
    client = cast("Any", redis)
    reads: dict[bytes, Callable[[bytes], Any]] = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"stream": client.xrange,
        b"set": client.smembers,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"ReJSON-RL": lambda key: client.execute_command("JSON.GET", key),
        b"zset": lambda key: client.zrange(key, 0, -1),
    }
    found: set[str] = set()
    async for key in client.scan_iter(match=f"*{keys.environment}*", count=1000):
        kind = await client.type(key)
        if kind == b"none":  # it has ended since
            continue
        text = repr((key, await reads[kind](key)))
        if PASSWORD in text or ENCODED in text:
            found.add(key.decode())
    return found


class WalkingEngine(FixedEngine):
    """Walks the keys while its job runs; ``/dies`` and ``/fails`` raise, quoting the request, the latter once."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        super().__init__([BARRIERS])
        self.redis, self.keys = redis, keys
        self.seen: set[str] = set()
        self.scanned: list[str] = []

    async def no_payload_waits(self) -> bool:
        rows = cast("list[Any]", await self.redis.xrange(self.keys.lane("batch")))
        return all(b"payload" not in fields for _, fields in rows)

    async def audit(self, request: ScanRequest, *, secrets: Secrets | None = None, **options: Any) -> Audit:
        await until(self.no_payload_waits, what="the entries added by hand to be taken off the lane")
        self.seen |= await keys_with_password(self.redis, self.keys)
        self.scanned.append(str(request.url))
        if "/dies" in str(request.url):
            raise ValueError(repr(request))
        if "/fails" in str(request.url) and self.scanned.count(str(request.url)) == 1:
            raise ConnectionError(repr(request))
        return await super().audit(request, secrets=secrets, **options)


async def add_by_hand(redis: Redis, keys: Keys, payload: str, **fields: str) -> str:
    entry = await redis.xadd(keys.lane("batch"), {"kind": "scan", "payload": payload, **fields})
    return f"batch-{entry.decode()}"


async def test_a_password_in_an_address_is_in_the_job_s_secret_alone_and_nowhere_after_its_end(
    client: Client, redis: Redis, keys: Keys, redis_url: str, history: History
):
    engine = WalkingEngine(redis, keys)
    scans = jobs(keys, graph(engine, history, keys), secrets_of(redis, keys))

    async def scan(ctx: dict[Any, Any], /, **payload: Any) -> Commit:
        return await scans.run(ctx, payload)

    ids = [(await client.submit("scan", behind_login(path))).job_id for path in ("one", "dies", "fails")]
    many = client.submit_many("scan", [behind_login("many")], batch="b")
    ids += [job.job_id async for job in many]
    by_hand = [json.dumps(behind_login(path)) for path in ("hand", "hand/dies", "hand/fails")]
    ids += [await add_by_hand(redis, keys, payload) for payload in by_hand]
    refused = [
        await add_by_hand(redis, keys, json.dumps(behind_login("a", viewport=1))),
        await add_by_hand(redis, keys, json.dumps(behind_login("b")), id="no good"),
        await add_by_hand(redis, keys, json.dumps(behind_login("c")).replace("/", r"\/")[:-1]),
        await add_by_hand(redis, keys, f'{{"url": "http://user:{PASSWORD}/x?y#@127.0.0.1:9/"}}'),
        await add_by_hand(redis, keys, f'{{"url": "http:user:{PASSWORD}@127.0.0.1:9"}}'),
        await add_by_hand(redis, keys, "{}", id=behind_login("d")["url"]),
    ]

    with capture_logs() as logs:
        async with running_worker(redis_url, keys, [func(cast("Any", scan), name="scan")], max_jobs=20):
            results = {id_: await client.wait(id_, timeout_s=WAIT_S) for id_ in (*ids, *refused)}
            letters = DeadLetters(client)
            for id_ in (ids[1], ids[5]):
                await letters.replay(await letters.find(id_))
                results[f"{id_} again"] = await client.wait(id_, timeout_s=WAIT_S)

    dead = {id_ for id_, result in results.items() if result.state is JobState.DEAD}
    assert dead == {ids[1], ids[5], f"{ids[1]} again", f"{ids[5]} again", *refused}
    assert [secrets and secrets.headers for secrets in engine.secrets] == [LOGIN] * 5
    assert engine.seen <= {keys.secret(id_) for id_ in ids}
    assert keys.secret(ids[4]) in engine.seen
    assert await keys_with_password(redis, keys) == set()
    assert not [text for text in map(repr, (*logs, *results.values())) if PASSWORD in text or ENCODED in text]


async def test_a_schedule_keeps_no_password(client: Client, redis: Redis, keys: Keys):
    schedules = Schedules(client)

    with pytest.raises(InvalidJob, match="--header-file") as refused:
        await schedules.add(Schedule("nightly", "0 3 * * *", "scan", (behind_login("x"),)))

    assert PASSWORD not in str(refused.value)
    assert await keys_with_password(redis, keys) == set()
