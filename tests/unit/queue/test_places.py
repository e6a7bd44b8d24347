"""Which lane the next slots go to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.contract import Lane
from worker.queue.loop import BATCH_SHARE, Slots


def test_one_slot_is_kept_for_interactive():
    slots = Slots(3)
    slots.take(Lane.BATCH)
    slots.take(Lane.BATCH)

    assert (slots.free, slots.for_batch) == (1, 0)
    assert slots.for_lane(Lane.INTERACTIVE) == 1


def test_a_single_slot_is_open_to_both_lanes():
    assert Slots(1).for_batch == 1


def test_interactive_jobs_may_take_every_slot():
    slots = Slots(2)
    slots.take(Lane.INTERACTIVE)
    slots.take(Lane.INTERACTIVE)

    assert (slots.free, slots.for_batch) == (0, 0)


@pytest.mark.parametrize("bulk", [1, 2, 3, 7])
def test_one_claim_in_five_is_batchs_turn_while_interactive_floods(bulk: int):
    slots, taken = Slots(1_000), {Lane.INTERACTIVE: 0, Lane.BATCH: 0}

    for _ in range(600 // bulk):
        turns = min(bulk, slots.batch_turns(bulk))
        slots.note_claim(interactive=bulk - turns, batch=turns)
        taken[Lane.BATCH] += turns
        taken[Lane.INTERACTIVE] += bulk - turns

    share = sum(taken.values()) / taken[Lane.BATCH]
    assert abs(share - BATCH_SHARE) < 0.1


def test_a_night_of_batch_alone_costs_batch_no_more_than_a_moment():
    slots = Slots(10)
    for _ in range(1_000):
        slots.note_claim(interactive=0, batch=10)

    waited = 0
    while slots.batch_turns(1) == 0:
        slots.note_claim(interactive=1, batch=0)
        waited += 1

    assert waited <= 2 * BATCH_SHARE


@given(st.integers(1, 20), st.lists(st.sampled_from(list(Lane)), max_size=60))
def test_slots_are_never_overdrawn(max_jobs: int, asked: list[Lane]):
    slots = Slots(max_jobs)
    for lane in asked:
        if slots.for_lane(lane) > 0:
            slots.take(lane)

        assert 0 <= slots.free <= max_jobs
        assert 0 <= slots.for_batch <= slots.free
        assert max_jobs == 1 or slots.taken[Lane.BATCH] < max_jobs
