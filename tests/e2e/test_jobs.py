"""One job from the command line: its result, its end, and its progress."""

from __future__ import annotations

import json
import signal

import pytest
from redis.asyncio import Redis

from producer.keys import Keys
from tests.support.command_line import Call, StartProgram
from tests.support.small_site import SmallSite

WAIT_S = 90


def test_a_result_that_is_not_there_yet_exits_3(call: Call, site: SmallSite) -> None:
    call("scan", f"{site.url}/guilty", "--id", "mine")

    answer = call("result", "mine")

    assert answer.returncode == 3
    assert "job 'mine' is queued and has no result yet: add --wait" in answer.stderr


@pytest.mark.parametrize("options", [(), ("--wait",), ("--wait", "--fail-on", "minor", "--format", "junit")])
async def test_a_result_that_has_expired_exits_4(
    call: Call, site: SmallSite, redis: Redis, keys: Keys, options: tuple[str, ...]
) -> None:
    call("scan", f"{site.url}/guilty", "--id", "mine")
    call("cancel", "mine")
    await redis.delete(keys.result("mine"))

    answer = call("result", "mine", *options)

    assert (answer.returncode, answer.stdout) == (4, "")
    assert "job 'mine' ended as cancelled, but its result is no longer kept" in answer.stderr


async def test_a_batch_with_an_expired_result_exits_4(call: Call, site: SmallSite, redis: Redis, keys: Keys) -> None:
    call("scan", f"{site.url}/guilty", f"{site.url}/clean", "--batch", "nightly")
    call("cancel", "nightly")
    kept = [key async for key in redis.scan_iter(match=keys.result("nightly-*"))]
    await redis.delete(kept[0])

    answer = call("result", "nightly", "--wait", "--format", "csv")

    assert answer.returncode == 4
    assert len(kept) == 2
    assert answer.stdout.count("no longer kept") == 1


@pytest.mark.parametrize("command", ["status", "result", "cancel"])
def test_an_unknown_job_exits_64(call: Call, command: str) -> None:
    answer = call(command, "nobody")

    assert answer.returncode == 64
    assert "'nobody'" in answer.stderr


def test_a_queued_job_is_cancelled_at_once_and_its_result_exits_2(call: Call, site: SmallSite) -> None:
    call("scan", f"{site.url}/guilty", "--id", "mine")

    cancelled = call("cancel", "mine")

    assert json.loads(cancelled.stdout) == {"v": 1, "job_id": "mine", "state": "cancelled"}
    answer = call("result", "mine")
    assert answer.returncode == 2
    assert "job 'mine' was cancelled" in answer.stderr


async def test_watch_shows_events_and_says_from_where_to_go_on(
    program: StartProgram, call: Call, site: SmallSite
) -> None:
    call("scan", f"{site.url}/guilty", "--id", "mine")
    call("cancel", "mine")
    watching = program("watch", "--since", "0")
    assert watching.stdout is not None
    event = json.loads(watching.stdout.readline())

    watching.send_signal(signal.SIGINT)

    _, said = watching.communicate(timeout=WAIT_S)
    assert (event["event"], event["job_id"]) == ("job.cancelled", "mine")
    assert watching.returncode == 130
    assert f"sightline watch --since {event['id']}" in said


def test_status_tells_of_the_lanes_and_the_missing_workers(call: Call, site: SmallSite) -> None:
    call("scan", f"{site.url}/guilty")

    queue = json.loads(call("status").stdout)

    assert queue["lanes"]["batch"].pop("oldest_ms") >= 0
    assert queue["lanes"]["batch"] == {"queued": 1, "running": 0}
    assert queue["workers"] == []
