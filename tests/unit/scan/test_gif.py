"""How long an animated GIF plays is read from its blocks."""

from __future__ import annotations

import base64
import math
from urllib.parse import quote

import pytest

from tests.support.gif import gif
from worker.scan.live.gif import plays_s
from worker.scan.live.motion import data_of


@pytest.mark.parametrize(
    ("data", "plays"),
    [
        (gif(frames=1), 0.0),
        (gif(frames=3, delay=50), 1.5),
        (gif(frames=3, delay=50, repeats=4), 7.5),
        (gif(frames=2, delay=50, repeats=0), math.inf),
        (gif(frames=10, delay=0), 1.0),
        (gif(frames=2, repeats=0)[:-12], 0.0),
        (gif(frames=3, delay=50)[:-1], 1.5),
        (gif(frames=3, delay=50)[:-12], 1.0),
        (b"GIF89a", 0.0),
        (b"\x89PNG\r\n", 0.0),
    ],
)
def test_a_gif_plays_as_long_as_its_frames_and_repeats_say(data: bytes, plays: float) -> None:
    assert plays_s(data) == plays


ENDLESS = gif(frames=2, repeats=0)
LETTERS = base64.b64encode(ENDLESS).decode()


@pytest.mark.parametrize(
    ("url", "data"),
    [
        (f"data:image/gif;base64,{LETTERS}", ENDLESS),
        (f"data:image/gif;base64,{LETTERS.rstrip('=')}", ENDLESS),
        (f"data:image/gif;base64,{quote(LETTERS, safe='')}", ENDLESS),
        (f"data:image/gif;base64,{LETTERS[:40]}\n {LETTERS[40:]}", ENDLESS),
        ("data:image/gif;base64,R", b""),
        ("data:image/gif,GIF89a", b""),
        (f"data:image/gif;base64,{'A' * 5_000_000}", b""),
    ],
    ids=["padded", "without padding", "escaped", "in lines", "half a byte", "not in base64", "too large"],
)
def test_a_picture_in_its_own_address_is_read_as_browsers_read_it(url: str, data: bytes) -> None:
    assert data_of(url) == data
