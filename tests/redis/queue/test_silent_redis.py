"""Redis closes a connection unnoticed, or stops replying: every call ends, and says what may have happened."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from pathlib import Path
from typing import Any, Final

import pytest
import redis as blocking_redis
from hiredis import pack_command
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from producer.client import event_stream
from producer.client.client import Client
from producer.client.submission import SUBMIT
from producer.contract import JobState, Lane
from producer.errors import RedisUnreachable, Unconfirmed
from producer.keys import Keys
from producer.redis import connection, dial, raw_connection, script_pipe
from producer.redis.raw_connection import RawConnection, ReplyTimeout
from producer.redis.script_pipe import ScriptPipe
from producer.redis.scripts import run_script
from producer.settings import ClientSettings
from tests.support.queue import until
from tests.support.redis_server import StartServer
from worker.own_redis.server import EmbeddedRedis
from worker.queue.arq_pool import connections_of
from worker.queue.stream import JobStream

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "ops" / "chaos"))

from tcp_proxy import TcpProxy  # pyright: ignore[reportMissingImports]  # a program's own folder, no package

DEADLINE_S = 20
SILENCE_S = 0.5
CLOSED_PORT = 1


def packed(*words: str) -> bytes:
    command: Any = words  # hiredis types it as a tuple of one
    return pack_command(command)


def wait_for_socket(opened: Any) -> None:
    """Return once the kernel has something to read there, without a tick of the event loop."""
    ready, _, _ = select.select([opened._writer.get_extra_info("socket")], [], [], DEADLINE_S)
    assert ready, "nothing came over the connection"


async def close_unseen(redis: Redis, redis_url: str) -> None:
    """Have Redis close the connection that the pool gives out next, while this program works and does not look."""
    pool = connections_of(redis)
    client_id = await redis.client_id()
    with blocking_redis.Redis.from_url(redis_url) as other:
        other.client_kill_filter(_id=str(client_id))
    wait_for_socket(pool._available_connections[-1])


# ---------------------------------------------------------------------------------------------- closed unseen


async def test_a_submit_returns_though_redis_has_closed_the_pooled_connection(client: Client, redis_url: str):
    await client.queue()
    await close_unseen(client.redis, redis_url)

    async with asyncio.timeout(DEADLINE_S):
        job = await client.submit("add", {"a": 1})

    assert job.created


async def test_a_worker_call_returns_though_redis_has_closed_the_pooled_connection(redis: Redis, redis_url: str):
    pipe = ScriptPipe(connections_of(redis))
    await close_unseen(redis, redis_url)

    call = pipe.call(SUBMIT, (), ())
    pipe.flush()  # as a full bulk is: before the loop has a tick to look at the socket
    async with asyncio.timeout(DEADLINE_S):
        refused = await asyncio.gather(call, return_exceptions=True)
    await pipe.close()

    assert isinstance(refused[0], ResponseError), refused  # Redis' own: the keys are missing


async def test_a_reader_reads_though_redis_has_closed_the_pooled_connection(
    client: Client, stream: JobStream, redis: Redis, redis_url: str
):
    arrived: list[Any] = []
    await client.submit("add", {"a": 1})
    reader = stream.reader(Lane.BATCH, arrived=arrived.extend)
    await close_unseen(redis, redis_url)

    async with asyncio.timeout(DEADLINE_S):
        assert await reader.read(newest="0-0", tries=(3,))
    await reader.close()

    assert len(arrived) == 1


async def test_a_connection_on_which_redis_has_more_to_say_is_opened_again(redis: Redis):
    pool = connections_of(redis)
    first_id = await redis.client_id()
    pooled: Any = await pool.get_connection()
    await pooled.send_command("PING")
    wait_for_socket(pooled)
    await pool.release(pooled)

    taken = await RawConnection.open(pool)
    client_id = await taken.call(packed("CLIENT", "ID"))
    await taken.release()

    assert client_id != first_id
    assert await redis.echo("still in step") == b"still in step"


# ---------------------------------------------------------------------------------------------- silent


@pytest.fixture
def frozen(redis_server: StartServer, monkeypatch: pytest.MonkeyPatch) -> Generator[EmbeddedRedis]:
    """A server to be frozen, and clients that wait for half a second."""
    monkeypatch.setattr(raw_connection, "REPLY_S", SILENCE_S)
    server = redis_server()
    yield server
    resume(server)


def freeze(server: EmbeddedRedis) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    status = Path(f"/proc/{server.pid}/stat")
    while status.exists() and status.read_text().rpartition(")")[2].split()[0] != "T":  # it may still answer until then
        time.sleep(0.001)


def resume(server: EmbeddedRedis) -> None:
    if server.pid is not None:
        os.kill(server.pid, signal.SIGCONT)


@pytest.fixture
async def of_frozen(frozen: EmbeddedRedis, keys: Keys) -> AsyncGenerator[Client]:
    async with Client(ClientSettings(redis_url=frozen.url, environment=keys.environment)) as client:
        await client.submit("add", {"a": 0}, job_id="first")
        yield client


async def submit_many(client: Client) -> None:
    ids = ["one", "two"]
    _ = [job async for job in client.submit_many("add", [{"a": 1}, {"a": 2}], job_ids=ids)]


Act = Callable[[Client], Awaitable[object]]
ACTS: Final[list[tuple[Act, str]]] = [
    (lambda client: client.submit("add", {"a": 1}, job_id="one"), "job 'one' may have been added; submit it again"),
    (submit_many, "jobs 'one' to 'two' may have been added; submit them again with the same job_ids"),
    (lambda client: client.cancel("first"), "may have been cancelled; cancel again"),
    (lambda client: client.seal_batch("night", create=True), "batch 'night' may be sealed; seal it again"),
]


@pytest.mark.parametrize(("call", "said"), ACTS)
async def test_a_call_that_a_frozen_redis_does_not_reply_to_ends_and_says_what_may_have_happened(
    frozen: EmbeddedRedis, of_frozen: Client, call: Act, said: str
):
    freeze(frozen)

    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(Unconfirmed, match=said):
            await call(of_frozen)


async def test_a_job_submitted_again_after_a_missing_reply_is_there_once(frozen: EmbeddedRedis, of_frozen: Client):
    freeze(frozen)
    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(Unconfirmed):
            await of_frozen.submit("add", {"a": 1}, job_id="one")
    resume(frozen)

    again = await of_frozen.submit("add", {"a": 1}, job_id="one")

    assert not again.created  # the bytes of the first call were in Redis' socket
    assert (await of_frozen.queue()).lanes["batch"].queued == 2
    assert (await of_frozen.job("one")).state is JobState.QUEUED


async def test_a_client_that_cannot_open_a_connection_to_a_frozen_redis_says_so(frozen: EmbeddedRedis, keys: Keys):
    freeze(frozen)
    async with Client(ClientSettings(redis_url=frozen.url, environment=keys.environment)) as client:
        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises(Unconfirmed, match="did not reply"):
                await client.submit("add", {"a": 1})


POOLED: Final[dict[str, Callable[[Any], Awaitable[object]]]] = {
    "a command": lambda pooled: pooled.get("key"),
    "a pipeline": lambda pooled: pooled.pipeline(transaction=False).get("key").execute(),
    "a transaction": lambda pooled: pooled.pipeline(transaction=True).set("key", "x").execute(),
    "a blocking read": lambda pooled: pooled.xread({"events": "0"}, block=10),
}


@pytest.mark.parametrize("call", POOLED)
async def test_a_client_that_gives_up_does_so_once_and_says_what_may_have_happened(
    frozen: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch, call: str
):
    monkeypatch.setattr(connection, "ATTEMPTS", 1_000)
    settings = ClientSettings(redis_url=frozen.url)
    async with connection.open_redis(settings, gives_up=True) as pooled:
        await pooled.ping()
        freeze(frozen)

        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises(Unconfirmed, match="did not reply"), connection.redis_errors(settings):
                await POOLED[call](pooled)


@pytest.mark.parametrize("call", POOLED)
async def test_a_client_of_a_worker_leaves_a_frozen_redis_for_the_one_that_its_address_leads_to_now(
    frozen: EmbeddedRedis, redis_server: StartServer, call: str
):
    promoted = redis_server()
    async with TcpProxy(frozen.port) as address:
        settings = ClientSettings(redis_url=f"redis://127.0.0.1:{address.port}")
        async with connection.open_redis(settings) as pooled:
            await pooled.set("key", "on the frozen one")
            freeze(frozen)
            address.target_port = promoted.port

            async with asyncio.timeout(DEADLINE_S):
                await POOLED[call](pooled)
                assert await pooled.get("key") != b"on the frozen one"


async def test_a_script_on_a_pooled_connection_has_a_deadline(frozen: EmbeddedRedis):
    async with Redis.from_url(frozen.url) as pooled:
        await pooled.ping()
        freeze(frozen)

        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises(ReplyTimeout):
                await run_script(pooled, SUBMIT, (), ())


async def test_a_reply_lost_with_the_server_is_a_job_that_may_have_been_added(
    frozen: EmbeddedRedis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(raw_connection, "REPLY_S", DEADLINE_S)
    monkeypatch.setattr(script_pipe, "REPLY_S", SILENCE_S)
    of_server = int(frozen.url.rpartition(":")[2].partition("/")[0])
    async with TcpProxy(of_server) as proxy:  # holds its port, so that no other test's server takes the job
        settings = ClientSettings(redis_url=f"redis://127.0.0.1:{proxy.port}", environment=keys.environment)
        async with Client(settings) as client:
            await client.submit("add", {"a": 0}, job_id="first")
            freeze(frozen)
            waiting = asyncio.create_task(client.submit("add", {"a": 1}, job_id="one"))
            raw = client._scripts._connection
            assert raw is not None
            await until(lambda: raw.silent_s, what="the script to be sent")

            proxy.target_port = CLOSED_PORT
            frozen.kill()

            async with asyncio.timeout(DEADLINE_S):
                with pytest.raises(Unconfirmed, match="job 'one' may have been added"):
                    await waiting


READS: Final[list[Act]] = [
    lambda client: client.job("first"),
    lambda client: client.result("first"),
    lambda client: client.shots("first"),
    lambda client: client.batch("night"),
    lambda client: client.queue(),
    lambda client: client.gpu(),
    lambda client: client.wait("first"),
    lambda client: anext(client.events(since="0")),
]


@pytest.mark.parametrize("call", READS)
async def test_a_read_that_a_frozen_redis_does_not_reply_to_ends_without_unconfirmed(
    frozen: EmbeddedRedis, of_frozen: Client, call: Act
):
    freeze(frozen)

    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(RedisUnreachable, match="did not reply") as refused:
            await call(of_frozen)

    assert not isinstance(refused.value, Unconfirmed)


async def test_all_tries_of_a_call_together_end_in_time(frozen: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch):
    """Each connection is lost before its silence is: the time of the call is what ends it."""
    monkeypatch.setattr(raw_connection, "REPLY_S", DEADLINE_S)
    monkeypatch.setattr(script_pipe, "REPLY_S", 2 * SILENCE_S)
    lost = 0

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal lost
        while (said := await reader.read(65_536)) and b"EVAL" not in said:
            writer.write(b"+PONG\r\n" if b"PING" in said else b"+OK\r\n" * said.count(b"*"))
        lost += bool(said)
        writer.close()

    del frozen
    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    async with server, Client(ClientSettings(redis_url=url)) as client:
        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises(Unconfirmed):
                await client.submit("add", {"a": 1})

    assert lost > 1


async def test_a_wait_and_a_watch_outlast_a_redis_that_is_away(
    frozen: EmbeddedRedis, of_frozen: Client, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(event_stream, "PAUSE_S", 0.05)
    monkeypatch.setattr(event_stream, "BLOCK_MS", 100)
    outages: list[Exception] = []
    events = of_frozen.events(since="0", on_outage=outages.append)
    waiting = asyncio.create_task(of_frozen.wait("first", timeout_s=60))
    await of_frozen.submit("add", {"a": 1}, job_id="before")
    await of_frozen.cancel("before")
    before = await anext(events)
    freeze(frozen)
    after = asyncio.create_task(anext(events))
    await until(lambda: outages, what="the watch to notice")
    resume(frozen)

    await of_frozen.cancel("first")

    async with asyncio.timeout(DEADLINE_S):
        assert (before.job_id, (await after).job_id) == ("before", "first")
        assert (await waiting).state is JobState.CANCELLED
    assert len(outages) == 1, "one outage is told once"
    await events.aclose()


@pytest.mark.parametrize("call", POOLED)
async def test_a_redis_that_ends_during_a_call_is_dialled_as_often_as_one_that_is_away_before_it(
    redis_server: StartServer, monkeypatch: pytest.MonkeyPatch, call: str
):
    monkeypatch.setattr(connection, "ATTEMPTS", 2)
    server, is_sent, dialled = redis_server(), asyncio.Event(), 0
    connect, read = dial._Connection._connect, dial._Connection.read_response

    async def counted(self: Any) -> None:
        nonlocal dialled
        dialled += 1
        await connect(self)

    def reading(self: Any, *about: Any, **options: Any) -> Awaitable[Any]:
        is_sent.set()
        return read(self, *about, **options)

    settings = ClientSettings(redis_url=server.url)
    async with connection.open_redis(settings) as pooled:
        await pooled.ping()
        freeze(server)
        monkeypatch.setattr(dial._Connection, "_connect", counted)
        monkeypatch.setattr(dial._Connection, "read_response", reading)

        async def call_it() -> None:
            await POOLED[call](pooled)

        waiting = asyncio.create_task(call_it())
        async with asyncio.timeout(DEADLINE_S):
            await is_sent.wait()
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)  # `kill` would let it reply
            with pytest.raises(RedisConnectionError):
                await waiting

    assert dialled == 2


async def test_a_redis_that_was_never_reached_raises_no_unconfirmed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection, "ATTEMPTS", 1)
    async with Client(ClientSettings(redis_url="redis://127.0.0.1:1/0")) as client:
        with pytest.raises(RedisUnreachable, match="nothing answers") as refused:
            await client.submit("add", {"a": 1})

    assert not isinstance(refused.value, Unconfirmed)


async def test_all_calls_that_wait_on_a_silent_connection_end(redis: Redis, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(raw_connection, "REPLY_S", SILENCE_S)
    taken = await RawConnection.open(connections_of(redis))
    blocked = [taken.call(packed("BLPOP", "never", "0")) for _ in range(3)]

    async with asyncio.timeout(DEADLINE_S):
        refused = await asyncio.gather(*blocked, return_exceptions=True)
    await taken.release()

    assert [type(error) for error in refused] == [ReplyTimeout] * 3
