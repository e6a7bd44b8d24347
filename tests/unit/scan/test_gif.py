"""How long an animated GIF plays is read from its blocks."""

from __future__ import annotations

import math

import pytest

from tests.support.gif import gif
from worker.scan.live.gif import plays_s


@pytest.mark.parametrize(
    ("data", "plays"),
    [
        (gif(frames=1), 0.0),
        (gif(frames=3, delay=50), 1.5),
        (gif(frames=3, delay=50, repeats=4), 7.5),
        (gif(frames=2, delay=50, repeats=0), math.inf),
        (gif(frames=10, delay=0), 1.0),
        (gif(frames=2, repeats=0)[:-12], 0.0),
        (b"GIF89a", 0.0),
        (b"\x89PNG\r\n", 0.0),
    ],
)
def test_a_gif_plays_as_long_as_its_frames_and_repeats_say(data: bytes, plays: float) -> None:
    assert plays_s(data) == plays
