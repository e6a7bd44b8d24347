"""``durable=True``: acknowledged means on disk; refused if Redis cannot guarantee that."""

from __future__ import annotations

import pytest
from hiredis import pack_command

from producer.client import durability, submitter
from producer.client.client import Client
from producer.client.durability import durability_problem
from producer.errors import NotDurable, QueueFull
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


async def test_a_job_whose_disk_redis_can_no_longer_confirm_is_said_to_be_queued(redis_server: StartServer):
    """As after a failover to a server without an append-only file."""
    server = redis_server()
    async with Client(ClientSettings(redis_url=server.url, environment=KEYS.environment)) as client:
        await client.submit("add", {}, durable=True)
        await client.redis.config_set("appendonly", "no")

        with pytest.raises(NotDurable, match="job 'j' is queued, but Redis cannot confirm that it is on disk"):
            await client.submit("add", {}, job_id="j", durable=True)
        assert (await client.job("j")).job_id == "j"


async def test_a_redis_that_confirms_no_longer_what_is_on_disk_is_noticed(
    redis_server: StartServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(submitter, "DURABLE_CHECK_EVERY_S", 0.0)
    server = redis_server()
    async with Client(ClientSettings(redis_url=server.url, environment=KEYS.environment)) as client:
        await client.submit("add", {}, durable=True)
        await client.redis.config_set("appendfsync", "everysec")

        with pytest.raises(NotDurable, match="appendfsync everysec"):
            await client.submit("add", {}, durable=True)


async def test_a_refused_durable_submit_is_not_said_to_be_queued(
    redis_server: StartServer, monkeypatch: pytest.MonkeyPatch
):
    def asks(_: object) -> bool:
        return True

    monkeypatch.setattr(durability, "asks_sentinels", asks)  # then a replica must confirm, and there is none
    monkeypatch.setattr(durability, "_WAIT_FOR_REPLICA", pack_command(("WAITAOF", 1, 1, 100)))  # pyright: ignore[reportArgumentType]  typed as a tuple of one
    server = redis_server()
    async with Client(ClientSettings(redis_url=server.url, environment=KEYS.environment, backlog_limit=1)) as client:
        await client.submit("add", {})

        with pytest.raises(QueueFull):
            await client.submit("add", {}, job_id="j", durable=True)


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
