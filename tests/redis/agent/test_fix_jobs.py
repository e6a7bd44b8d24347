"""Changes are tried by a separate job, after the findings and the assessment, once per component."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import Finding, JsonObject, Lane, Node, ScanRequest, ScanResult, TriedFix, Usage
from producer.contract.payloads import FIX, assess_job_id, fix_job_id
from producer.errors import Busy, ContextExceeded, ModelError, Paused, ScanFailed
from producer.keys import Keys
from tests.redis.agent.scanning import HOME, graph, jobs
from tests.support.queue import DEADLINE_S, events_of, job_fields, running_worker, until
from tests.support.scans import FixedEngine, finding, scan_result
from worker.agent.assessment.job import AssessJobs
from worker.agent.fixes.job import AGAIN_S, ATTEMPTS, FixJobs
from worker.agent.fixes.model import ModelProposer
from worker.agent.handlers import ScanJobs
from worker.agent.job_secrets import secrets_of
from worker.memory.history.history import History
from worker.models.builtin.models import BuiltinChat
from worker.models.protocols import ChatReply, Message, Tool
from worker.queue.outcome import Commit, EntryWrite, ReplaceWrite
from worker.queue.worker import func
from worker.scan.fixes.wanted import Wanted
from worker.scan.settings import Secrets

ISSUE = "0123456789abcdef-01234567"


def labelled(rule: str = "label", issue_id: str = ISSUE, *, snippet: str = "<input>") -> Finding:
    node = Node(selector=("#a",), snippet=snippet, fingerprint="a", issue_id=issue_id, component="Search field")
    return finding(rule).revised(nodes=(node,), node_count=1)


@dataclass
class TryingEngine:
    """Reports that every change removes its barrier; records its calls."""

    asked: list[tuple[ScanRequest, list[Wanted], Secrets | None]] = field(default_factory=list)
    failure: Exception | None = None
    is_stuck: bool = False

    async def try_fixes(
        self, request: ScanRequest, wanted: Sequence[Wanted], *, secrets: Secrets | None = None, **_: Any
    ) -> tuple[TriedFix, ...]:
        self.asked.append((request, list(wanted), secrets))
        if self.failure is not None:
            raise self.failure
        if self.is_stuck:
            await asyncio.Event().wait()
        url = request.url or ""
        return tuple(
            TriedFix(issue_id=one.issue_id, rule=one.rule, verdict="removes", by=one.by, url=url, diff=f"+{one.rule}")
            for one in wanted
        )


@pytest.fixture
def engine() -> TryingEngine:
    return TryingEngine()


@pytest.fixture
def working(redis: Redis, keys: Keys, redis_url: str, history: History, engine: TryingEngine) -> Any:
    """Runs a worker as the product makes it; its pages have the findings given."""

    @asynccontextmanager
    async def work(*findings: Finding, **more: Any) -> AsyncGenerator[None]:
        pages = FixedEngine([scan_result(*findings)])
        scans = jobs(keys, graph(pages, history, keys), secrets_of(redis, keys))
        scans = ScanJobs(scans.graph, keys, scans.load_secrets, scans.shot_ttl_s, more.get("try_fixes", True))
        fixes = FixJobs(engine, redis, keys)

        async def scan(ctx: dict[Any, Any], /, **payload: Any) -> object:
            return await scans.run(ctx, payload)

        async def fix(ctx: dict[Any, Any], /, **payload: Any) -> object:
            return await fixes.run(ctx, payload)

        functions = [
            func(cast("Any", scan), name="scan"),
            func(cast("Any", fix), name=FIX, keep_result=0, max_tries=more.get("max_tries", ATTEMPTS)),
        ]
        made: dict[str, Any] = {"assess_slots": 1, "settle": {FIX: fixes.settle}}
        async with running_worker(redis_url, keys, functions, **made):
            yield

    return work


async def tried(client: Client, job_id: str, **payload: Any) -> ScanResult:
    secrets = payload.pop("secrets", None)
    await client.submit("scan", {"url": HOME, **payload}, job_id=job_id, secrets=secrets)
    await client.wait(job_id, timeout_s=DEADLINE_S)

    async def is_done() -> bool:
        found = await client.result(job_id)
        return isinstance(found, ScanResult) and not found.is_awaited

    await until(is_done, what="the result without pending tries")
    found = await client.result(job_id)
    assert isinstance(found, ScanResult)
    return found


async def test_tried_changes_come_into_the_result_and_history_stays_as_it_was(
    working: Any, client: Client, redis: Redis, keys: Keys, engine: TryingEngine
):
    async with working(labelled(), labelled("color-contrast", "f" * 16)):
        result = await tried(client, "s1")

    assert (result.fixes_state, [(fix.rule, fix.issue_id) for fix in result.fixes]) == ("tried", [("label", ISSUE)])
    ((request, wanted, _),) = engine.asked
    assert (request.url, [(one.rule, one.snippet) for one in wanted]) == (HOME, [("label", "<input>")])
    record = await cast("Awaitable[dict[bytes, bytes]]", redis.hgetall(keys.scan(result.scan_id)))
    assert not any(b"fix" in name or b"tried" in value for name, value in record.items())
    assert record[b"times_seen"] == b"1"
    lines = [json.loads(line) for line in await events_of(redis, keys)]
    (event,) = [line for line in lines if line["event"] == "scan.fixes_tried"]
    assert (event["job_id"], event["tried"], event["fixes"]) == ("s1", 1, 1)
    assert await redis.xlen(keys.lane(Lane.ASSESS)) == 0


async def test_one_try_serves_all_pages_that_have_the_component(working: Any, client: Client, engine: TryingEngine):
    async with working(labelled()):
        first, second = await tried(client, "s1"), await tried(client, "s2", url=f"{HOME}/other")

    assert first.fixes == second.fixes
    assert len(engine.asked) == 1


@pytest.mark.parametrize(
    ("asked", "is_tried"),
    [({"assess": False}, False), ({"assess": False, "try_fixes": True}, True), ({"try_fixes": False}, False)],
)
async def test_changes_are_tried_where_the_page_is_assessed_or_it_is_asked_for(
    working: Any, client: Client, engine: TryingEngine, asked: dict[str, Any], is_tried: bool
):
    async with working(labelled()):
        result = await tried(client, "s1", **asked)

    assert (len(engine.asked), result.fixes_state) == ((1, "tried") if is_tried else (0, ""))


async def test_a_worker_that_must_not_try_queues_nothing(
    working: Any, client: Client, redis: Redis, keys: Keys, engine: TryingEngine
):
    async with working(labelled(), try_fixes=False):
        result = await tried(client, "s1")

    assert (result.fixes_state, engine.asked) == ("", [])
    assert await job_fields(redis, keys, fix_job_id("s1")) == {}


async def test_the_login_opens_the_page_again_and_is_deleted_with_the_tries(
    working: Any, client: Client, redis: Redis, keys: Keys, engine: TryingEngine
):
    given = {"headers": {"Authorization": "x"}, "cookies": [{"name": "a", "value": "b"}]}

    async with working(labelled()):
        await tried(client, "s1", secrets=given)

    ((_, _, secrets),) = engine.asked
    assert secrets is not None
    assert (dict(secrets.headers), [dict(one) for one in secrets.cookies]) == (given["headers"], given["cookies"])
    assert await redis.exists(keys.secret("s1"), keys.secret(fix_job_id("s1"))) == 0


async def test_an_engine_that_fails_ends_in_the_result_with_the_reason(
    working: Any, client: Client, engine: TryingEngine
):
    engine.failure = ScanFailed("the browser failed twice")

    async with working(labelled(), max_tries=1):
        result = await tried(client, "s1")

    assert result.fixes == ()
    assert result.fixes_state == "none: attempt 1 of 1 failed: the browser failed twice"


class SayingChat(BuiltinChat):
    """Returns the next of ``answers``, and records its calls."""

    name = "stub"

    def __init__(self, *answers: str | ModelError) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonObject | None = None, tools: Sequence[Tool] = ()
    ) -> ChatReply:
        del schema, tools
        self.asked.append(json.loads(messages[1].content))
        answer = self.answers.pop(0)
        if isinstance(answer, ModelError):
            raise answer
        return ChatReply(text=answer, model=self.name, usage=Usage(calls=1, output_tokens=7))


LIST, ITEM = "1" * 16 + "-01234567", "2" * 16 + "-01234567"


async def pending(redis: Redis, keys: Keys, job_id: str) -> None:
    """Keep a scan that waits for tries: one rule of ours, two that a model may mend, one about colours."""
    found = (labelled(), labelled("list", LIST, snippet="<ul>"), labelled("dlitem", ITEM, snippet="<dt>"))
    result = scan_result(*found, labelled("color-contrast", "f" * 16)).revised(fixes_state="pending")
    await redis.set(keys.result(job_id), result.model_dump_json())
    await redis.hset(keys.job(job_id), mapping={"payload": json.dumps({"url": HOME})})  # type: ignore[misc]


def written(commit: Commit) -> ScanResult:
    write = commit.writes[0]
    assert isinstance(write, ReplaceWrite)
    return ScanResult.model_validate_json(write.text)


async def test_a_model_is_asked_once_about_what_no_rule_of_ours_can_mend(
    redis: Redis, keys: Keys, engine: TryingEngine
):
    said = {"fixes": [{"element": "e1", "markup": "<ul role='list'>"}, {"element": "e9", "markup": "<p>"}]}
    chat = SayingChat(json.dumps(said))
    fixes = FixJobs(engine, redis, keys, proposer=ModelProposer(chat))
    await pending(redis, keys, "s1")
    await pending(redis, keys, "s2")

    first, second = [written(await fixes.run({}, {"scan": scan})) for scan in ("s1", "s2")]

    ((_, wanted, _),) = engine.asked
    assert {one.rule: (one.markup, one.by.split()[0]) for one in wanted} == {
        "label": ("", "rule"),
        "list": ("<ul role='list'>", "stub"),
    }
    assert [one["markup"] for one in chat.asked[0]["elements"]] == ["<ul>", "<dt>"]
    assert {fix.rule: fix.by.split()[0] for fix in first.fixes} == {"label": "rule", "list": "stub"}
    assert (first.usage.output_tokens, second.usage.output_tokens) == (7, 0)
    assert (second.fixes, len(chat.asked)) == (first.fixes, 1)


async def test_a_model_that_cannot_be_asked_costs_no_other_fix_and_is_asked_on_the_next_page(
    redis: Redis, keys: Keys, engine: TryingEngine
):
    chat = SayingChat(ModelError("it is down"), '{"fixes": [{"element": "e1", "markup": "<ul role=list>"}]}')
    fixes = FixJobs(engine, redis, keys, proposer=ModelProposer(chat))
    await pending(redis, keys, "s1")
    await pending(redis, keys, "s2")

    first, second = [written(await fixes.run({}, {"scan": scan})) for scan in ("s1", "s2")]

    assert [fix.rule for fix in first.fixes] == ["label"]
    assert sorted(fix.rule for fix in second.fixes) == ["label", "list"]


async def test_a_model_that_never_answers_in_the_form_is_not_asked_again_about_the_same_elements(
    redis: Redis, keys: Keys, engine: TryingEngine
):
    chat = SayingChat("no", "still no")
    fixes = FixJobs(engine, redis, keys, proposer=ModelProposer(chat))
    await pending(redis, keys, "s1")
    await pending(redis, keys, "s2")

    first, second = [written(await fixes.run({}, {"scan": scan})) for scan in ("s1", "s2")]

    assert [fix.rule for fix in (*first.fixes, *second.fixes)] == ["label", "label"]
    assert len(chat.asked) == 2  # an answer and its repair, about the first page


async def test_elements_too_long_for_the_model_together_are_asked_about_in_a_smaller_question(
    redis: Redis, keys: Keys, engine: TryingEngine
):
    chat = SayingChat(ContextExceeded("too long"), '{"fixes": [{"element": "e1", "markup": "<ul role=list>"}]}')
    fixes = FixJobs(engine, redis, keys, proposer=ModelProposer(chat))
    await pending(redis, keys, "s1")

    result = written(await fixes.run({}, {"scan": "s1"}))

    assert [len(one["elements"]) for one in chat.asked] == [2, 1]
    assert sorted(fix.rule for fix in result.fixes) == ["label", "list"]


async def test_a_worker_tries_on_one_page_at_a_time(redis: Redis, keys: Keys, engine: TryingEngine):
    fixes = FixJobs(engine, redis, keys)
    await pending(redis, keys, "s1")

    async with fixes._place:
        delays: list[float] = []
        for _ in range(41):
            with pytest.raises(Busy) as busy:
                await fixes.run({}, {"scan": "s1"})
            delays.append(busy.value.delay_s)

    assert engine.asked == []
    assert delays[0] == pytest.approx(AGAIN_S)
    assert delays[-1] > AGAIN_S + 5  # a waiting job does not look all the time beside thousands


@pytest.mark.parametrize("control", ["batch:nightly", "lane:batch"])
async def test_no_page_is_opened_for_tries_while_its_batch_or_lane_is_paused(
    redis: Redis, keys: Keys, engine: TryingEngine, control: str
):
    await pending(redis, keys, "s1")
    await cast("Awaitable[int]", redis.hset(keys.job("s1"), "batch", "nightly"))

    def check(*controls: str) -> None:
        if control in controls:
            raise Paused(control)

    with pytest.raises(Paused) as paused:
        await FixJobs(engine, redis, keys).run({"check_paused": check}, {"scan": "s1", "priority": "batch"})

    assert (paused.value.control, engine.asked) == (control, [])


async def test_tries_are_cancelled_with_the_scan_that_has_ended(working: Any, client: Client, engine: TryingEngine):
    engine.is_stuck = True

    async with working(labelled()):
        await client.submit("scan", {"url": HOME}, job_id="s1")
        await client.wait("s1", timeout_s=DEADLINE_S)

        async def is_trying() -> bool:
            return bool(engine.asked)

        await until(is_trying, what="a try that runs")
        await client.cancel("s1")
        result = await anext(client.assessed(["s1"], timeout_s=DEADLINE_S))

    assert isinstance(result, ScanResult)
    assert (result.fixes, result.fixes_state) == ((), "none: cancelled")


async def test_tries_wait_for_a_pending_assessment_and_are_queued_with_it(redis: Redis, keys: Keys, history: History):
    scans = jobs(keys, graph(FixedEngine([scan_result(labelled())]), history, keys, assesses=False))
    scans = ScanJobs(scans.graph, keys, scans.load_secrets, scans.shot_ttl_s, try_fixes=True)

    scanned = await scans.run({"job_id": "s1"}, {"url": HOME})

    def queued(commit: Commit) -> list[str]:
        return [write.job_id for write in commit.writes if isinstance(write, EntryWrite)]

    assert isinstance(scanned.result, ScanResult)
    assert (scanned.result.fixes_state, queued(scanned)) == ("pending", [assess_job_id("s1")])
    await redis.set(keys.result("s1"), scanned.result.model_dump_json())
    assessed = await AssessJobs(BuiltinChat(), redis, keys, 0).run({}, {"scan": "s1"})
    assert queued(assessed) == [fix_job_id("s1")]


async def test_what_can_no_longer_be_asked_for_is_said(redis: Redis, keys: Keys, engine: TryingEngine):
    result = scan_result(labelled()).revised(fixes_state="pending")
    await redis.set(keys.result("s1"), result.model_dump_json())

    commit = await FixJobs(engine, redis, keys).run({}, {"scan": "s1"})

    assert written(commit).fixes_state == "none: the scan's request is no longer kept"
