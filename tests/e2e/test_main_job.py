"""The main job end to end: a page scanned by axe-core in Chromium, through the stream, committed once."""

from __future__ import annotations

import json
import signal
from typing import Any, cast

from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import JobState, ScanResult
from producer.keys import Keys
from tests.support.queue import events_of, until
from tests.support.scan_worker import StartScanWorker
from tests.support.scans import passes
from tests.support.small_site import SmallSite

WAIT_S = 60


async def test_a_scan_leaves_its_result_one_event_its_place_in_the_history_and_empty_lanes(
    client: Client, start_worker: StartScanWorker, site: SmallSite, redis: Redis, keys: Keys
):
    start_worker()
    job = await client.submit("scan", {"url": f"{site.url}/guilty"})

    result = await client.wait(job.job_id, timeout_s=WAIT_S)

    kept = json.loads(await redis.get(keys.result(job.job_id)))
    events = [json.loads(line) for line in await events_of(redis, keys)]
    assert (kept["v"], kept["job_id"], kept["kind"], kept["state"]) == (1, job.job_id, "scan", "succeeded")
    assert (kept["status"], kept["url"], kept["title"]) == ("scanned", f"{site.url}/guilty", "Guilty")
    assert [finding["rule"] for finding in kept["findings"]] == ["image-alt"]
    assert kept["findings"][0]["nodes"][0]["selector"] == ["img"]
    assert kept["assessment_source"].startswith("builtin")
    assert [(event["event"], event["job_id"]) for event in events] == [("job.succeeded", job.job_id)]
    assert events[0]["status"] == "scanned"
    assert [await redis.xlen(keys.lane(lane)) for lane in ("interactive", "batch")] == [0, 0]
    assert isinstance(result, ScanResult)
    await until(lambda: found_by_rule(redis, keys, "image-alt"), what="the scan in the index")
    assert await found_by_rule(redis, keys, "image-alt") == [keys.scan(result.scan_id).encode()]


async def found_by_rule(redis: Redis, keys: Keys, rule: str) -> list[bytes]:
    """The scans that the history's index has for a rule."""
    query = f"@rules:{{{rule}}}".replace("-", "\\-")
    found = cast("list[Any]", await redis.execute_command("FT.SEARCH", keys.scans_index, query, "NOCONTENT"))
    return found[1:]


async def test_a_job_added_by_hand_runs_and_broken_json_lands_on_dead(
    client: Client, start_worker: StartScanWorker, site: SmallSite, redis: Redis, keys: Keys
):
    start_worker()
    broken = await redis.xadd(keys.lane("batch"), {"kind": "scan", "payload": '{"url": "http://'})
    wrong = await redis.xadd(keys.lane("batch"), {"kind": "scan", "payload": '{"url": "file:///etc/passwd"}'})
    good = await redis.xadd(keys.lane("batch"), {"kind": "scan", "payload": json.dumps({"url": f"{site.url}/guilty"})})

    result = await client.wait(f"batch-{good.decode()}", timeout_s=WAIT_S)
    for entry in (broken, wrong):
        await client.wait(f"batch-{entry.decode()}", timeout_s=WAIT_S)

    reasons = [fields[b"reason"].decode() for _, fields in cast("list[Any]", await redis.xrange(keys.dead))]
    assert isinstance(result, ScanResult)
    assert result.status == "scanned"
    assert any("the payload is not JSON" in reason for reason in reasons)
    assert any("http:// or https://" in reason for reason in reasons)


async def test_a_scan_whose_only_worker_is_killed_midway_ends_once(
    client: Client, start_worker: StartScanWorker, site: SmallSite, redis: Redis, keys: Keys
):
    site.gate.clear()
    doomed = start_worker(LEASE_S="2")
    job = await client.submit("scan", {"url": f"{site.url}/guilty"})
    await until(lambda: "/guilty" in site.asked, what="the page being asked for")
    doomed.send_signal(signal.SIGKILL)
    doomed.wait()
    site.gate.set()

    start_worker(LEASE_S="2")
    result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert result.state is JobState.SUCCEEDED
    assert (await client.job(job.job_id)).attempt == 2
    assert len(await events_of(redis, keys)) == 1


NO_PAGES = {"/missing": "404", "/data.json": "json", "/data.pdf": "download"}
"""What the reason names."""


async def test_an_error_page_is_never_a_pass(client: Client, start_worker: StartScanWorker, site: SmallSite):
    site.files["/data.json"] = (200, {"Content-Type": "application/json"}, b"{}")
    site.files["/data.pdf"] = (200, {"Content-Type": "application/pdf"}, b"%PDF-1.4\n")
    start_worker()
    jobs = {path: (await client.submit("scan", {"url": f"{site.url}{path}"})).job_id for path in NO_PAGES}

    results = {path: await client.wait(job_id, timeout_s=WAIT_S) for path, job_id in jobs.items()}

    wrong = {path: result for path, result in results.items() if not is_refused(result, NO_PAGES[path])}
    assert wrong == {}


def is_refused(result: object, said: str) -> bool:
    assert isinstance(result, ScanResult)
    return result.status == "unreachable" and said in result.reason.lower() and not passes(result)


async def test_private_addresses_are_refused_unless_allowed(
    client: Client, start_worker: StartScanWorker, site: SmallSite
):
    start_worker(SCAN_ALLOW_PRIVATE="0")
    job = await client.submit("scan", {"url": f"{site.url}/guilty"})

    result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert isinstance(result, ScanResult)
    assert result.status == "blocked"
    assert "SCAN_ALLOW_PRIVATE" in result.reason
    assert site.asked == []
