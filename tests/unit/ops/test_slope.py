"""The verdict of ``make soak``: growth is detected, noise is not, and doubtful cases are unclear."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "ops" / "chaos"))

from slope import slope_of  # pyright: ignore[reportMissingImports]  # a program's own folder, no package

TIMES_S = [3.0 * n for n in range(200)]  # ten minutes, as after the warm-up of a run of fifteen
LIMIT = 0.10


def samples(*, hourly: float = 0.0, scatter: float = 0.0, alike: float = 0.0) -> list[float]:
    """Some 100 MB that gain a share an hour, with noise that resembles its neighbours."""
    dice, noise, values = random.Random(7), 0.0, list[float]()  # noqa: S311  noise, not a secret
    for at in TIMES_S:
        noise = alike * noise + dice.gauss(0, scatter)
        values.append(100 * (1 + hourly * at / 3600) + noise)
    return values


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        (samples(hourly=0.20, scatter=0.5), "GROWS"),
        (samples(hourly=0.20, scatter=0.1, alike=0.9), "GROWS"),
        (samples(hourly=0.04, scatter=0.5), "level"),
        (samples(scatter=0.5), "level"),
        (samples(hourly=-0.50, scatter=0.5), "level"),
        ([100.0] * 200, "level"),
        (samples(scatter=20.0), "unclear"),
        (samples(hourly=0.08, scatter=2.0, alike=0.9), "unclear"),
    ],
)
def test_the_verdict_follows_from_the_samples(values: list[float], verdict: str):
    assert slope_of(TIMES_S, values).verdict(LIMIT) == verdict


def test_the_gain_per_hour_is_given_with_its_error():
    slope = slope_of(TIMES_S, samples(hourly=0.20, scatter=1.0))

    assert abs(slope.hourly - 0.20) < 3 * slope.error
    assert 0.005 < slope.error < 0.03
