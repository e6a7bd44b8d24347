from __future__ import annotations

from collections.abc import Mapping

import pytest

from producer.client.lane_view import LaneInfo
from producer.client.queue_info import QueueInfo, WorkerInfo
from producer.keys import Keys
from worker.doctor.index_health import IndexFacts, index_line, reindex_lines, vectors_line
from worker.doctor.lifetimes import kind_of
from worker.doctor.line import Level
from worker.doctor.paraphrases import Pair, advice, distances
from worker.doctor.workers_and_models import browser_line, model_line, queue_lines
from worker.memory.vectors.generations import Generation, Record
from worker.models.builtin.models import BuiltinEmbedder

KEYS = Keys("prod")
WHOLE = IndexFacts(documents=12, failures=0, is_building=False, dims=768)
NOMIC = Generation(1, "nomic-embed-text", 768)
MXBAI = Generation(2, "mxbai", 1024)


@pytest.mark.parametrize(
    ("facts", "level", "said"),
    [
        (WHOLE, Level.OK, "12 documents"),
        (None, Level.ERROR, "missing"),
        (IndexFacts(12, 0, is_building=False, dims=256), Level.ERROR, "256 dimensions"),
        (IndexFacts(12, 3, is_building=False, dims=768), Level.WARNING, "could not index 3"),
        (IndexFacts(12, 0, is_building=True, dims=768), Level.WARNING, "being built"),
    ],
)
def test_an_index_is_judged_by_redis_reply(facts: IndexFacts | None, level: Level, said: str):
    line = index_line("index of scans", facts, NOMIC)

    assert (line.level, said in line.text) == (level, True)
    assert bool(line.todo) is (level is not Level.OK)


@pytest.mark.parametrize(
    ("record", "model", "dims", "level", "todo"),
    [
        (Record(NOMIC), "nomic-embed-text", 768, Level.OK, ""),
        (Record(NOMIC), "nomic-embed-text", 0, Level.OK, ""),
        (Record(NOMIC, coming=MXBAI), "mxbai", 1024, Level.OK, ""),
        (
            Record(MXBAI, previous="nomic-embed-text"),
            "nomic-embed-text",
            768,
            Level.WARNING,
            "set EMBEDDING_MODEL=mxbai",
        ),
        (Record(NOMIC), "mxbai", 1024, Level.ERROR, "sightline reindex --to mxbai"),
        (Record(NOMIC), "nomic-embed-text", 512, Level.ERROR, "sightline reindex --to nomic-embed-text"),
    ],
)
def test_the_embedding_model_is_judged_by_the_record(record: Record, model: str, dims: int, level: Level, todo: str):
    line = vectors_line(record, model=model, dims=dims)

    assert line.level is level
    assert todo in line.todo


def test_vectors_that_could_be_half_as_large_are_reported_and_are_no_error():
    line = vectors_line(Record(Generation(1, "nomic", 768, bits=32)), model="nomic", dims=768)

    assert line.level is Level.OK
    assert line.text.endswith("(768 dimensions of 32 bits); to halve their size: sightline reindex --to nomic")


def test_missing_vectors_and_a_change_of_model_are_reported_with_the_command():
    lines = reindex_lines(Record(NOMIC, coming=MXBAI), {NOMIC: 2, MXBAI: 1_234})
    left = reindex_lines(Record(MXBAI, retired=NOMIC), {MXBAI: 0})

    assert [line.text.partition(" ")[0] for line in lines] == ["2", "a"]
    assert "1,234 documents to go" in lines[1].text
    assert "sightline reindex --to mxbai" in lines[1].todo
    assert "sightline reindex --to mxbai" in left[0].todo
    assert reindex_lines(Record(NOMIC), {NOMIC: 0}) == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (KEYS.job("j"), "job"),
        (KEYS.result("j"), "result"),
        (KEYS.shot("j"), "shot"),
        (KEYS.secret("j"), "secret"),
        (KEYS.thread("t-1"), "thread"),
        (f"{KEYS.checkpoints}:t:1", "checkpoint"),
        (f"{KEYS.checkpoint_writes}:t:1", "checkpoint"),
        ("write_keys_zset:prod:scan:j", "checkpoint"),
        (f"{KEYS.cache('256:builtin')}:abc", "cache"),
        (KEYS.cache_stats, ""),
        (KEYS.scan("j"), ""),
        (KEYS.site("result:x"), ""),
        (KEYS.lane("batch"), ""),
        (Keys("prod-eu").result("j"), ""),
        ("write_keys_zset:prod-eu:scan:j", ""),
        ("result:j", ""),
    ],
)
def test_keys_that_should_end_are_told_from_those_that_are_kept(name: str, kind: str):
    assert kind_of(KEYS, name) == kind


def queue(*, waiting: int = 0, dead: int = 0, alive: bool = False) -> QueueInfo:
    worker = WorkerInfo.of({"name": "w1", "host": "h", "max_jobs": 3, "jobs": ["j"]})
    return QueueInfo({"batch": LaneInfo(waiting, 0)}, 0, dead, (worker,) if alive else ())


@pytest.mark.parametrize(
    ("seen", "levels"),
    [
        (queue(alive=True, waiting=5), (Level.OK, Level.OK)),
        (queue(), (Level.WARNING, Level.OK)),
        (queue(waiting=1), (Level.ERROR, Level.OK)),
        (queue(alive=True, dead=2), (Level.OK, Level.WARNING)),
    ],
)
def test_jobs_that_wait_without_a_worker_are_an_error(seen: QueueInfo, levels: tuple[Level, Level]):
    assert tuple(line.level for line in queue_lines(seen)) == levels


@pytest.mark.parametrize(
    ("has", "level"),
    [
        ({"a": frozenset({"qwen3.5:4b"}), "b": frozenset({"qwen3.5:4b"})}, Level.OK),
        ({"a": frozenset({"qwen3.5:4b"}), "b": frozenset({"qwen3.5:8b"})}, Level.WARNING),
        ({"a": frozenset({"qwen3.5:latest"})}, Level.ERROR),
    ],
)
def test_a_missing_model_is_reported_with_the_command(has: Mapping[str, frozenset[str]], level: Level):
    line = model_line("CHAT_MODEL", "qwen3.5:4b", has)

    assert line.level is level
    assert line.todo == ("" if level is Level.OK else "run there: ollama pull qwen3.5:4b")


def test_a_missing_browser_is_an_error_with_the_package_to_install():
    line = browser_line("/nowhere/chromium")

    assert line.level is Level.ERROR
    assert "/nowhere/chromium" in line.text
    assert "apt-get install" in line.todo


def pair(distance: float, *, same: bool) -> Pair:
    return Pair("a", "b", asks_the_same=same, distance=distance)


@pytest.mark.parametrize(
    ("same", "other", "said"),
    [
        ((0.05, 0.2), (0.4,), "from 0.2 to below 0.4"),
        ((0.05, 0.5), (0.4,), "stay below 0.4"),
        ((0.05,), (0.08,), "set CACHE_DISTANCE_THRESHOLD below 0.08"),
    ],
)
def test_advice_on_the_threshold_follows_from_the_distances(
    same: tuple[float, ...], other: tuple[float, ...], said: str
):
    pairs = [*(pair(one, same=True) for one in same), *(pair(one, same=False) for one in other)]

    assert said in advice(pairs, threshold=0.1)


async def test_distances_are_shown_for_choosing_the_threshold():
    same_words = "the same words"
    same, other = await distances(BuiltinEmbedder(), [(same_words, same_words, True), ("apples", "zebra", False)])

    assert same == Pair(same_words, same_words, asks_the_same=True, distance=0.0)
    assert other.distance > 0.8
