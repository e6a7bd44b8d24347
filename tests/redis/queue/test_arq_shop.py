"""A program of a usual size answers all its calls the same on arq and, with two lines changed, on Sightline."""

from __future__ import annotations

import asyncio
import difflib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest
from arq.jobs import Job
from arq.worker import check_health
from redis.asyncio import Redis

from producer.keys import Keys
from tests.support import arq_shop
from tests.support.queue import until

WRITTEN: Final = Path(arq_shop.__file__).read_text()
CHANGED: Final = {
    "import pickle as types": "from sightline.arq import typed_json as types",
    "from arq import Worker, create_pool": "from sightline.arq import Worker, create_pool",
}
SWITCHED: Final = "\n".join(CHANGED.get(line, line) for line in WRITTEN.split("\n"))


@pytest.fixture
def shops(tmp_path: Path, redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """Both versions of the program, loaded as modules of their own; their health checks have the same keys."""
    monkeypatch.setenv("ENVIRONMENT", keys.environment)
    loaded: dict[str, ModuleType] = {}
    for database, (name, text) in enumerate({"shop_on_sightline": SWITCHED, "shop_on_arq": WRITTEN}.items()):
        monkeypatch.setenv("SHOP_REDIS", f"{redis_url}/{database}")
        (tmp_path / f"{name}.py").write_text(text)
        spec = importlib.util.spec_from_file_location(name, tmp_path / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        loaded[name] = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, loaded[name])  # where pickle and typed_json look for its classes
        spec.loader.exec_module(loaded[name])
    return loaded


async def answers_of(shop: Any) -> list[Any]:
    """What the shop answers, call by call, with its workers running."""
    pool, workers = await shop.open_pool(), shop.workers()
    before = await calls_without_workers(shop, pool)
    running = [asyncio.create_task(worker.async_run()) for worker in workers]
    try:
        return [*before, *await calls(shop, pool)]
    finally:
        for worker in workers:
            await worker.close()
        await asyncio.gather(*running, return_exceptions=True)
        await pool.aclose()


async def calls_without_workers(shop: Any, pool: Any) -> list[Any]:
    return [
        await shop.call(pool, "POST /users/5/sync"),
        await shop.call(pool, "POST /users/5/sync"),  # the id is taken
        await shop.call(pool, "GET /queue"),
        await shop.call(pool, "GET /jobs/sync-5"),
        await shop.call(pool, "GET /jobs/nobody"),
        await asyncio.to_thread(check_health, shop.WorkerSettings),
    ]


async def calls(shop: Any, pool: Any) -> list[Any]:
    async def is_gone(job_id: str) -> bool:
        return (await shop.call(pool, f"GET /jobs/{job_id}"))[0] == 404

    async def runs(job_id: str) -> bool:
        return (await shop.call(pool, f"GET /jobs/{job_id}"))[1][0] == "in_progress"

    answers: list[Any] = []
    for _ in range(2):  # keep_result=0: the id is free once the job has ended
        await until(lambda: is_gone("sync-5"), what="the user is in sync")
        answers.append(await shop.call(pool, "POST /users/5/sync"))
    answers += [
        await shop.call(pool, "POST /orders/7/invoice", total=12.5),
        await shop.call(pool, "POST /orders/7/invoice", total=12.5),
        await shop.call(pool, "GET /jobs/invoice:7"),
        await shop.call(pool, "POST /orders/8/checkout", to="a@example.org"),
        await shop.call(pool, "POST /reserve/tea", count=3),
        await shop.call(pool, "POST /reserve/tea", count=30),
        await shop.call(pool, "POST /offers"),
        await shop.call(pool, "POST /reports", seconds=300),
    ]
    await until(lambda: runs("report of 300 s"), what="the report is being made")
    answers += [
        await shop.call(pool, "GET /jobs/report of 300 s"),
        await shop.call(pool, "DELETE /jobs/report of 300 s"),
        await shop.call(pool, "GET /jobs/report of 300 s"),
        await shop.call(pool, "POST /reports", seconds=0),
        await Job("report of 0 s", pool, _deserializer=shop.types.loads).result(timeout=60, poll_delay=0.05),
    ]
    await until(lambda: "stock" in shop.counted, what="the cron job ran")
    await until(lambda: is_gone("sync-5"), what="the user is in sync")
    return [
        *answers,
        await shop.call(pool, "GET /nothing"),
        shop.counted.count("user 5"),
        await asyncio.to_thread(check_health, shop.WorkerSettings),
        await asyncio.to_thread(check_health, shop.MailSettings),
    ]


def test_only_two_lines_of_the_program_differ():
    changes = list(difflib.ndiff(WRITTEN.splitlines(), SWITCHED.splitlines()))

    assert sum(line.startswith("- ") for line in changes) == sum(line.startswith("+ ") for line in changes) == 2


async def test_both_versions_give_the_same_results(shops: dict[str, ModuleType], redis_url: str):
    try:
        ours, arqs = await asyncio.gather(*map(answers_of, shops.values()))
    finally:
        async with Redis.from_url(f"{redis_url}/1") as redis:
            if left := await redis.keys("arq:*") + await redis.keys("shop:*"):  # arq's own keys know no environment
                await redis.delete(*left)

    assert list(map(plain, ours)) == list(map(plain, arqs))
    assert len(arqs) > 20
    assert arqs[:2] == [(200, True), (200, False)]
    assert (409, "tea: 10 left") in arqs
    assert arqs[-3:] == [3, 0, 0]


def plain(answer: Any) -> str:
    """The answer as text, without the name of the version that gave it."""
    return repr(answer).replace("shop_on_sightline", "shop").replace("shop_on_arq", "shop")
