"""Starts three Sentinels and two servers with search, one a replica of the other, for failover tests."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from redis import Redis
from redis.exceptions import RedisError

from worker.own_redis.build import fetch
from worker.own_redis.lifeline import tied
from worker.own_redis.server import EmbeddedRedis, free_port

SERVICE = "main"
DOWN_AFTER_MS = 500
READY_WITHIN_S = 60


@dataclass(frozen=True)
class Failover:
    """The initial ``primary``, and the ``replica`` that is promoted when it dies; ``url`` names the Sentinels."""

    primary: EmbeddedRedis
    replica: EmbeddedRedis
    url: str


@contextmanager
def failover(folder: Path, *, password: str = "") -> Generator[Failover]:
    """Start all; ``password`` is the Sentinels' own."""
    config = {"repl-diskless-sync-delay": "0"}
    with ExitStack() as stack:
        primary, replica = (
            stack.enter_context(EmbeddedRedis(folder / name, config=config, die_with_parent=True))
            for name in ("primary", "replica")
        )
        with Redis.from_url(replica.url) as client:
            client.execute_command("REPLICAOF", "127.0.0.1", primary.port)
            _until(lambda: _is_linked(client))
        ports = stack.enter_context(sentinels(folder, primary.port, password=password))
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        option = f"?sentinel_password={password}" if password else ""
        yield Failover(primary, replica, f"redis+sentinel://{hosts}/{SERVICE}{option}")


@contextmanager
def sentinels(
    folder: Path, primary: int, *, password: str = "", down_after_ms: int = DOWN_AFTER_MS
) -> Generator[list[int]]:
    """Start three Sentinels that watch the server at port ``primary``; yield their ports once they are connected."""
    with ExitStack() as stack:
        every = range(3)
        ports = [stack.enter_context(_sentinel(folder, primary, n, password, down_after_ms)) for n in every]
        for port in ports:
            with Redis(port=port, password=password or None) as client:
                _until(lambda client=client: _knows_all(client))
        yield ports


@contextmanager
def _sentinel(folder: Path, primary: int, number: int, password: str, down_after_ms: int) -> Generator[int]:
    port, config = free_port(), folder / f"sentinel-{number}.conf"
    lines = [f"port {port}", f"dir {folder}", f"sentinel monitor {SERVICE} 127.0.0.1 {primary} 2"]
    lines += [
        f"sentinel down-after-milliseconds {SERVICE} {down_after_ms}",
        f"sentinel failover-timeout {SERVICE} 3000",
    ]
    lines += [f"requirepass {password}", f"sentinel sentinel-pass {password}"] if password else []
    config.write_text("\n".join(lines) + "\n")
    command = [fetch() / "bin/redis-server", config, "--sentinel"]
    with (
        (folder / f"sentinel-{number}.log").open("wb") as log,
        subprocess.Popen(
            tied([str(word) for word in command]),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield port
        finally:
            process.kill()


def _is_linked(replica: Redis) -> bool:
    info = cast("dict[str, object]", replica.info("replication"))
    return info.get("master_link_status") == "up"


def _knows_all(sentinel: Redis) -> bool:
    state = sentinel.sentinel_masters().get(SERVICE, {})
    return state.get("num-other-sentinels") == 2 and state.get("num-slaves") == 1 and not state.get("is_sdown")


def _until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            if is_true():
                return
        except RedisError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.05)
