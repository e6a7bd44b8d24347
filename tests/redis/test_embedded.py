"""The embedded Redis: its promises while it runs, when it is killed, and if it cannot run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

import pytest
from redis import Redis

from producer.errors import DependencyMissing, RedisUnsuitable
from tests.support.redis_server import StartServer
from worker.own_redis import server as embedded
from worker.own_redis.server import EmbeddedRedis

_PARENT = """
import sys, threading
from pathlib import Path
from worker.own_redis.server import EmbeddedRedis

server = EmbeddedRedis(Path(sys.argv[1]), die_with_parent=True)
starter = threading.Thread(target=server.start)
starter.start()
starter.join()
print(server.port, flush=True)
sys.stdin.read()
"""


def test_the_embedded_redis_has_search_syncs_every_write_evicts_nothing_and_listens_on_loopback_only(
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
        "hash-max-listpack-value": "500",
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


def test_the_embedded_redis_dies_with_its_killed_parent_but_not_with_the_thread_that_started_it(
    redis_url: str, tmp_path: Path
) -> None:
    assert redis_url, "there is a build to start"
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


def test_ctrl_c_in_the_terminal_does_not_reach_the_embedded_redis(redis_server: StartServer) -> None:
    server = redis_server()

    assert server.pid is not None
    assert os.getpgid(server.pid) != os.getpgid(0)
    assert os.getsid(server.pid) != os.getsid(0)


def test_a_data_folder_in_use_is_refused_and_free_once_its_server_is_killed(
    tmp_path: Path, redis_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = redis_server(data_dir=tmp_path / "data")

    with monkeypatch.context() as patch:
        patch.setattr(embedded, "_LOCK_DEADLINE_S", 0.1)
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
    free_port, ports = embedded.free_port, iter([taken])
    monkeypatch.setattr(embedded, "free_port", lambda: next(ports, 0) or free_port())

    server = redis_server()

    assert server.port != taken
    assert next(ports, None) is None


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
    server = redis_server(config={"key-load-delay": "400"})  # µs a command
    client = Redis.from_url(server.url)
    with client.pipeline(transaction=False) as pipe:
        for number in range(3000):
            pipe.set(f"key:{number}", 1)
        pipe.execute()
    monkeypatch.setattr(embedded, "_START_DEADLINE_S", 1)

    started = time.monotonic()
    server.stop()
    server.start()

    assert time.monotonic() - started > 1, "the data was loaded too fast to prove anything"
    assert client.dbsize() == 3000


def test_a_frozen_server_can_be_stopped(redis_server: StartServer) -> None:
    server = redis_server()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)

    server.stop()

    assert server.pid is None
    assert "bye bye" in server.log_path.read_text()


def _is_closed_by_peer(connection: socket.socket) -> bool:
    """Wait for the connection's end; a timeout of the socket raises."""
    try:
        return connection.recv(100) == b""
    except ConnectionResetError:
        return True


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(DependencyMissing, match=r"data in '.*file/redis' \(Not a directory\): free space"):
        EmbeddedRedis(tmp_path / "file" / "redis").start()
