"""While no model host is reachable, changes that need none are tried before the assessment."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import AssessmentSource, JsonObject, ScanResult, Usage
from producer.contract.fixes import FIRST
from producer.contract.payloads import ASSESS, FIX, assess_job_id
from producer.errors import Busy, ModelUnreachable
from producer.keys import Keys
from tests.redis.agent.scanning import HOME, graph, jobs
from tests.redis.agent.test_fix_jobs import TryingEngine, labelled
from tests.support.queue import DEADLINE_S, events_of, running_worker, until
from tests.support.scans import FixedEngine, scan_result
from worker.agent.assessment import job as assess_job
from worker.agent.assessment.job import AssessJobs
from worker.agent.fixes.job import ATTEMPTS, FixJobs
from worker.agent.fixes.model import ModelProposer
from worker.agent.handlers import ScanJobs
from worker.agent.job_secrets import secrets_of
from worker.agent.spread import Spread
from worker.memory.history.history import History
from worker.models.protocols import ChatReply, Message, Tool
from worker.queue.outcome import EntryWrite, ReplaceWrite
from worker.queue.worker import func


class Outage:
    """A model without a host until ``is_away`` is False; then it explains and proposes."""

    name = "m"

    def __init__(self) -> None:
        self.is_away = True
        self.tasks: Counter[str] = Counter()

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonObject | None = None, tools: Sequence[Tool] = ()
    ) -> ChatReply:
        del schema, tools
        asked = json.loads(messages[1].content)
        self.tasks[asked["task"]] += 1
        if self.is_away:
            raise ModelUnreachable("no model host answers")
        if asked["task"] == "fix":
            said: JsonObject = {
                "fixes": [{"element": one["element"], "markup": "<ul></ul>"} for one in asked["elements"]]
            }
        else:
            told = {"who": "w", "why": "y", "fix": "f"}
            said = {"explanations": [{"barrier": one["barrier"], **told} for one in asked["barriers"]]}
        return ChatReply(json.dumps(said), "m", Usage(calls=1))


@asynccontextmanager
async def working(
    redis: Redis, keys: Keys, redis_url: str, history: History, engine: TryingEngine, chat: Outage
) -> AsyncGenerator[None]:
    """A worker with one slot for assessments and tries, as the product makes it."""
    pages = FixedEngine([scan_result(labelled(), labelled("list", "f" * 16))])
    made = jobs(keys, graph(pages, history, keys, assesses=False), secrets_of(redis, keys))
    scans = ScanJobs(made.graph, keys, made.load_secrets, made.shot_ttl_s, try_fixes=True)
    assessments = AssessJobs(chat, redis, keys, 0)
    fixes = FixJobs(engine, redis, keys, proposer=ModelProposer(chat))

    async def scan(ctx: dict[Any, Any], /, **payload: Any) -> object:
        return await scans.run(ctx, payload)

    async def assess(ctx: dict[Any, Any], /, **payload: Any) -> object:
        return await assessments.run(ctx, payload)

    async def fix(ctx: dict[Any, Any], /, **payload: Any) -> object:
        return await fixes.run(ctx, payload)

    functions = [
        func(cast("Any", scan), name="scan"),
        func(cast("Any", assess), name=ASSESS, timeout=0, keep_result=0, max_tries=assess_job.TRIES),
        func(cast("Any", fix), name=FIX, keep_result=0, max_tries=ATTEMPTS),
    ]
    settle = {ASSESS: assessments.settle, FIX: fixes.settle}
    async with running_worker(redis_url, keys, functions, assess_slots=1, settle=settle):
        yield


async def test_in_an_outage_mechanical_fixes_come_at_once_and_the_rest_after_it(
    redis: Redis, keys: Keys, redis_url: str, history: History, client: Client, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(assess_job, "PAUSE_S", 0.05)
    engine, chat, ids = TryingEngine(), Outage(), ["s1", "s2", "s3"]

    async def results() -> list[ScanResult]:
        found = [await client.result(job_id) for job_id in ids]
        return [one for one in found if isinstance(one, ScanResult)]

    async def are_tried() -> bool:
        return [len(one.fixes) for one in await results()] == [1, 1, 1]

    async with working(redis, keys, redis_url, history, engine, chat):
        for job_id in ids:
            await client.submit("scan", {"url": f"{HOME}/{job_id}"}, job_id=job_id)
        await until(are_tried, what="the fixes tried")
        meanwhile = await results()
        asked_to_fix = chat.tasks["fix"]
        chat.is_away = False
        complete = [one async for one in client.assessed(ids, timeout_s=DEADLINE_S)]

    assert [(one.fixes[0].rule, one.assessed_by.is_pending) for one in meanwhile] == [("label", True)] * 3
    assert asked_to_fix == 0
    assert sorted(one.job_id for one in complete) == ids
    for one in await results():
        assert (one.fixes_state, [fix.rule for fix in one.fixes]) == ("tried", ["label", "list"])
        assert (one.assessed_by.model, one.is_awaited) == ("m", False)
    assert [[one.rule for one in wanted] for _, wanted, _ in engine.asked] == [["label"], ["list"]]
    events = [json.loads(line) for line in await events_of(redis, keys)]
    assert Counter(line["job_id"] for line in events if line["event"] == "scan.assessed") == Counter(ids)


async def test_tries_that_are_cancelled_before_the_assessment_cancel_that_too(redis: Redis, keys: Keys):
    pending = str(AssessmentSource.pending("an outage"))
    result = scan_result(labelled()).revised(fixes_state=FIRST, assessment_source=pending)
    await redis.set(keys.result("s1"), result.model_dump_json())
    request = json.dumps({"scan": "s1", "assess": {"scan": "s1"}}).encode()
    fixes = FixJobs(TryingEngine(), redis, keys)

    cancelled, died = await fixes.settle(request, "cancelled"), await fixes.settle(request, "the page crashes")

    assert cancelled is not None
    assert died is not None
    assert not [write for write in cancelled.writes if isinstance(write, EntryWrite)]
    (replaced,) = [write for write in cancelled.writes if isinstance(write, ReplaceWrite)]
    assert ScanResult.model_validate_json(replaced.text).assessment_source == "none: cancelled"
    assert [write.job_id for write in died.writes if isinstance(write, EntryWrite)] == [assess_job_id("s1")]


def test_thousands_of_postponed_jobs_poll_one_after_the_other():
    spread = Spread()

    pauses = [spread.pause_s(100.0, at_least_s=assess_job.PAUSE_S, gap_s=assess_job.GAP_S) for _ in range(1_000)]

    assert pauses[0] == assess_job.PAUSE_S
    assert pauses[-1] == pytest.approx(assess_job.PAUSE_S + 999 * assess_job.GAP_S)


async def test_in_an_outage_one_waiting_assessment_polls_for_its_workers_others(
    redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    chat = Outage()
    assessments = AssessJobs(chat, redis, keys, 0)
    waits = scan_result(labelled()).revised(assessment_source="none: pending")
    for scan in ("s1", "s2"):
        await redis.set(keys.result(scan), waits.model_dump_json())

    async def look(scan: str) -> int:
        with pytest.raises(Busy):
            await assessments.run({}, {"scan": scan})
        return chat.tasks.total()

    first, second = await look("s1"), await look("s2")
    again = [await look(scan) for scan in ("s1", "s2")]
    monkeypatch.setattr(assessments._outage, "ends", 0.0)
    later = await look("s1")

    assert (second > first, again, later > second) == (True, [second, second], True)
    for scan in ("s1", "s2"):
        assert b"no model host answers" in (await redis.get(keys.result(scan)) or b"")
