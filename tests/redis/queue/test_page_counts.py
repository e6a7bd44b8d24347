"""Pages are counted by outcome, once per job, in the commit of their scan."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

from redis.asyncio import Redis

from producer.cli.status_text import batch_lines
from producer.client.client import Client
from producer.client.queue_info import BatchInfo
from producer.contract import ScanRequest, ScanStatus
from producer.contract.page_counts import PageCounts
from producer.keys import Keys
from producer.stored.schedules import Schedule, Schedules
from producer.views.board import read_board
from tests.support.command_line import Call
from tests.support.committing import started
from tests.support.queue import events_of
from tests.support.scans import scan_result
from worker.agent.handlers import scan_commit
from worker.agent.state import Recalled, new_state
from worker.memory.vectors.embeddings import Embedded
from worker.metrics.batches import read_batches
from worker.queue.outcome import Commit
from worker.queue.stream import JobStream

STATUSES: tuple[ScanStatus, ...] = ("scanned", "unreachable", "unreachable", "blocked", "partial")


def commit_of(job_id: str, status: ScanStatus, keys: Keys, batch: str) -> Commit:
    """What the handler makes of a page that came to ``status``."""
    request = ScanRequest(url=f"https://shop.example/{job_id}", assess=False)
    state = new_state(job_id, request.model_dump_json())
    state.update(
        result=scan_result(url=str(request.url), status=status).model_dump_json(),
        recalled=Recalled().model_dump_json(),
        embedded=Embedded("", {}).pack(),
        seen_ms=1,
    )
    return scan_commit(state, keys, shot_ttl_s=60, batch=batch)


async def scan_all(stream: JobStream, client: Client, redis: Redis, keys: Keys, batch: str = "nightly") -> None:
    """A sealed batch of a page for each of STATUSES, all committed; the first commit twice, as after a lost reply."""
    await redis.execute_command("HSET", keys.batch(batch), "total", len(STATUSES), "done", 0)
    await client.seal_batch(batch)
    for number, status in enumerate(STATUSES):
        delivery = replace(await started(redis, keys, f"{batch}.{number}"), batch=batch)
        commit = commit_of(delivery.job_id, status, keys, batch)
        assert await stream.finish(delivery, commit=commit) == "committed"
        if not number:
            assert await stream.finish(delivery, commit=commit) == "already"


async def test_a_batch_says_what_became_of_its_pages_and_counts_each_once(
    stream: JobStream, client: Client, redis: Redis, keys: Keys
):
    await scan_all(stream, client, redis, keys)

    batch = await client.batch("nightly")
    ends = [line for line in map(json.loads, await events_of(redis, keys)) if line["event"] == "batch.finished"]

    expected = {"scanned": 1, "partial": 1, "unreachable": 2, "blocked": 1}
    assert batch.pages == PageCounts(**expected)
    assert batch.missed == 3
    assert [line["pages"] for line in ends] == [expected]
    assert "  NOT SCANNED: 3 of 5 pages (60%)" in list(batch_lines(batch))


async def test_status_checks_a_batch_by_its_exit_code(
    stream: JobStream, client: Client, redis: Redis, keys: Keys, call: Call
):
    await scan_all(stream, client, redis, keys)

    seen, checked = call("status", "nightly", "--json"), call("status", "nightly", "--check")

    assert seen.returncode == 0
    assert json.loads(seen.stdout)["pages"]["unreachable"] == 2
    assert checked.returncode == 2


async def test_a_batch_that_was_cancelled_or_scanned_in_part_is_no_pass(redis: Redis, keys: Keys, call: Call):
    fields: dict[str, dict[str, int]] = {
        "cancelled": {"succeeded": 2, "pages:scanned": 2, "cancelled": 1},
        "partial": {"succeeded": 3, "pages:scanned": 2, "pages:partial": 1},
        "passed": {"succeeded": 3, "pages:scanned": 3},
    }
    for name, counts in fields.items():
        ended = {"total": 3, "done": 3, "sealed": 1, "finished_ms": 2, **counts}
        await redis.execute_command("HSET", keys.batch(name), *(text for pair in ended.items() for text in pair))

    codes = {name: call("status", name, "--check").returncode for name in fields}

    assert codes == {"cancelled": 2, "partial": 2, "passed": 0}


async def test_the_board_shows_a_batch_that_has_ended_and_pages_that_were_not_scanned(
    stream: JobStream, client: Client, redis: Redis, keys: Keys
):
    await scan_all(stream, client, redis, keys)

    board = await read_board(client)

    assert [(batch.batch_id, batch.missed) for batch in board.ended] == [("nightly", 3)]
    assert (board.recent.counts["unreachable"], board.recent.counts["blocked"]) == (2, 1)


async def test_a_schedules_newest_run_is_measured_and_listed_with_its_pages(
    stream: JobStream, client: Client, redis: Redis, keys: Keys, call: Call
):
    schedules = Schedules(client)
    nightly = Schedule("nightly", "0 3 * * *", "scan", ({"url": "https://shop.example/"},))
    due = datetime(2026, 5, 4, 3, tzinfo=UTC)
    await schedules.add(nightly, now=datetime(2026, 5, 4, 2, tzinfo=UTC))
    await redis.execute_command("HSET", keys.schedules, "nightly:fired", int(due.timestamp() * 1000))
    for batch in ("nightly-20260503T0300", nightly.batch_id(due), "by hand"):
        await scan_all(stream, client, redis, keys, batch)

    facts = await read_batches(redis, keys)
    listed = json.loads(call("schedule", "list", "--json").stdout)

    assert {(batch.batch_id, name) for batch, name in facts.batches} == {
        ("nightly-20260504T0300", "nightly"),
        ("by hand", ""),
    }
    assert facts.late_s["nightly"] > 86_400
    assert (listed["last"]["batch_id"], listed["last"]["pages"]["unreachable"]) == ("nightly-20260504T0300", 2)


async def test_a_time_that_is_no_number_hides_no_other_fact(client: Client, redis: Redis, keys: Keys):
    nightly = Schedule("nightly", "0 3 * * *", "scan", ({"url": "https://shop.example/"},))
    await Schedules(client).add(nightly, now=datetime(2026, 5, 4, 2, tzinfo=UTC))
    await redis.execute_command("HSET", keys.schedules, "nightly:fired", "soon")

    facts = await read_batches(redis, keys)

    assert facts.late_s["nightly"] > 86_400


def test_batches_of_earlier_releases_are_read_without_counts_of_pages():
    batch = BatchInfo.of("old", {b"total": b"2", b"done": b"2", b"succeeded": b"1", b"dead": b"1", b"sealed": b"1"})

    assert (batch.pages, batch.missed) == (PageCounts(), 0)
    assert not any("page" in line for line in batch_lines(batch))
