"""A real Redis starts with ops/redis.conf, which has the settings that the Compose file relies on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from redis import Redis

from tests.support.redis_server import StartServer

CONF = Path(__file__).resolve().parents[2] / "ops" / "redis.conf"


def test_redis_starts_with_it_and_keeps_what_it_says(redis_server: StartServer):
    directives = [line.split() for line in CONF.read_text().splitlines() if line and not line.startswith("#")]

    server = redis_server(config={name: " ".join(values) for name, *values in directives})

    with Redis.from_url(server.url) as client:
        config = cast("dict[bytes, bytes]", cast("Any", client).config_get("*"))
    kept = {_text(name): _text(value) for name, value in config.items()}
    assert kept["maxmemory-policy"] == "noeviction"
    assert kept["appendonly"] == "yes"
    assert kept["appendfsync"] == "everysec"
    assert kept["maxmemory"] == str(2 * 1024**3)
    assert kept["hash-max-listpack-value"] == "500"
    assert kept["save"] == "3600 1 300 10000"


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
