"""The record of an index's vectors in Redis, written by this release and by others."""

from __future__ import annotations

import pytest

from producer.errors import RedisUnsuitable
from worker.memory.vectors.generations import Generation


@pytest.mark.parametrize("bits", [16, 32])
def test_a_generation_is_read_as_it_was_written(bits: int) -> None:
    generation = Generation(2, "nomic-embed-text:v1.5", 768, bits)

    assert Generation.parse(generation.pack()) == generation
    assert Generation.parse("") is None


@pytest.mark.parametrize("text", ["1:256q8:builtin", "x:256:builtin", "builtin"])
def test_what_a_newer_release_wrote_is_refused_in_words(text: str) -> None:
    with pytest.raises(RedisUnsuitable, match="a newer release may have written: update this one"):
        Generation.parse(text)
