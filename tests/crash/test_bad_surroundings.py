"""Workers and producers in a faulty environment: refused with a message, or survived."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

import producer.redis.connection
from producer.client.client import Client
from producer.contract import JobState
from producer.errors import RedisUnsuitable, SettingsError
from producer.keys import Keys
from producer.redis.connection import explained, open_redis
from producer.settings import ClientSettings
from tests.support.command_line import run_module
from tests.support.processes import ROOT, environment_of
from tests.support.processes_of import all_gone, descendants
from tests.support.queue import running_worker, until
from tests.support.redis_server import StartServer
from tests.support.scan_worker import environment_for, need_browser, start_scan_worker
from tests.support.started_redis import started_redis
from worker.__main__ import main
from worker.queue.worker import func

WAIT_S = 60
KEYS = Keys("prod")
PASSWORD = "0pen"  # noqa: S105  of a server of this test's own
NO_BYTE = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
from producer.cli.main import run
print(*(run(words.split()) for words in sys.argv[1:]), file=sys.stderr)
"""
"""Runs commands that cannot write a byte to any file, as on a full disk."""


def worker(**variables: str) -> subprocess.CompletedProcess[str]:
    env = {**environment_of(ROOT), "CHAT_MODEL": "builtin", "EMBEDDING_MODEL": "builtin", **variables}
    return run_module(env, "worker")


def test_a_worker_with_a_wrong_password_ends_with_the_line_to_change(redis_server: StartServer) -> None:
    server = redis_server(config={"requirepass": PASSWORD})

    ended = worker(REDIS_URL=f"redis://:wrong@127.0.0.1:{server.port}")

    assert ended.returncode == RedisUnsuitable.exit_code
    assert "refuses the password: put it into REDIS_URL" in ended.stderr
    assert "or into the file of REDIS_PASSWORD_FILE" in ended.stderr
    assert "wrong" not in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_a_missing_password_is_reported_at_once(
    redis_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producer.redis.connection, "ATTEMPTS", 1_000)
    server = redis_server(config={"requirepass": PASSWORD})
    client = open_redis(ClientSettings(redis_url=f"redis://127.0.0.1:{server.port}"))

    async with asyncio.timeout(WAIT_S), client:
        with pytest.raises(AuthenticationError) as refused:
            await client.ping()

    assert "requires a password" in str(explained(refused.value, ClientSettings()))


async def test_a_web_server_in_place_of_redis_is_named() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with asyncio.timeout(WAIT_S), open_redis(ClientSettings(redis_url=f"redis://127.0.0.1:{port}")) as client:
            with pytest.raises(RedisError) as failed:
                await client.ping()

    assert "is not a Redis" in str(explained(failed.value, ClientSettings()))


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ENVIRONMENT": "prod:eu*"}, "ENVIRONMENT is 'prod:eu*': expected 1 to 32 characters"),
        ({"ENVIRONMENT": "pröd"}, "ENVIRONMENT is 'pröd': expected 1 to 32 characters"),
        ({"REDIS_URL": "redis://:x@h", "REDIS_PASSWORD_FILE": "/dev/null"}, "contradict each other"),
        ({"CHAT_NUM_CTX": "2048", "CHAT_MAX_OUTPUT": "4096"}, "CHAT_MAX_OUTPUT is 4096 and CHAT_NUM_CTX 2048"),
        ({"JOB_TIMEOUT_S": "5", "LEASE_S": "x"}, "LEASE_S is 'x': expected a number"),
    ],
)
def test_unusable_settings_are_refused_at_the_start(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    code = main()

    assert code == SettingsError.exit_code
    assert expected in capsys.readouterr().err


async def test_a_worker_stopped_while_redis_is_away_ends_in_order_and_leaves_no_browser(
    redis_server: StartServer, children: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    need_browser()
    server, log = redis_server(), tmp_path / "worker.log"
    process = start_scan_worker(children, log, server.url, KEYS, TMPDIR=str(tmp_path))
    await until(lambda: "worker.started" in log.read_text(), what="the worker")
    browsers = descendants(process.pid)

    server.kill()
    process.terminate()
    code = await asyncio.to_thread(process.wait, WAIT_S)

    said = log.read_text()
    assert code == 0, said
    assert "worker.heartbeat_left" in said
    assert "library.warned" not in said
    assert browsers
    assert all_gone(browsers, within_s=WAIT_S)
    assert [path.name for path in await asyncio.to_thread(lambda: list(tmp_path.glob("sightline-browser-*")))] == []


async def test_a_client_waits_for_a_redis_that_loads_its_data(redis_server: StartServer) -> None:
    server = redis_server(config={"key-load-delay": "300"})  # µs a command
    with BlockingRedis.from_url(server.url) as redis, redis.pipeline(transaction=False) as pipe:
        for number in range(4000):
            pipe.set(f"key:{number}", 1)
        pipe.execute()
    server.kill()

    starting = asyncio.create_task(asyncio.to_thread(server.start))  # until all is loaded
    async with Client(ClientSettings(redis_url=server.url)) as client, Redis.from_url(server.url) as redis:
        await until(lambda: _is_loading(redis), what="Redis loading its data")
        job = await client.submit("quick", {})
        await starting

    assert job.created


async def test_on_a_full_disk_submits_are_refused_with_a_message_and_running_jobs_commit_when_there_is_room(
    tmp_path: Path,
) -> None:
    async def held(ctx: dict[Any, Any]) -> str:
        await until((tmp_path / "open").exists, what="the gate")
        return str(ctx["job_id"])

    with started_redis(tmp_path, admin=PASSWORD, max_file_blocks=4000) as server:
        url = f"redis://:{PASSWORD}@127.0.0.1:{server.port}"
        async with Client(ClientSettings(redis_url=url, environment="prod")) as client, Redis.from_url(url) as redis:
            async with running_worker(url, KEYS, [func(held, name="held")]):
                job = await client.submit("held", {})
                await until(lambda: _is_running(client, job.job_id), what="the running job")
                await redis.execute_command("ACL", "SETUSER", "default", "nopass")
                await _fill(redis)

                with pytest.raises(RedisUnsuitable, match="cannot write to its disk"):
                    await client.submit("held", {})
                # Without a password the first command on a connection is PING, which a full disk refuses, too.
                without = ClientSettings(redis_url=f"redis://127.0.0.1:{server.port}", environment="prod")
                async with Client(without) as newcomer:
                    with pytest.raises(RedisUnsuitable, match="cannot write to its disk"):
                        await newcomer.submit("held", {})
                await redis.execute_command("ACL", "SETUSER", "default", "resetpass", f">{PASSWORD}")
                (tmp_path / "open").touch()
                await until(lambda: _has_error(redis), what="Redis' own word for it")
                server.free_the_disk()

                result = await client.wait(job.job_id, timeout_s=WAIT_S)
            events = await redis.xlen(KEYS.events)

    assert result.state is JobState.SUCCEEDED
    assert events == 1


def test_commands_need_neither_disk_space_nor_a_home(redis_url: str, keys: Keys, tmp_path: Path) -> None:
    commands = {
        "status": 0,
        "scan https://shop.example/ --json --id full": 0,
        "cancel full": 0,
        "result full": 2,
        f"config init -o {tmp_path / 'sightline.toml'}": 64,
    }
    nowhere = {"TMPDIR": "/proc/none", "HOME": "/proc/none", "XDG_CACHE_HOME": "/proc/none"}
    env = {**environment_for(redis_url, keys), **nowhere, "PYTHONDONTWRITEBYTECODE": "1"}  # else half a module stays

    done = subprocess.run(
        [sys.executable, "-c", NO_BYTE, *commands],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=True,
        timeout=WAIT_S,
    )

    assert "Traceback" not in done.stderr
    assert "sightline.toml': File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert dict(zip(commands, map(int, done.stderr.splitlines()[-1].split()), strict=True)) == commands


async def _fill(redis: Redis) -> None:
    """Write until Redis refuses: it notices a failed write at the next turn."""
    for number in range(1000):
        try:
            await redis.set(f"ballast:{number % 4}", b"x" * 100_000)
        except ResponseError as error:
            assert "MISCONF" in str(error)  # noqa: PT017  the way out of the loop
            return
    pytest.fail("Redis never refused a write")


async def _is_running(client: Client, job_id: str) -> bool:
    return (await client.job(job_id)).state is JobState.RUNNING


async def _is_loading(redis: Redis) -> bool:
    with contextlib.suppress(RedisConnectionError):  # it does not listen yet
        return cast("dict[str, Any]", await redis.info("persistence"))["loading"] == 1
    return False


async def _has_error(redis: Redis) -> bool:
    return cast("dict[str, Any]", await redis.info("persistence"))["aof_last_write_status"] == "err"
