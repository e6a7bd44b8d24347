"""``durable=True``: acknowledged means on disk; refused if Redis cannot guarantee that."""

from __future__ import annotations

import pytest

from producer.client.client import Client
from producer.client.durability import durability_problem
from producer.errors import NotDurable
from producer.keys import Keys
from producer.settings import ClientSettings
from tests.support.redis_server import StartServer

KEYS = Keys("durable")


@pytest.mark.parametrize(
    ("config", "said"),
    [({"appendfsync": "everysec"}, "appendfsync everysec"), ({"appendonly": "no"}, "appendonly yes")],
)
async def test_a_durable_submit_that_redis_cannot_confirm_is_refused_before_anything_is_written(
    redis_server: StartServer, config: dict[str, str], said: str
):
    server = redis_server(config=config)

    async with Client(ClientSettings(redis_url=server.url, environment=KEYS.environment)) as client:
        with pytest.raises(NotDurable, match=said):
            await client.submit("add", {}, job_id="j", durable=True)
        queue = await client.queue()

    assert queue.lanes["batch"].queued == 0


async def test_an_acknowledged_job_survives_the_servers_death(redis_server: StartServer):
    server = redis_server()
    settings = ClientSettings(redis_url=server.url, environment=KEYS.environment)
    async with Client(settings) as client:
        ids = [(await client.submit("add", {"n": n}, durable=True)).job_id for n in range(50)]

        server.kill()
        server.start()
        queue = await client.queue()
        known = [(await client.job(job_id)).job_id for job_id in ids]

    assert queue.lanes["batch"].queued == 50
    assert known == ids


async def test_a_duplicate_is_acknowledged_durably_too(redis_server: StartServer):
    server = redis_server()
    async with Client(ClientSettings(redis_url=server.url, environment=KEYS.environment)) as client:
        first = await client.submit("add", {}, job_id="j", durable=True)
        second = await client.submit("add", {}, job_id="j", durable=True)

    assert (first.created, second.created) == (True, False)


async def test_a_durable_submit_goes_on_when_redis_has_forgotten_the_script(redis_server: StartServer):
    server = redis_server()
    async with Client(ClientSettings(redis_url=server.url, environment=KEYS.environment)) as client:
        await client.submit("add", {}, durable=True)
        await client.redis.script_flush()

        again = await client.submit("add", {}, durable=True)

    assert again.created


@pytest.mark.parametrize(
    ("appendonly", "fsync", "version", "is_fine"),
    [
        ("yes", "always", "7.4.1", True),
        ("yes", "everysec", "8.2.0", True),
        ("yes", "everysec", "7.4.1", False),
        ("yes", "no", "8.2.0", False),
        ("no", "always", "8.2.0", False),
    ],
)
def test_which_configurations_confirm_a_write_on_disk(appendonly: str, fsync: str, version: str, *, is_fine: bool):
    assert (durability_problem(appendonly, fsync, version) == "") is is_fine
