"""Real Redis servers for tests: one a session, and others of a test's own to kill and start again."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

import pytest
from redis import Redis

from producer.errors import DependencyMissing
from producer.keys import Keys
from worker.embedded import EmbeddedRedis


class StartServer(Protocol):
    """Starts a server that this test alone uses; it is killed after the test."""

    def __call__(
        self, *, data_dir: Path | None = None, config: Mapping[str, str | Sequence[str]] | None = None
    ) -> EmbeddedRedis: ...


def start_or_skip(server: EmbeddedRedis) -> EmbeddedRedis:
    """Start ``server``; where this machine cannot, skip the test, or fail it when CI is set."""
    try:
        return server.start()
    except DependencyMissing as error:
        reason = f"NO REDIS, NOT TESTED: {error}"
    if os.environ.get("CI", "").lower() in {"", "0", "false"}:
        pytest.skip(reason)
    pytest.fail(reason, pytrace=False)


def delete_environment(url: str, keys: Keys) -> None:
    """Delete the search indexes and the keys whose names hold the environment, and nothing else."""
    with Redis.from_url(url) as client:
        for name in cast("list[bytes]", client.execute_command("FT._LIST")):
            if keys.environment in name.decode():
                client.execute_command("FT.DROPINDEX", name)
        found = list(client.scan_iter(match=f"*{keys.environment}*", count=1000))
        if found:
            client.unlink(*found)
