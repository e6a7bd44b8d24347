from __future__ import annotations

from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.contract import JsonObject, ScanResult
from producer.errors import InvalidJob, ScanFailed
from producer.keys import Keys
from tests.redis.agent.scanning import (
    BARRIERS,
    HOME,
    FailingEmbedder,
    apply,
    graph,
    hash_of,
    jobs,
    run,
)
from tests.support.scans import FixedEngine, finding, scan_result
from worker.__main__ import Jobs
from worker.agent.handlers import QueryJobs
from worker.memory.history.history import History, ScanFilter
from worker.memory.vectors.embeddings import Embeddings
from worker.queue.barrier_writes import NewsWrite
from worker.queue.outcome import Commit, ExpiryWrite, HashWrite
from worker.resources import Resources


async def test_a_scan_commits_its_result_its_document_and_the_site_s_counts(redis: Redis, keys: Keys, history: History):
    result, commit = await run(keys, graph(FixedEngine([BARRIERS]), history, keys), "job-1", group="shop")

    await apply(redis, commit)
    record = await history.get("job-1")
    site = await hash_of(redis, keys.site("shop.example"))
    assert (result.scan_id, result.assessment_source, result.group) == ("job-1", "builtin", "shop")
    assert result.assessment is not None
    assert record is not None
    assert (record.url, record.group, record.times_seen, record.summary) == (
        HOME, "shop", 1, result.assessment.summary,
    )  # fmt: skip
    assert site["generation"] == "1"
    assert site == await hash_of(redis, keys.site(""))
    assert {name.partition(":")[2]: value for name, value in site.items() if ":" in name} == {
        "scans": "1",
        "critical": "3",
    }
    assert commit.event["status"] == "scanned"
    assert commit.event["barriers"] == 3
    assert {"recall", "assess"} <= result.timings_ms.keys()


async def test_the_second_scan_tells_what_is_new_and_what_is_fixed(redis: Redis, keys: Keys, history: History):
    later = scan_result(finding("image-alt", "b", "d"), finding("label", "c"))
    scans = graph(FixedEngine([BARRIERS, later]), history, keys)
    first, commit = await run(keys, scans, "job-1")
    await apply(redis, commit)

    second, _ = await run(keys, scans, "job-2")

    assert first.changes is None
    assert second.changes is not None
    assert (second.changes.previous, second.changes.new, second.changes.fixed, second.changes.unchanged) == (
        "job-1", ("d",), ("a",), 2,
    )  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [{"standard": "wcag2a"}, {"viewport": {"width": 400}}, {"exclude": ["#ads"]}, {"disabled_rules": ["label"]}],
)
async def test_a_scan_is_compared_with_one_under_the_same_terms_alone(
    redis: Redis, keys: Keys, history: History, other: JsonObject
):
    fewer = scan_result(finding("image-alt", "a"))
    scans = graph(FixedEngine([BARRIERS, fewer, BARRIERS, fewer]), history, keys)
    results: list[ScanResult] = []
    for number, terms in enumerate(({}, other, {}, other)):
        result, commit = await run(keys, scans, f"job-{number}", **terms)
        await apply(redis, commit)
        results.append(result)

    compared = [one.changes and (one.changes.previous, one.changes.new, one.changes.fixed) for one in results]
    assert compared == [None, None, ("job-0", (), ()), ("job-1", (), ())]
    assert {record.scan_id: record.times_seen for record in await history.find()} == {"job-0": 2, "job-1": 2}


async def test_an_unchanged_page_adds_no_document(redis: Redis, keys: Keys, history: History):
    scans = graph(FixedEngine([BARRIERS]), history, keys)
    scan_ids: list[str] = []
    for number in range(4):
        result, commit = await run(keys, scans, f"job-{number}")
        await apply(redis, commit)
        scan_ids.append(result.scan_id)

    (record,) = await history.find()
    assert scan_ids == [record.scan_id] * 4 == ["job-0"] * 4
    assert record.times_seen == 4
    assert record.last_seen_ms > record.at_ms
    assert (await hash_of(redis, keys.site("shop.example")))["generation"] == "4"


async def test_a_page_that_cannot_be_read_fixes_nothing_and_the_next_is_compared_with_the_last_that_was(
    redis: Redis, keys: Keys, history: History
):
    down = scan_result(status="unreachable").model_copy(update={"reason": "refused"})
    scans = graph(FixedEngine([BARRIERS, down, BARRIERS]), history, keys)
    results: list[ScanResult] = []
    for number in range(3):
        result, commit = await run(keys, scans, f"job-{number}")
        await apply(redis, commit)
        results.append(result)

    assert results[1].changes is None
    assert results[1].assessment_source == "none: the page is unreachable"
    assert results[2].changes is not None
    assert (results[2].changes.previous, results[2].changes.unchanged) == ("job-0", 3)
    assert [record.status for record in await history.find()] == ["scanned", "unreachable", "scanned"]


async def test_the_same_rule_on_a_similar_page_is_told_to_the_model(redis: Redis, keys: Keys, history: History):
    scans = graph(FixedEngine([BARRIERS]), history, keys)
    _, commit = await run(keys, scans, "job-1")
    await apply(redis, commit)

    result, _ = await run(keys, scans, "job-2", url="https://shop.example/home-2")

    assert result.changes is None
    assert result.assessment is not None
    assert "1 similar page" in result.assessment.priorities[0].why


async def test_without_an_embedding_model_the_findings_are_delivered_and_kept(
    redis: Redis, keys: Keys, history: History
):
    away = History(Embeddings(redis, keys, FailingEmbedder()))
    result, commit = await run(keys, graph(FixedEngine([BARRIERS]), away, keys), "job-1")

    await apply(redis, commit)
    assert result.counts.total == 2
    assert result.notes[0].startswith(
        "not yet searchable by meaning, and not compared with similar pages: nothing answers"
    )
    assert [record.scan_id for record in await history.find()] == ["job-1"]
    assert "vector" not in await hash_of(redis, keys.scan("job-1"))


async def test_pictures_are_committed_with_the_result(keys: Keys, history: History):
    shots = {"page": b"\xff\xd8\xff\x00", "0123": b"\xff\xd8"}
    engine = FixedEngine([BARRIERS], shots=shots)

    asked, commit = await run(keys, graph(engine, history, keys), "job-1", screenshot=True)
    not_asked, _ = await run(keys, graph(engine, history, keys), "job-2")

    assert asked.screenshot == keys.shot("job-1")
    assert commit.writes[-2:] == (HashWrite(keys.shot("job-1"), shots), ExpiryWrite(keys.shot("job-1"), 604_800))
    assert not_asked.screenshot is None


async def test_html_without_an_address_is_scanned_and_counted_for_all_sites_alone(
    redis: Redis, keys: Keys, history: History
):
    page = scan_result(finding("image-alt", "a"), url="")
    scans = graph(FixedEngine([page]), history, keys)

    _, commit = await run(keys, scans, "job-1", url=None, html="<p>Hi")
    await apply(redis, commit)
    again, _ = await run(keys, scans, "job-2", url=None, html="<p>Hi")

    assert {write.key for write in commit.writes if write.key.startswith(keys.site(""))} == {keys.site("")}
    assert (await hash_of(redis, keys.site("")))["generation"] == "1"
    assert again.scan_id == "job-1"


@pytest.mark.parametrize("payload", [{"url": "file:///etc/passwd"}, {"url": HOME, "html": "x"}, {"url": 7}])
async def test_a_payload_other_than_a_scan_request_is_an_invalid_job(keys: Keys, history: History, payload: JsonObject):
    with pytest.raises(InvalidJob, match="not a scan request"):
        await run(keys, graph(FixedEngine([BARRIERS]), history, keys), "job-1", **payload)


async def test_a_failing_browser_is_raised_on(keys: Keys, history: History):
    with pytest.raises(ScanFailed, match="crashed"):
        await run(keys, graph(FixedEngine([ScanFailed("crashed")]), history, keys), "job-1")


async def test_each_step_is_reported_as_it_begins(keys: Keys, history: History):
    steps: list[str] = []
    scans = jobs(keys, graph(FixedEngine([BARRIERS]), history, keys))

    await scans.run({"job_id": "job-1", "progress": steps.append}, {"url": HOME})

    assert steps == ["loading", "recalling", "assessing"]


async def test_no_field_of_a_payload_takes_the_place_of_what_a_job_function_is_given(keys: Keys, history: History):
    registered = Jobs()
    scans = jobs(keys, graph(FixedEngine([BARRIERS]), history, keys))
    unused = cast("Any", None)
    registered.resources = Resources(scans, unused, unused, QueryJobs(unused), unused)  # no question is asked

    commit = await registered.scan({"job_id": "job-1"}, url=HOME, ctx=1, self=2, resources=3)

    assert isinstance(commit.result, ScanResult)
    assert commit.result.findings == BARRIERS.findings


NEW_ONE = scan_result(finding("image-alt", "a", "b"), finding("label", "c"), finding("button-name", "pay"))


def new_in(result: ScanResult) -> tuple[str | None, tuple[str, ...]]:
    assert result.changes is not None
    return result.changes.previous, result.changes.new


async def test_a_pipeline_run_that_is_repeated_finds_the_same_barriers_new(redis: Redis, keys: Keys, history: History):
    scans = graph(FixedEngine([BARRIERS, BARRIERS, NEW_ONE, NEW_ONE, NEW_ONE, NEW_ONE]), history, keys)
    found: dict[str, ScanResult] = {}
    commits: dict[str, Commit] = {}
    # The first attempt is green; then another run records the barrier, and the first one's repetitions are red.
    for job_id, run_name in (
        *(("main", ""), ("first", "ci/7"), ("other", "ci/8"), ("again", "ci/7"), ("third", "ci/7"), ("later", "ci/9")),
    ):
        found[job_id], commits[job_id] = await run(keys, scans, job_id, run=run_name)
        await apply(redis, commits[job_id])

    assert new_in(found["first"]) == ("main", ())
    assert [new_in(found[job_id]) for job_id in ("other", "again", "third")] == [("main", ("pay",))] * 3
    assert new_in(found["later"]) == ("other", ()), "known before that run"
    assert {record.scan_id: record.run for record in await history.find()} == {"main": "", "other": "ci/8"}
    alarms = [job_id for job_id, commit in commits.items() if any(isinstance(one, NewsWrite) for one in commit.writes)]
    assert alarms == ["other"], "the page got worse once"


async def test_a_pipeline_run_finds_its_own_states_new_though_redis_clock_was_set_back(
    redis: Redis, keys: Keys, history: History
):
    scans = graph(FixedEngine([BARRIERS, NEW_ONE]), history, keys)
    for job_id, run_name in (("main", ""), ("first", "ci/7")):
        _, commit = await run(keys, scans, job_id, run=run_name)
        await apply(redis, commit)
    await redis.set(keys.run_began("ci/7"), (await history.now_ms()) + 3_600_000)

    again, _ = await run(keys, scans, "again", run="ci/7")

    assert new_in(again) == ("main", ("pay",))


async def test_a_page_first_seen_by_a_pipeline_run_has_no_earlier_scan_when_it_is_repeated(
    redis: Redis, keys: Keys, history: History
):
    scans = graph(FixedEngine([BARRIERS]), history, keys)
    _, commit = await run(keys, scans, "first", run="ci/7")
    await apply(redis, commit)

    again, _ = await run(keys, scans, "again", run="ci/7")

    assert again.changes is None
    assert again.scan_id == "first"


async def test_html_without_an_address_is_recorded_without_a_vector(redis: Redis, keys: Keys, history: History):
    scans = graph(FixedEngine([BARRIERS]), history, keys)

    _, commit = await run(keys, scans, "j1", url=None, html="<img src=x>")
    await apply(redis, commit)

    fields = await cast("Any", redis).hgetall(keys.scan("j1"))
    assert fields[b"embedded"] == b"never"
    assert not {b"text", b"vector"} & fields.keys()
    assert [record.scan_id for record in await history.find(ScanFilter(rule="image-alt"))] == ["j1"]
