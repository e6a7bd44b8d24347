"""The list of Sentinels, which threads share."""

from __future__ import annotations

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from producer.redis import dial
from producer.redis.dial import open_pool
from producer.redis.sentinels import Sentinels
from producer.redis_address import parse_address


async def test_no_other_server_is_looked_at_while_no_sentinel_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[str] = []

    def note(host: str, port: int, *, is_tls: bool) -> str:
        looked_at.append(f"{host}:{port}, {is_tls}")
        return ""

    monkeypatch.setattr(dial, "mismatch", note)
    pool = open_pool(parse_address("redis+sentinel://127.0.0.1:1/main"))

    with pytest.raises(RedisConnectionError, match="no Sentinel names a primary of 'main'"):
        await pool.get_connection()

    assert looked_at == []


def test_a_thread_that_reads_the_list_while_another_sorts_it_finds_every_sentinel() -> None:
    sentinels = Sentinels([("a", 1), ("b", 2)], "main")
    seen = sentinels.hosts  # as another thread has it

    sentinels._found(("b", 2), [b"primary", b"6379"], [])

    assert (seen, sentinels.hosts) == ([("a", 1), ("b", 2)], [("b", 2), ("a", 1)])
