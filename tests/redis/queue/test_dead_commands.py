"""``sightline dead``: its output, and that one failure does not affect other letters."""

from __future__ import annotations

import json

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.keys import Keys
from tests.support.command_line import Call, drawn_by_sightline
from tests.support.queue import BOOM, start_one
from tests.support.scan_worker import environment_for
from worker.queue.stream import JobStream


@pytest.fixture
async def letters(client: Client, stream: JobStream) -> list[str]:
    """The ids of two jobs that died, the older first."""
    ids: list[str] = []
    for _ in range(2):
        ids.append((await client.submit("add", {"a": 1})).job_id)
        await stream.bury(await start_one(stream), BOOM)
    return ids


async def test_a_letter_is_shown_whole_to_a_program_and_to_a_person(
    letters: list[str], redis_url: str, keys: Keys, redis: Redis, call: Call
) -> None:
    entry = (await redis.xadd(keys.dead, {"error": "not_a_job", "raw:color": "r\x1b[31m"})).decode()
    listed = [json.loads(line) for line in call("dead", "list", "--limit", "2").stdout.splitlines()]
    shown = json.loads(call("dead", "show", letters[0]).stdout)
    code, drawn = drawn_by_sightline(environment_for(redis_url, keys), "dead", "show", entry)

    assert listed[0]["entry"] == entry
    assert listed[1]["job_id"] == letters[1]
    assert (shown["v"], shown["kind"], shown["payload"], shown["reason"]) == (1, "add", '{"a":1}', "it broke")
    assert code == 0
    labels = [line.split(" ")[0] for line in drawn.splitlines()]
    assert labels == ["entry", "died", "job", "kind", "lane", "attempts", "error", "reason", "payload", "raw"]
    assert "raw color  r[31m" in drawn


async def test_what_cannot_be_replayed_is_said_after_the_rest_is(
    letters: list[str], keys: Keys, redis: Redis, call: Call
) -> None:
    done = call("dead", "replay", "nobody", letters[0], "no-one")

    assert done.returncode == 64
    assert done.stdout == f"queued again: {letters[0]}\n"
    assert [line.partition("'")[2].partition("'")[0] for line in done.stderr.splitlines()] == ["no-one", "nobody"]
    assert await redis.xlen(keys.dead) == 1


async def test_all_letters_are_dropped_and_counted(letters: list[str], keys: Keys, redis: Redis, call: Call) -> None:
    assert len(letters) == 2

    dropped, again = call("dead", "drop", "--all"), call("dead", "drop", "--all")

    assert (dropped.returncode, dropped.stdout) == (0, "dropped 2 dead letters\n")
    assert (again.returncode, again.stdout) == (0, "dropped 0 dead letters\n")
    assert await redis.xlen(keys.dead) == 0


@pytest.mark.parametrize("words", [("replay",), ("drop", "x", "--all")])
def test_letters_are_named_or_all_are_meant(call: Call, words: tuple[str, ...]) -> None:
    done = call("dead", *words)

    assert done.returncode == 64
    assert "name the dead letters, or use --all" in done.stderr


async def test_a_letter_is_one_line_of_the_list_whatever_its_reason_says(
    redis_url: str, keys: Keys, redis: Redis
) -> None:
    await redis.xadd(keys.dead, {"id": "a", "kind": "scan", "error": "ScanFailed", "reason": "it broke\nb  scan  fine"})

    code, drawn = drawn_by_sightline(environment_for(redis_url, keys), "dead", "list")

    assert (code, len(drawn.splitlines())) == (0, 1)
    assert "ScanFailed: it broke b scan fine" in drawn
