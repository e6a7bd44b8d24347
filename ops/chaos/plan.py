"""The faults, their times and targets, derived from a seed alone, so that a run can be repeated. No I/O."""

from __future__ import annotations

import random
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

QUIET_S: Final = 3.0
"""Seconds before the first fault, so that there is work to disturb."""
MEAN_GAP_S: Final = 1.6
"""Mean seconds between two faults, exponentially distributed: often two overlap."""

# Weight, and the shortest and longest duration in s; 0 for an instant fault.
FAULTS: Final[dict[str, tuple[int, float, float]]] = {
    "worker_killed": (5, 0.0, 0.0),
    "worker_frozen": (3, 1.0, 9.0),
    "worker_terminated": (2, 0.0, 0.0),
    "redis_killed": (2, 0.1, 5.0),
    "connections_reset": (3, 0.0, 0.0),
    "network_slow": (2, 1.0, 4.0),
    "ollama_killed": (2, 0.5, 6.0),
    "ollama_faults": (3, 0.0, 0.0),
    "browser_killed": (3, 0.0, 0.0),
    "garbage_added": (2, 0.0, 0.0),
    "clock_jumped": (2, 0.0, 0.0),
}

# Seconds between two, and the shortest and longest seconds it lasts. What takes its time is not left to chance: each
# run has one at least.
REGULAR: Final[dict[str, tuple[float, float, float]]] = {
    "redis_failed_over": (60.0, 0.0, 2.0),
    "redis_clock_jumped": (15.0, 0.0, 0.0),
    "connections_cut": (40.0, 3.0, 8.0),
}


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault. ``at_s`` counts from the start; ``draw`` (0 to 1) decides the rest, such as which worker."""

    at_s: float
    fault: str
    lasts_s: float
    draw: float


def make_plan(seed: int, *, seconds: float) -> tuple[Strike, ...]:
    """Return the strikes of a run, in order; the same for the same seed and length."""
    dice = random.Random(seed)  # noqa: S311  a plan, not a secret
    names = list(FAULTS)
    weights = [weight for weight, _, _ in FAULTS.values()]
    strikes: list[Strike] = []
    at_s = QUIET_S
    while at_s < seconds:
        fault = dice.choices(names, weights)[0]
        _, shortest_s, longest_s = FAULTS[fault]
        strikes.append(Strike(at_s, fault, dice.uniform(shortest_s, longest_s), dice.random()))
        at_s += dice.expovariate(1 / MEAN_GAP_S)
    for fault, (every_s, shortest_s, longest_s) in REGULAR.items():
        count = max(1, round(seconds / every_s))
        for number in range(count):
            at_s = max(QUIET_S, (number + dice.uniform(0.2, 0.8)) * seconds / count)
            strikes.append(Strike(at_s, fault, dice.uniform(shortest_s, longest_s), dice.random()))
    return tuple(sorted(strikes, key=attrgetter("at_s")))
