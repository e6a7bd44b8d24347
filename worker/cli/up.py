"""``sightline up``: runs workers in the foreground, and a Redis if none answers."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from producer.cli.ci import say
from producer.errors import RedisUnreachable, RedisUnsuitable
from producer.reports.plain_text import counted
from producer.settings import ClientSettings
from worker.cli.worker import keep_workers

if TYPE_CHECKING:
    from worker.own_redis.server import EmbeddedRedis

ANSWER_WITHIN_S: Final = 2.0
ROOM_MB: Final = 16
"""Redis exits when it cannot write its append-only file; with less room it would exit again at the next result."""
SHORT_LIFE_S: Final = 10.0
SHORT_LIVES: Final = 5
"""Consecutive exits, each soon after a start, after which it is not restarted."""


@click.command()
@click.option(
    "--workers",
    type=click.IntRange(0, 64),
    default=1,
    show_default=True,
    help="Number of workers to start; 0: only Redis.",
)
def up(*, workers: int) -> None:
    """Run workers on this machine until Ctrl-C, and a Redis if none answers.

    A worker that dies is restarted. Uses the Redis at REDIS_URL; without that setting the one on 127.0.0.1:6379. If
    none answers there, an embedded Redis is started; it keeps its data in ~/.local/share/sightline/redis
    (XDG_DATA_HOME).

    \b
    Examples:
      sightline up --workers 2
      CHAT_MODEL=builtin EMBEDDING_MODEL=builtin SCAN_ALLOW_PRIVATE=1 sightline up
    """
    settings = ClientSettings.from_env(os.environ)
    with redis_for(settings) as (url, server):
        env = {**os.environ, "REDIS_URL": url, "REDIS_PASSWORD_FILE": ""} if server else dict(os.environ)
        env.setdefault("LOG_FORMAT", "console")
        where = f"Redis at {settings.public_redis_url}, environment {settings.environment!r}"
        click.echo(f"{where}, {counted(workers, 'worker')}; Ctrl-C ends")
        sys.exit(keep_workers(workers, env, look=None if server is None else KeptRedis(server).look))


@contextlib.contextmanager
def redis_for(settings: ClientSettings) -> Generator[tuple[str, EmbeddedRedis | None]]:
    """Yield the URL of a Redis that answers, and the started server if there is one."""
    from worker.own_redis.server import EmbeddedRedis

    if os.environ.get("REDIS_URL") or answers(settings):
        if not answers(settings):
            where = settings.public_redis_url
            raise RedisUnreachable(
                f"nothing answers at REDIS_URL {where!r}: start it, or unset REDIS_URL to use an embedded one"
            )
        yield settings.redis_url, None
        return
    data_home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    with EmbeddedRedis(data_home / "sightline" / "redis", port=6379, die_with_parent=True) as server:
        yield server.url, server


def answers(settings: ClientSettings) -> bool:
    """Return whether a Redis answers at ``settings.redis_url``, even with a refusal."""
    from redis.exceptions import RedisError, ResponseError

    from producer.redis.connection import open_blocking_redis

    with open_blocking_redis(settings, timeout_s=ANSWER_WITHIN_S) as client:
        try:
            client.ping()
        except ResponseError:
            return True
        except (RedisError, OSError):
            return False
    return True


class KeptRedis:
    """An embedded Redis, restarted on its data when it exits, for example when killed for lack of memory.

    On a full disk Redis exits rather than acknowledge what it cannot write; it is restarted once there is room.
    """

    def __init__(self, server: EmbeddedRedis, *, free_mb: Callable[[Path], float] | None = None) -> None:
        self._server = server
        self._free_mb = free_mb or _free_mb
        self._started_at = time.monotonic()
        self._short_lives = 0
        self._waits_for_room = False

    def look(self) -> None:
        """Start the server if it has exited. Raises ``RedisUnsuitable`` if it does not start or keeps exiting."""
        if self._server.pid is not None:
            return
        folder = str(self._server.data_dir)
        free = self._free_mb(self._server.data_dir)
        if free < ROOM_MB:
            if not self._waits_for_room:
                say(
                    f"Redis has exited, the disk of {folder!r} is full ({free:.0f} MB free): free some space; "
                    f"it restarts once {ROOM_MB} MB are free, and no acknowledged data is lost"
                )
            self._waits_for_room = True
            return
        lived_s = time.monotonic() - self._started_at
        self._short_lives = 0 if self._waits_for_room or lived_s > SHORT_LIFE_S else self._short_lives + 1
        if self._short_lives >= SHORT_LIVES:
            msg = (
                f"the Redis of 'sightline up' exited {SHORT_LIVES} times, each within {SHORT_LIFE_S:.0f} s of its "
                f"start; its last log lines, from {str(self._server.log_path)!r}: {self._server.last_output()}"
            )
            raise RedisUnsuitable(msg)
        self._server.start()
        self._started_at = time.monotonic()
        self._waits_for_room = False
        say("the Redis of 'sightline up' exited and was restarted, with its data")


def _free_mb(folder: Path) -> float:
    there = next(place for place in (folder, *folder.parents) if place.exists())  # it may have been removed meanwhile
    return shutil.disk_usage(there).free / 1e6
