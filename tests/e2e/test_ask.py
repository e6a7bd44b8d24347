"""Questions end to end: scanned pages, the command line, workers restarted during a conversation."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from functools import partial
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.cli.ask import plain_answer
from producer.client.client import Client
from producer.contract import JobState, QueryResult
from producer.keys import Keys
from tests.support.command_line import run_sightline
from tests.support.queue import events_of, until
from tests.support.scan_worker import StartScanWorker, environment_for
from tests.support.small_site import SmallSite
from worker.agent.conversation.state import parse_turns
from worker.limits.conversation_hold import thread_tag
from worker.memory.checkpoints import conversation_saver

WAIT_S = 60
WORST = "Which page has the worst barriers?"
MANY = (
    b'<!doctype html><html lang="en"><title>Many</title><main><h1>M</h1>'
    + b'<img src="/x.png">' * 5
    + b"</main></html>"
)


def ask(url: str, keys: Keys, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_sightline(environment_for(url, keys), "ask", *arguments)


async def answered(url: str, keys: Keys, *arguments: str) -> dict[str, Any]:
    """Return the output of ``sightline ask … --wait --json``."""
    run = await asyncio.to_thread(ask, url, keys, *arguments, "--wait", "--json", "--timeout", "50")
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


async def has_begun(client: Client, job_id: str) -> bool:
    return (await client.job(job_id)).state not in {JobState.QUEUED, JobState.SCHEDULED}


async def turns_of(redis: Redis, keys: Keys, thread_id: str) -> list[str]:
    """Return the questions in a conversation's newest step."""
    saver = await conversation_saver(redis, keys, ttl_s=600)
    name = f"{keys.environment}:talk:{thread_tag(thread_id)}"
    kept = await saver.aget_tuple({"configurable": {"thread_id": name, "checkpoint_ns": ""}})
    assert kept is not None
    return [turn.question for turn in parse_turns(kept.checkpoint["channel_values"]["turns"])]


@pytest.fixture
async def scanned(client: Client, start_worker: StartScanWorker, site: SmallSite) -> subprocess.Popen[bytes]:
    """Two pages in the history, the worse one first; returns the worker that runs."""
    site.files["/many"] = MANY
    worker = start_worker()
    for page in ("many", "guilty"):
        job = await client.submit("scan", {"url": f"{site.url}/{page}"}, job_id=page)
        await client.wait(job.job_id, timeout_s=WAIT_S)
    return worker


async def test_a_conversation_goes_on_after_a_restart_of_its_worker(
    scanned: subprocess.Popen[bytes], start_worker: StartScanWorker, site: SmallSite, redis_url: str, keys: Keys
):
    first = await answered(redis_url, keys, WORST, "--thread", "audit: 1")
    scanned.send_signal(signal.SIGTERM)
    await asyncio.to_thread(scanned.wait, 20)
    start_worker()

    second = await answered(redis_url, keys, "What is wrong with that page?", "--thread", "audit: 1")

    assert first["answer"].startswith(
        f"The worst barriers are on \u201cMany\u201d ({site.url}/many): 5 elements (5 critical)"
    )
    assert (first["sources"], first["status"], first["model"]) == (["many", "guilty"], "answered", "builtin")
    assert "Failed rules, worst first: image-alt (critical, 5 elements)" in second["answer"]
    assert second["sources"] == ["many"]
    assert first["thread_id"] == second["thread_id"] == "audit: 1"


async def test_a_worker_killed_during_queries_loses_none_and_doubles_no_turn(
    scanned: subprocess.Popen[bytes], start_worker: StartScanWorker, client: Client, redis: Redis, keys: Keys
):
    # None needs another's answer: which is next after a kill depends on when the dead worker's are taken over.
    asked = {"question": WORST, "thread_id": "a", "use_cache": False}
    jobs = [await client.submit("query", asked) for _ in range(5)]
    await until(partial(has_begun, client, jobs[0].job_id), what="the first query being run")
    scanned.send_signal(signal.SIGKILL)
    scanned.wait()

    start_worker(LEASE_S="2")
    results = [await client.wait(job.job_id, timeout_s=WAIT_S) for job in jobs]
    last = await client.wait(
        (await client.submit("query", {"question": "Hm?", "thread_id": "a"})).job_id, timeout_s=WAIT_S
    )

    assert [result.state for result in results] == [JobState.SUCCEEDED] * 5
    assert [result.sources[0] for result in results if isinstance(result, QueryResult)] == ["many"] * 5
    assert isinstance(last, QueryResult)
    ends = [json.loads(line) for line in await events_of(redis, keys)]
    assert sum(event["event"] == "job.succeeded" and event["kind"] == "query" for event in ends) == 6
    assert await turns_of(redis, keys, "a") == [*[WORST] * 5, "Hm?"]


async def test_questions_of_one_thread_are_answered_one_after_the_other_and_cost_no_attempt(
    scanned: subprocess.Popen[bytes], start_worker: StartScanWorker, client: Client
):
    assert scanned.poll() is None
    start_worker()
    questions = (WORST, "And the second worst?", "What is wrong with that page?", "And the second worst?")
    jobs = [await client.submit("query", {"question": question, "thread_id": "a"}) for question in questions]

    results = [await client.wait(job.job_id, timeout_s=WAIT_S) for job in jobs]

    assert [result.sources[0] for result in results if isinstance(result, QueryResult)] == [
        "many", "guilty", "guilty", "guilty",
    ]  # fmt: skip
    assert [(await client.job(job.job_id)).attempt for job in jobs] == [1] * 4


async def test_the_same_question_again_is_cached_until_somebody_scans(
    scanned: subprocess.Popen[bytes], client: Client, site: SmallSite, redis_url: str, keys: Keys
):
    assert scanned.poll() is None
    first = await answered(redis_url, keys, WORST)
    again = await answered(redis_url, keys, WORST)
    fresh = await answered(redis_url, keys, WORST, "--no-cache")
    await client.wait((await client.submit("scan", {"url": f"{site.url}/guilty"})).job_id, timeout_s=WAIT_S)
    later = await answered(redis_url, keys, WORST)

    assert [one["status"] for one in (first, again, fresh, later)] == ["answered", "cached", "answered", "answered"]
    assert again["answer"] == first["answer"]
    assert again["usage"]["cache_hit"]


async def test_a_scan_that_builtin_is_asked_for_is_not_queued_and_names_the_settings(
    scanned: subprocess.Popen[bytes], client: Client, site: SmallSite, redis: Redis, keys: Keys
):
    assert scanned.poll() is None
    asked = await client.submit("query", {"question": f"Scan {site.url}/guilty please"}, job_id="q")

    answer = await client.wait(asked.job_id, timeout_s=WAIT_S)

    assert isinstance(answer, QueryResult)
    assert "CHAT_MODEL" in answer.answer
    jobs = {key.decode().removeprefix(keys.job("")) async for key in redis.scan_iter(match=f"{keys.job('')}*")}
    assert {job for job in jobs if not job.startswith("assess.")} == {"many", "guilty", "q"}


async def test_a_question_added_by_hand_is_answered(
    scanned: subprocess.Popen[bytes], client: Client, redis: Redis, keys: Keys
):
    assert scanned.poll() is None
    entry = await redis.xadd(keys.lane("interactive"), {"kind": "query", "payload": json.dumps({"question": WORST})})

    result = await client.wait(f"interactive-{entry.decode()}", timeout_s=WAIT_S)

    assert isinstance(result, QueryResult)
    assert result.sources == ("many", "guilty")


# ---------------------------------------------------------------------------------------------- the command


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["  "], "the question is empty"),
        (["Why?", "--site", "localhost:shop"], "such as shop.example or localhost:3000"),
        (["Why?", "--site", "not a host"], "--site 'not a host'"),
        (["Why?", "--timeout", "0"], "timeout"),
        ([], "QUESTION"),
        (["x" * 20_001], "question"),
    ],
)
def test_a_wrong_call_exits_64(arguments: list[str], said: str, redis_url: str, keys: Keys):
    run = ask(redis_url, keys, *arguments)

    assert run.returncode == 64
    assert said in run.stderr
    assert "Traceback" not in run.stderr


def test_without_a_worker_the_question_waits_and_the_command_says_how_to_go_on(redis_url: str, keys: Keys):
    queued = ask(redis_url, keys, WORST)
    late = ask(redis_url, keys, WORST, "--timeout", "0.3")

    assert (queued.returncode, set(json.loads(queued.stdout))) == (0, {"job_id"})
    assert late.returncode == 3
    assert json.loads(late.stdout)["state"] == "waiting"
    assert "sightline result" in late.stderr


async def test_a_question_without_an_answer_exits_2_and_says_why(client: Client, redis_url: str, keys: Keys):
    waiting = asyncio.create_task(asyncio.to_thread(ask, redis_url, keys, WORST, "--wait"))
    lane = keys.lane("interactive")
    await until(lambda: client.redis.xlen(lane), what="the question in its lane")
    ((_, fields),) = cast("list[Any]", await client.redis.xrange(lane))
    job_id = fields[b"id"].decode()
    await client.cancel(job_id)

    run = await waiting

    assert run.returncode == 2
    assert f"question '{job_id}' was cancelled" in run.stderr


def test_a_person_reads_the_answer_its_sources_its_notes_and_how_to_go_on():
    result = QueryResult(
        answer="The cart [scan s1].\x1b[31m", sources=("s1",), cached=True, thread_id="a", model="m:1b",
        prompt="ask-1", notes=("given 3 s ago",),
    )  # fmt: skip

    assert plain_answer(result).splitlines() == [
        "The cart [scan s1].[31m",
        "",
        "Sources:",
        "  scan s1",
        "Note: given 3 s ago",
        "status: cached   model: m:1b   prompt: ask-1",
        "Continue with: --thread a",
    ]
