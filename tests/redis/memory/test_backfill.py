"""Missing vectors of documents are backfilled by one worker at a time."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from structlog.testing import capture_logs

from producer.errors import ModelError
from tests.support.queue import until
from tests.support.two_models import NEW, OLD, Environment
from worker.memory.vectors import backfill as backfilling
from worker.memory.vectors.backfill import AGAIN_S, backfill_in_turn, keep_backfilled
from worker.memory.vectors.documents import Documents
from worker.memory.vectors.embeddings import Embedded
from worker.models.builtin.models import BuiltinEmbedder


async def test_a_document_written_while_the_model_was_away_gets_its_vector_later(place: Environment):
    await place.scan("lost", Embedded("a lost text", {}))

    async with keep_backfilled(place.embeddings, every_s=0.05):
        await until(partial(place.is_whole, OLD), what="the missing vector")

    assert (await place.history.search("a lost text", limit=1))[0].record.scan_id == "lost"


async def test_one_worker_of_all_backfills_within_a_minute(place: Environment):
    await place.scan("lost", Embedded("a lost text", {}))

    written = await asyncio.gather(*(backfill_in_turn(place.worker()) for _ in range(6)))

    assert sorted(written) == [0, 0, 0, 0, 0, 1]
    assert 0 < await place.redis.pttl(place.keys.backfill) <= 60_000


async def test_a_document_of_an_earlier_release_without_a_text_is_looked_at_once(place: Environment):
    await place.redis.execute_command("HSET", place.keys.scan("ancient"), "page", "p9", "status", "scanned")

    first = await backfill_in_turn(place.embeddings, every_s=0.001)

    assert first == 1
    assert (await place.fields(place.keys.scan("ancient")))["embedded"] == b"never"
    assert await place.is_whole(OLD)


async def test_a_failing_model_ends_no_worker(place: Environment):
    await place.reindex()
    await place.scan("lost", Embedded("a lost text", {}))
    place.other.down, place.other.calls = 0, 0

    async with keep_backfilled(place.embeddings, every_s=0.02):
        await until(lambda: place.other.calls > 1, what="a second try")
        place.other.down = -1
        await until(partial(place.is_whole, NEW), what="the missing vector")


async def test_an_error_that_nobody_foresaw_is_logged_and_ends_no_later_round(
    place: Environment, monkeypatch: pytest.MonkeyPatch
):
    await place.scan("lost", Embedded("a lost text", {}))
    failures = [ValueError("no such address")]

    async def fails_once(_: object) -> int:
        if failures:
            raise failures.pop()
        return 0

    monkeypatch.setattr(backfilling, "respell_in_turn", fails_once)
    with capture_logs() as logs:
        async with keep_backfilled(place.embeddings, every_s=0.02):
            await until(partial(place.is_whole, OLD), what="the missing vector")

    (entry,) = [entry for entry in logs if entry["event"] == "background.failed"]
    assert (entry["task"], entry["error"]) == ("backfill", "ValueError: no such address")
    assert isinstance(entry["exc_info"], ValueError)


async def test_documents_that_cannot_be_written_are_embedded_once_a_round(
    place: Environment, monkeypatch: pytest.MonkeyPatch
):
    await place.scan("lost", Embedded("a lost text", {}))

    async def lacking(*_: object, **__: object) -> list[tuple[str, str]]:
        return [(place.keys.scan("lost"), "another text")]

    monkeypatch.setattr(Documents, "lacking", lacking)

    assert await asyncio.wait_for(backfill_in_turn(place.embeddings, every_s=0.001), 10) == 0


async def test_a_text_that_the_model_refuses_is_marked_and_stops_no_other(place: Environment):
    await place.reindex()
    for name in ("one", "poison", "two"):
        await place.scan(name, Embedded(f"a text of {name}", {}))
    place.other.refuses = "poison"

    with capture_logs() as logs:
        written = await backfill_in_turn(place.embeddings, every_s=0.001)

    assert written == 3
    assert [entry["event"] for entry in logs if "refused" in entry["event"]] == ["vectors.refused"]
    found = {one.record.scan_id for one in await place.history.search("a text of two", limit=9)}
    assert ({"one", "two"} <= found, "poison" in found) == (True, False)
    assert (await place.history.get("poison")) is not None


async def test_a_text_that_the_model_does_not_take_whole_has_a_vector_and_says_how_much_is_in_it(place: Environment):
    await place.reindex()
    await place.scan("long", Embedded("a text of long", {}))
    place.other.takes = 6

    await backfill_in_turn(place.embeddings, every_s=0.001)

    fields = await place.fields(place.keys.scan("long"))
    assert len(fields["vector_2"]) == 64 * 2
    assert fields["vector_2_note"] == b"shortened: the first 6 of 14 characters"
    place.other.takes = 0
    await place.reindex(BuiltinEmbedder())
    assert not [name for name in await place.fields(place.keys.scan("long")) if name.startswith("vector_2")]


async def test_a_shortened_text_is_marked_by_its_scan_and_through_its_checkpoint(place: Environment):
    await place.reindex()
    place.other.takes = 6

    (embedded,), _ = await place.embeddings.documents(["a text of long"])
    kept = Embedded.parse(embedded.pack())

    assert kept == embedded
    assert kept.fields()["vector_2_note"] == "shortened: the first 6 of 14 characters"
    assert Embedded.parse('["words", {"1": "AAA="}]').notes == {}  # as earlier releases packed it


async def test_a_text_that_breaks_the_model_is_marked_with_the_reason(place: Environment):
    await place.reindex()
    for name in ("one", "poison", "two"):
        await place.scan(name, Embedded(f"a text of {name}", {}))
    place.other.breaks = "poison"

    written = await backfill_in_turn(place.embeddings, every_s=0.001)

    fields = await place.fields(place.keys.scan("poison"))
    assert written == 3
    assert (fields["vector_2_note"], "vector_2" in fields) == (b"refused: the runner process has terminated", False)
    assert await place.is_whole(NEW)


@pytest.mark.parametrize("how", ["breaks", "refuses"])
async def test_a_model_that_fails_on_everything_marks_no_text(place: Environment, how: str):
    await place.reindex()
    await place.scan("one", Embedded("a text of one", {}))
    setattr(place.other, how, "a")

    with pytest.raises(ModelError):
        await backfill_in_turn(place.embeddings, every_s=30)

    assert not await place.is_whole(NEW)
    assert 0 < await place.redis.pttl(place.keys.backfill) <= AGAIN_S * 1_000
