"""Assessments are separate jobs: findings never wait for a model, and no outage loses a pending assessment."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import JobState, Lane, ScanResult
from producer.contract.payloads import ASSESS, assess_job_id
from producer.keys import Keys
from producer.views.usage_view import read_usage
from tests.redis.agent.scanning import BARRIERS, HOME, FailingEmbedder, graph, jobs
from tests.support.explaining import TEMPLATES, ShopEngine, explains
from tests.support.gpu import PROBED_OFTEN, USUAL
from tests.support.ollama_protocol import CHAT
from tests.support.ollama_server import Fault, OllamaServer
from tests.support.queue import DEADLINE_S, events_of, job_fields, running_worker, until
from tests.support.scans import FixedEngine, finding, scan_result
from worker.agent.assessment import job as assess_job
from worker.agent.assessment.job import AssessJobs
from worker.agent.assessment.site_order import SiteOrders
from worker.memory.history.history import History
from worker.memory.vectors.embeddings import Embeddings
from worker.models import slot_calls
from worker.models.routing import open_models
from worker.queue.worker import StreamWorker, func
from worker.settings import WorkerSettings

WorkerOf = Callable[..., Any]


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assess_job, "PAUSE_S", 0.1)
    monkeypatch.setattr(assess_job, "GAP_S", 0.0)
    monkeypatch.setattr(slot_calls, "PAUSE_S", 0.01)


@pytest.fixture
async def ollama() -> AsyncGenerator[OllamaServer]:
    server = OllamaServer()
    async with server:
        pass  # it has a port, and is down
    yield server
    await server.stop()


@pytest.fixture
async def working(redis: Redis, keys: Keys, redis_url: str, history: History, ollama: OllamaServer) -> WorkerOf:
    """Runs a worker as the product makes it, its pages fixed and its model on ``ollama``."""

    @asynccontextmanager
    async def work(engine: FixedEngine | None = None, **options: Any) -> AsyncGenerator[StreamWorker]:
        settings = WorkerSettings(
            redis_url=redis_url,
            environment=keys.environment,
            chat_model=CHAT.name,
            embedding_model="builtin",
            ollama_base_url=ollama.url,
        )
        async with AsyncExitStack() as stack:
            timing = options.pop("timing", PROBED_OFTEN)
            models = await stack.enter_async_context(open_models(settings, redis, keys, timing=timing))
            orders = SiteOrders(models.chat, history, redis, keys) if options.pop("orders", False) else None
            assessments = AssessJobs(models.chat, redis, keys, options.pop("areas", 0), orders=orders)
            scans = jobs(keys, graph(engine or FixedEngine([BARRIERS]), history, keys, assesses=False))

            async def scan(ctx: dict[Any, Any], /, **payload: Any) -> object:
                return await scans.run(ctx, payload)

            async def assess(ctx: dict[Any, Any], /, **payload: Any) -> object:
                return await assessments.run(ctx, payload)

            own = func(cast("Any", assess), name=ASSESS, timeout=0, keep_result=0, max_tries=assess_job.TRIES)
            made: dict[str, Any] = {"assess_slots": 2, "settle": {ASSESS: assessments.settle}, "max_jobs": 4}
            yield await stack.enter_async_context(
                running_worker(redis_url, keys, [func(cast("Any", scan), name="scan"), own], **{**made, **options})
            )

    return work


async def scanned(client: Client, number: int = 1) -> list[str]:
    """Submit pages, wait until their findings are there, and return their job ids."""
    ids = [f"s{index}" for index in range(number)]
    payloads = [{"url": f"{HOME}/{job_id}"} for job_id in ids]
    async for _ in client.submit_many("scan", payloads, job_ids=ids):
        pass
    async for found in client.as_completed(ids, timeout_s=DEADLINE_S):
        assert isinstance(found, ScanResult)
        assert (found.findings, found.assessment) == (BARRIERS.findings, None)
    return ids


async def result_of(client: Client, job_id: str) -> ScanResult:
    found = await client.result(job_id)
    assert isinstance(found, ScanResult)
    return found


async def all_assessed(client: Client, ids: list[str]) -> list[ScanResult]:
    """Wait until no assessment is pending."""

    async def are_settled() -> bool:
        return not any([(await result_of(client, job_id)).assessed_by.is_pending for job_id in ids])

    await until(are_settled, what="the assessments settled")
    return [await result_of(client, job_id) for job_id in ids]


async def assessed_events(redis: Redis, keys: Keys) -> Counter[str]:
    lines = [json.loads(line) for line in await events_of(redis, keys)]
    return Counter(line["job_id"] for line in lines if line["event"] == "scan.assessed")


async def test_an_outage_holds_no_finding_back_and_costs_no_assessment(
    working: WorkerOf, client: Client, redis: Redis, keys: Keys, ollama: OllamaServer
):
    ollama.call_s = 0.05
    async with working():
        ids = await scanned(client, 12)
        assert not ollama.journal
        for calls in (1, 2):  # restarted in the middle of calls
            async with ollama:
                await ollama.wait_for_calls(calls, timeout_s=DEADLINE_S)
        async with ollama:
            results = await all_assessed(client, ids)

    assert {result.assessment_source for result in results} == {CHAT.name}
    assert all(result.assessment and result.findings == BARRIERS.findings for result in results)
    assert await assessed_events(redis, keys) == Counter(ids)
    assert await redis.xlen(keys.lane(Lane.ASSESS)) == 0
    assert {(await client.job(assess_job_id(job_id))).state for job_id in ids} == {JobState.SUCCEEDED}


async def test_a_waiting_assessment_says_what_it_waits_for_and_history_gets_its_summary(
    working: WorkerOf, client: Client, history: History, ollama: OllamaServer
):
    async with working():
        (job_id,) = await scanned(client)

        async def says_why() -> bool:
            return "no model host answers" in (await result_of(client, job_id)).assessment_source

        await until(says_why, what="the reason of the wait")
        late = await result_of(client, job_id)
        before = await history.get(job_id)
        async with ollama:
            (result,) = await all_assessed(client, [job_id])

    after = await history.get(job_id)
    assert late.assessed_by.is_pending
    assert "retried every" in late.assessment_source
    assert result.assessment is not None
    assert before is not None
    assert after is not None
    assert (before.summary, after.summary) == ("", result.assessment.summary)
    assert result.usage.calls > 0


async def test_a_stopped_worker_s_assessment_is_made_by_the_next(
    working: WorkerOf, client: Client, redis: Redis, keys: Keys, ollama: OllamaServer
):
    async with working():
        ids = await scanned(client, 3)
    async with working(), ollama:
        results = await all_assessed(client, ids)

    assert {result.assessment_source for result in results} == {CHAT.name}
    assert await assessed_events(redis, keys) == Counter(ids)


@pytest.mark.parametrize("is_running", [True, False])
async def test_an_assessment_is_cancelled_with_its_scan(
    working: WorkerOf, client: Client, redis: Redis, keys: Keys, ollama: OllamaServer, is_running: bool
):
    async with working(assess_slots=2 if is_running else 0):
        (job_id,) = await scanned(client)
        if is_running:
            await until(lambda: _is_in(client, assess_job_id(job_id), JobState.RUNNING), what="the assessment running")
        assert await client.cancel(job_id) is JobState.SUCCEEDED
    async with working(), ollama:
        (result,) = await all_assessed(client, [job_id])

    assert result.assessment_source == "none: cancelled"
    assert ollama.calls() == []
    assert await assessed_events(redis, keys) == Counter([job_id])


async def _is_in(client: Client, job_id: str, state: JobState) -> bool:
    return (await client.job(job_id)).state is state


async def test_a_result_that_expired_gets_no_assessment_and_no_model_call(
    working: WorkerOf, client: Client, redis: Redis, keys: Keys, ollama: OllamaServer
):
    async with working(assess_slots=0):
        (job_id,) = await scanned(client)
    await redis.delete(keys.result(job_id))
    async with working(), ollama:
        await until(lambda: _is_in(client, assess_job_id(job_id), JobState.SUCCEEDED), what="the assessment done")

    assert await client.result(job_id) is None
    assert ollama.calls() == []
    assert await assessed_events(redis, keys) == Counter()


async def test_a_page_scanned_again_meanwhile_keeps_both_assessments_apart(
    working: WorkerOf, client: Client, history: History, ollama: OllamaServer
):
    other = BARRIERS.model_copy(update={"findings": BARRIERS.findings[:1], "title": "Later"})
    ollama.answer_of = explains
    async with working(FixedEngine([BARRIERS, other]), assess_slots=0):
        for job_id in ("first", "second"):
            await client.submit("scan", {"url": HOME}, job_id=job_id)
            await client.wait(job_id, timeout_s=DEADLINE_S)
    async with working(assess_slots=1), ollama:
        results = await all_assessed(client, ["first", "second"])

    summaries = [result.assessment.summary for result in results if result.assessment]
    records = [await history.get(result.scan_id) for result in results]
    assert [summary.partition(" failed")[0] for summary in summaries] == ["2 rules", "1 rule"]
    assert [record.summary for record in records if record] == summaries


async def test_a_call_that_breaks_each_time_ends_with_its_reason_and_never_as_a_dead_letter(
    working: WorkerOf, client: Client, redis: Redis, keys: Keys, ollama: OllamaServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(assess_job, "TRIES", 2)
    ollama.faults.extend([Fault("half_line")] * 20)
    async with ollama, working():
        (job_id,) = await scanned(client)
        (result,) = await all_assessed(client, [job_id])

    assert "before its answer was complete" in result.assessment_source
    assert not result.assessed_by.is_pending
    assert await redis.xlen(keys.dead) == 0


async def test_an_assessment_whose_workers_were_all_killed_ends_in_the_result(
    working: WorkerOf, client: Client, redis: Redis, keys: Keys, ollama: OllamaServer
):
    async with working(assess_slots=0):
        (job_id,) = await scanned(client)
    await cast("Any", redis).hset(keys.job(assess_job_id(job_id)), "attempt", assess_job.TRIES)
    async with working(), ollama:
        (result,) = await all_assessed(client, [job_id])

    assert "was the last, and none finished" in result.assessment_source
    assert (await job_fields(redis, keys, assess_job_id(job_id)))["state"] == "succeeded"


async def test_a_worker_that_empties_its_lanes_ends_in_an_outage_and_leaves_the_assessment_to_the_next(
    working: WorkerOf, client: Client, ollama: OllamaServer
):
    await client.submit("scan", {"url": HOME}, job_id="s0")
    async with working(burst=True) as worker:
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.shield(cast("Awaitable[None]", worker.main_task))
        assert (await result_of(client, "s0")).assessed_by.is_pending
    async with working(), ollama:
        (result,) = await all_assessed(client, ["s0"])

    assert result.assessment_source == CHAT.name


async def test_a_client_takes_assessments_as_they_come_and_what_is_pending_when_the_time_is_over(
    working: WorkerOf, client: Client, ollama: OllamaServer
):
    unexplained = scan_result(finding("list", "x"))  # what is explained needs no host
    async with working(FixedEngine([BARRIERS, BARRIERS, unexplained])), ollama:
        ids = await scanned(client, 2)
        came = [found.job_id async for found in client.assessed(ids, timeout_s=DEADLINE_S)]
        assert sorted(came) == ids
        await ollama.stop()
        await client.submit("scan", {"url": HOME}, job_id="late")
        await client.wait("late", timeout_s=DEADLINE_S)

        assert [found async for found in client.assessed(["late"], timeout_s=0.1)] == []


async def test_a_night_asks_once_for_each_component_barrier_and_explains_every_page(
    working: WorkerOf, client: Client, ollama: OllamaServer
):
    pages, ollama.answer_of = 60, explains
    ids = [f"p{number}" for number in range(pages)]
    urls = [f"https://shop.example/{TEMPLATES[number % 4]}/{number}" for number in range(pages)]
    async with ollama, working(cast("Any", ShopEngine()), max_jobs=16, orders=True, areas=2, timing=USUAL):
        async for _ in client.submit_many("scan", [{"url": url} for url in urls], job_ids=ids):
            pass
        async for _ in client.as_completed(ids, timeout_s=DEADLINE_S):
            pass
        results = await all_assessed(client, ids)

    assert all(one.assessment and one.assessment.left_out == 0 for one in results)
    assert {len(one.assessment.priorities) for one in results if one.assessment} == {6}
    asked = [json.loads(call.body["messages"][1]["content"]) for call in ollama.calls()]
    assert sum(len(document.get("barriers", ())) for document in asked) == 12
    assert Counter(document["task"] for document in asked)["review"] <= 5
    assert len(asked) <= 20
    assert {len(one.assessment.reviews) for one in results if one.assessment} == {2}
    (order,) = [document for document in asked if document["task"] == "order"]
    assert (order["pages"], order["rules"][0]["pages"]) == (pages, pages)
    assert "Mend the header first." in [
        one.assessment.site_order.text for one in results if one.assessment and one.assessment.site_order
    ]
    usage = await read_usage(client, days=1)
    assert {use.model: (use.calls, use.saved >= pages - len(asked)) for use in usage.models} == {
        CHAT.name: (len(asked), True)
    }


async def test_a_vector_that_does_not_come_holds_no_finding_back(
    redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    class Silent(FailingEmbedder):
        async def embed_documents(self, texts: Any) -> Any:
            del texts
            await asyncio.Event().wait()

    monkeypatch.setattr("worker.agent.assessment.graph.EMBED_S", 0.05)
    history = History(Embeddings(redis, keys, Silent()))
    await history.ensure_index()

    commit = await jobs(keys, graph(FixedEngine([BARRIERS]), history, keys)).run({"job_id": "j"}, {"url": HOME})

    assert isinstance(commit.result, ScanResult)
    assert commit.result.findings == BARRIERS.findings
    assert "no vector within" in commit.result.notes[0]
