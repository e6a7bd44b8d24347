"""The list of Sentinels, which threads share."""

from __future__ import annotations

from producer.redis.sentinels import Sentinels


def test_a_thread_that_reads_the_list_while_another_sorts_it_finds_every_sentinel() -> None:
    sentinels = Sentinels([("a", 1), ("b", 2)], "main")
    seen = sentinels.hosts  # as another thread has it

    sentinels._found(("b", 2), [b"primary", b"6379"], [])

    assert (seen, sentinels.hosts) == ([("a", 1), ("b", 2)], [("b", 2), ("a", 1)])
