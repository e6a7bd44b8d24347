"""Starts a Redis as Compose does: by ops/redis-start.sh, with ops/redis.conf and the users of ops/users.acl."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as RedisConnectionError

from worker.own_redis.build import fetch
from worker.own_redis.server import free_port

OPS = Path(__file__).parents[2] / "ops"
START_WITHIN_S = 60
NO_LIMIT = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@dataclass(frozen=True)
class StartedRedis:
    """One such server, environment ``prod``."""

    port: int
    pid: int
    log: Path

    def free_the_disk(self) -> None:
        """Remove the size limit of its files."""
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, NO_LIMIT)


@contextmanager
def started_redis(
    folder: Path,
    *,
    admin: str,
    worker: str = "w",
    producer: str = "p",
    reader: str = "r",
    exporter: str = "e",
    max_file_blocks: int = 0,
    options: Sequence[str] = (),
) -> Generator[StartedRedis]:
    """Start it; its files are limited to ``max_file_blocks`` blocks of 512 bytes, which simulates a full disk."""
    (folder / "redis_password").write_text(f"{admin}\n")
    others = {"worker": worker, "producer": producer, "reader": reader, "exporter_user": exporter}
    for name, password in others.items():
        (folder / f"{name}_password").write_text(password)
    port, home, log = free_port(), fetch(), folder / "log"
    modules = [word for name in ("redisearch.so", "rejson.so") for word in ("--loadmodule", f"{home}/lib/{name}")]
    start = [OPS / "redis-start.sh", OPS / "redis.conf", OPS / "users.acl", folder, folder]
    start += ["--port", port, "--bind", "127.0.0.1", "--dir", folder, "--locale-collate", "C", *modules, *options]
    limited = f'trap "" XFSZ; ulimit -S -f {max_file_blocks}; exec "$@"'
    command = ["sh", "-c", limited, "sh", *start] if max_file_blocks else start
    env = {"PATH": f"{home}/bin:{os.environ['PATH']}", "ENVIRONMENT": "prod"}
    with log.open("wb") as out:
        server = subprocess.Popen([str(word) for word in command], env=env, stdout=out, stderr=out)
    try:
        with Redis(port=port, password=admin) as client:
            deadline = time.monotonic() + START_WITHIN_S
            while not _answers(client):
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield StartedRedis(port, server.pid, log)
    finally:
        server.kill()
        server.wait()


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except (RedisConnectionError, BusyLoadingError):
        return False
