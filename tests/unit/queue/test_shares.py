"""The exact share of each lane: credit of an idle lane, and debt."""

from __future__ import annotations

from producer.contract import Lane
from worker.queue.loop import BATCH_SHARE, Slots


def idle_slots() -> Slots:
    return Slots(100, dict.fromkeys(Lane, ()))


def test_batch_jobs_that_wait_after_a_flood_of_questions_get_one_turn_and_not_all_missed_ones():
    slots = idle_slots()
    for _ in range(50):
        slots.note_claim(interactive=1, batch=0)

    assert slots.batch_turns(1) == 1
    assert slots.batch_turns(BATCH_SHARE) == 1
    assert slots.batch_turns(BATCH_SHARE + 1) == 2


def test_after_many_batch_jobs_the_next_turn_comes_after_twice_as_many_questions_as_usual():
    slots = idle_slots()
    slots.note_claim(interactive=0, batch=50)

    questions = 0
    while slots.batch_turns(1) == 0:
        slots.note_claim(interactive=1, batch=0)
        questions += 1

    assert questions == 2 * (BATCH_SHARE - 1)


def test_a_new_worker_gives_batch_its_first_turn_after_four_questions():
    slots = idle_slots()

    assert slots.batch_turns(BATCH_SHARE - 1) == 0
    assert slots.batch_turns(BATCH_SHARE) == 1
