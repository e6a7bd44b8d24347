"""``sightline up``: a Redis of its own where none answers, and workers, in the foreground."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping
from pathlib import Path

import click
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from producer.errors import RedisUnreachable
from producer.reports.plain_text import counted
from producer.settings import ClientSettings
from worker.embedded import EmbeddedRedis


@click.command(short_help="Start a Redis if none is configured, and workers.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="How many workers to start.")
def up(*, workers: int) -> None:
    """Start what Sightline needs on this machine, until Ctrl-C.

    With REDIS_URL set, that Redis is used. Without, one that answers on 127.0.0.1:6379 is, and where none does, an
    embedded one is started there; its data is kept between runs.

    \b
    Examples:
      sightline up --workers 2
      CHAT_MODEL=builtin EMBEDDING_MODEL=builtin SCAN_ALLOW_PRIVATE=1 sightline up
    """  # noqa: D301  \b is click's mark for lines to keep
    settings = ClientSettings.from_env(os.environ)
    with redis_for(settings) as url:
        env = {**os.environ, "REDIS_URL": url, "REDIS_PASSWORD_FILE": ""}  # the URL has the password by now, if any
        env.setdefault("LOG_FORMAT", "console")
        where = f"Redis at {settings.public_redis_url}, environment {settings.environment!r}"
        click.echo(f"{where}, {counted(workers, 'worker')}; Ctrl-C ends")
        processes = [subprocess.Popen([sys.executable, "-m", "worker"], env=env_of(env, n)) for n in range(workers)]
        sys.exit(wait_for(processes))


@contextlib.contextmanager
def redis_for(settings: ClientSettings) -> Generator[str]:
    """Give the URL of a Redis that answers, starting one where none is configured."""
    if os.environ.get("REDIS_URL") or answers(settings.redis_url):
        if not answers(settings.redis_url):
            where = settings.public_redis_url
            raise RedisUnreachable(f"nothing answers at REDIS_URL {where!r}: start it, or unset REDIS_URL for our own")
        yield settings.redis_url
        return
    data_home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    with EmbeddedRedis(data_home / "sightline" / "redis", port=6379, die_with_parent=True) as server:
        yield server.url


def env_of(env: Mapping[str, str], number: int) -> dict[str, str]:
    """Return the environment of worker ``number``; METRICS_PORT is the first one's, the others take those after it."""
    port = env.get("METRICS_PORT", "")
    return {**env, "METRICS_PORT": str(int(port) + number)} if port.isdecimal() and port != "0" else dict(env)


def answers(url: str) -> bool:
    """Return whether a Redis answers at ``url``, be it with a refusal."""
    client = Redis.from_url(url, socket_connect_timeout=2, socket_timeout=2)
    try:
        client.ping()
    except ResponseError:
        return True
    except (RedisError, OSError):
        return False
    finally:
        client.close()
    return True


def wait_for(processes: list[subprocess.Popen[bytes]]) -> int:
    """Wait until the workers end; pass SIGTERM on to them. Returns the first exit code that is not 0."""

    def pass_on(signum: int, _: object) -> None:
        for process in processes:
            process.send_signal(signum)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends Ctrl-C to the workers itself
    codes = [process.wait() for process in processes]
    return next((code for code in codes if code), 0)
