"""Which lane the next places go to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.contract import Lane
from worker.queue.places import BATCH_SHARE, Places


def test_one_place_is_kept_for_interactive():
    places = Places(3)
    places.take(Lane.BATCH)
    places.take(Lane.BATCH)

    assert (places.free, places.for_batch) == (1, 0)
    assert places.for_lane(Lane.INTERACTIVE) == 1


def test_a_single_place_is_open_to_both_lanes():
    assert Places(1).for_batch == 1


def test_interactive_jobs_may_take_every_place():
    places = Places(2)
    places.take(Lane.INTERACTIVE)
    places.take(Lane.INTERACTIVE)

    assert (places.free, places.for_batch) == (0, 0)


@pytest.mark.parametrize("bulk", [1, 2, 3, 7])
def test_one_claim_in_five_is_batchs_turn_while_interactive_floods(bulk: int):
    places, taken = Places(1_000), {Lane.INTERACTIVE: 0, Lane.BATCH: 0}

    for _ in range(600 // bulk):
        turns = min(bulk, places.batch_turns(bulk))
        places.note_claim(interactive=bulk - turns, batch=turns)
        taken[Lane.BATCH] += turns
        taken[Lane.INTERACTIVE] += bulk - turns

    share = sum(taken.values()) / taken[Lane.BATCH]
    assert abs(share - BATCH_SHARE) < 0.1


def test_a_night_of_batch_alone_costs_batch_no_more_than_a_moment():
    places = Places(10)
    for _ in range(1_000):
        places.note_claim(interactive=0, batch=10)

    waited = 0
    while places.batch_turns(1) == 0:
        places.note_claim(interactive=1, batch=0)
        waited += 1

    assert waited <= 2 * BATCH_SHARE


@given(st.integers(1, 20), st.lists(st.sampled_from(list(Lane)), max_size=60))
def test_places_are_never_overdrawn(max_jobs: int, asked: list[Lane]):
    places = Places(max_jobs)
    for lane in asked:
        if places.for_lane(lane) > 0:
            places.take(lane)

        assert 0 <= places.free <= max_jobs
        assert 0 <= places.for_batch <= places.free
        assert max_jobs == 1 or places.taken[Lane.BATCH] < max_jobs
