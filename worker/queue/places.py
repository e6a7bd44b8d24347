"""Which lane the next places of a worker go to. Pure arithmetic; ``claims.py`` acts on it.

One place is kept for interactive jobs, so that a question never waits behind scans; while both lanes wait, one claim
in five is batch, so that scans never starve behind questions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from producer.contract import Lane

BATCH_SHARE: Final = 5
"""While both lanes wait, one claim in this many goes to batch."""


@dataclass(slots=True)
class Places:
    """The places of one worker: ``max_jobs`` of them, each free or taken by a job of a lane."""

    max_jobs: int
    taken: dict[Lane, int] = field(default_factory=lambda: {Lane.INTERACTIVE: 0, Lane.BATCH: 0})
    credit: int = 0
    """Claims that batch is owed a fifth of; bounded, so that an empty lane saves up no flood."""

    @property
    def free(self) -> int:
        """How many jobs could be taken now."""
        return self.max_jobs - self.taken[Lane.INTERACTIVE] - self.taken[Lane.BATCH]

    @property
    def for_batch(self) -> int:
        """How many of the free places batch may take; with a single place there is none to keep."""
        kept = 1 if self.max_jobs > 1 else 0
        return max(0, min(self.free, self.max_jobs - kept - self.taken[Lane.BATCH]))

    def for_lane(self, lane: Lane) -> int:
        """How many of the free places ``lane`` may take."""
        return self.for_batch if lane is Lane.BATCH else self.free

    def batch_turns(self, places: int) -> int:
        """How many of the next ``places`` claims batch has a right to before interactive."""
        return max(0, self.credit + places) // BATCH_SHARE

    def note_claim(self, *, interactive: int, batch: int) -> None:
        """Settle what one claim brought with the turns of batch."""
        earned = self.credit + interactive - (BATCH_SHARE - 1) * batch
        self.credit = max(1 - BATCH_SHARE, min(earned, BATCH_SHARE - 1))

    def take(self, lane: Lane) -> Place:
        """Take one place."""
        place = Place(self, lane)
        place.take()
        return place


@dataclass(slots=True, eq=False)
class Place:
    """One place of a lane, held or not; to take what is held and to give back what is not changes nothing."""

    places: Places
    lane: Lane
    is_held: bool = False

    def take(self) -> None:
        """Hold it, even if by now there is none: then none is free until more are given back than taken."""
        if not self.is_held:
            self.is_held = True
            self.places.taken[self.lane] += 1

    def give_back(self) -> None:
        """Free it."""
        if self.is_held:
            self.is_held = False
            self.places.taken[self.lane] -= 1
