"""Any entry added to a lane is classified: a possible job, or one to dead-letter with its reason."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from producer.contract import JOB_ID, Lane
from producer.errors import InvalidJob
from tests.fuzz.strange import BYTES, JSON, as_json
from worker.queue.delivery import check_entry, entries_of

NAMES = st.one_of(st.sampled_from([b"id", b"kind", b"payload", b"args", b"v"]), BYTES)
VALUES = st.one_of(BYTES, JSON.map(as_json).map(str.encode), st.sampled_from([b"scan", b"1", b"{}", b"[]", b"job-1"]))


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6))
def test_an_entry_can_be_a_job_or_is_refused_with_a_reason(pairs: list[tuple[bytes, bytes]]):
    flat = [part for pair in pairs for part in pair]

    (entry,) = entries_of(Lane.BATCH, [(b"1-1", flat)])

    assert JOB_ID.fullmatch(entry.job_id)
    try:
        check_entry(entry)
    except InvalidJob as error:
        assert str(error)
        assert len(str(error)) < 1_000
    else:
        assert entry.kind
