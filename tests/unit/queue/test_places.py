"""The assignment of the next slots to lanes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.contract import Lane
from worker.queue.loop import BATCH_SHARE, Slots


def slots_of(max_jobs: int, *, interactive: int = 0, batch: int = 0) -> Slots:
    return Slots(max_jobs, {Lane.INTERACTIVE: range(interactive), Lane.BATCH: range(batch)})


def test_one_slot_is_kept_for_interactive():
    slots = slots_of(3, batch=2)

    assert (slots.free, slots.for_batch) == (1, 0)
    assert slots.for_lane(Lane.INTERACTIVE) == 1


def test_a_single_slot_is_open_to_both_lanes():
    assert slots_of(1).for_batch == 1


def test_interactive_jobs_may_take_every_slot():
    slots = slots_of(2, interactive=2)

    assert (slots.free, slots.for_batch) == (0, 0)


@pytest.mark.parametrize("bulk", [1, 2, 3, 7])
def test_one_claim_in_five_is_for_batch_while_interactive_jobs_flood_the_queue(bulk: int):
    slots, taken = slots_of(1_000), {Lane.INTERACTIVE: 0, Lane.BATCH: 0}

    for _ in range(600 // bulk):
        turns = min(bulk, slots.batch_turns(bulk))
        slots.note_claim(interactive=bulk - turns, batch=turns)
        taken[Lane.BATCH] += turns
        taken[Lane.INTERACTIVE] += bulk - turns

    share = sum(taken.values()) / taken[Lane.BATCH]
    assert abs(share - BATCH_SHARE) < 0.1


def test_after_many_batch_jobs_alone_batch_waits_only_briefly_for_its_next_turn():
    slots = slots_of(10)
    for _ in range(1_000):
        slots.note_claim(interactive=0, batch=10)

    waited = 0
    while slots.batch_turns(1) == 0:
        slots.note_claim(interactive=1, batch=0)
        waited += 1

    assert waited <= 2 * BATCH_SHARE


@given(st.integers(1, 20), st.lists(st.sampled_from(list(Lane)), max_size=60))
def test_slots_are_never_overdrawn(max_jobs: int, asked: list[Lane]):
    holders: dict[Lane, list[Lane]] = {lane: [] for lane in Lane}
    slots = Slots(max_jobs, holders)
    for lane in asked:
        if slots.for_lane(lane) > 0:
            holders[lane].append(lane)

        assert 0 <= slots.free <= max_jobs
        assert 0 <= slots.for_batch <= slots.free
        assert max_jobs == 1 or len(holders[Lane.BATCH]) < max_jobs
