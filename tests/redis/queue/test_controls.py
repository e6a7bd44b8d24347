"""Remote pauses and drains: no paused job begins, nothing is lost, and other jobs are not delayed."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.cli.limits import checked
from producer.client.client import Client
from producer.client.controls_view import Control
from producer.client.limits_view import HostLimits
from producer.contract import Lane, ScanRequest
from producer.errors import HostBusy, InputError, Paused
from producer.keys import GROUP, Keys
from producer.stored.controls import control_of, lift, limit, put
from tests.support.command_line import Call
from tests.support.queue import DEADLINE_S, events_of, job_fields, running_worker, until
from tests.support.scans import scan_result
from worker.limits import host_gate
from worker.limits.host_gate import HostGate, PoliteEngine
from worker.queue.controls import lift_drains_of_the_gone
from worker.queue.worker import func
from worker.scan.settings import Audit, BeforeLoad

SHOP = Control("host", "shop.example")


class Pages:
    """A job that asks for its host's slot as a scan does; ``begun`` are the addresses that it went on with."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.gate = HostGate(redis, keys, slots=9, gap_ms=0)
        self.begun: list[str] = []
        self.leave = asyncio.Event()
        self.leave.set()

    async def visit(self, ctx: dict[Any, Any], *, host: str) -> str:
        del ctx
        async with self.gate.slot(host):
            self.begun.append(host)
            await self.leave.wait()
        return host

    @property
    def functions(self) -> list[Any]:
        return [func(self.visit, name="visit")]


async def parked(redis: Redis, keys: Keys, control: Control) -> int:
    return await redis.zcard(keys.parked(control.field))


async def test_a_paused_hosts_pages_wait_while_others_go_on_and_all_run_when_it_is_resumed(
    client: Client, redis: Redis, redis_url: str, keys: Keys
):
    pages = Pages(redis, keys)
    await put(redis, keys, SHOP)
    await put(redis, keys, SHOP)
    async with running_worker(redis_url, keys, pages.functions, max_jobs=2):
        held = [await client.submit("visit", {"host": "shop.example"}) for _ in range(5)]
        other = await client.submit("visit", {"host": "other.example"})
        await client.wait(other.job_id, timeout_s=DEADLINE_S)
        await until(lambda: _is(parked(redis, keys, SHOP), 5), what="the pages to wait")
        before = list(pages.begun)
        attempt = (await job_fields(redis, keys, held[0].job_id))["attempt"]

        assert await lift(redis, keys, SHOP)
        for job in held:
            await client.wait(job.job_id, timeout_s=DEADLINE_S)

    assert (before, attempt) == (["other.example"], "0")
    assert pages.begun.count("shop.example") == 5
    told = [json.loads(line) for line in await events_of(redis, keys)]
    assert [line["event"] for line in told if "control" in line["event"]] == ["control.paused", "control.resumed"]


async def test_a_page_that_runs_goes_on_when_its_host_is_paused(redis: Redis, keys: Keys):
    gate = HostGate(redis, keys, slots=1, gap_ms=0, hold_s=0.3)

    async with asyncio.timeout(DEADLINE_S), gate.slot("shop.example"):
        await put(redis, keys, SHOP)
        (held,) = await redis.zrange(keys.host_slots("shop.example"), 0, -1)
        first = await redis.zscore(keys.host_slots("shop.example"), held)
        await until(lambda: _is_over(redis, keys, held, first), what="a renewal")
        with pytest.raises(Paused, match=r"host 'shop.example' is paused: sightline resume host shop.example"):
            async with gate.slot("shop.example"):
                pass


async def test_a_site_is_paused_by_its_port(redis: Redis, keys: Keys):
    gate = HostGate(redis, keys, slots=9, gap_ms=0)
    await put(redis, keys, control_of("site", "http://localhost:8080/cart"))

    async with asyncio.timeout(DEADLINE_S), gate.slot("localhost", site="localhost:3000"):
        with pytest.raises(Paused, match="site 'localhost:8080' is paused"):
            async with gate.slot("localhost", site="localhost:8080"):
                pass


async def test_a_page_resumed_before_it_was_parked_runs_at_once(client: Client, redis_url: str, keys: Keys):
    paused = asyncio.Event()

    async def visit(ctx: dict[Any, Any]) -> str:
        del ctx
        if not paused.is_set():
            paused.set()
            raise Paused("host:shop.example")
        return "scanned"

    async with running_worker(redis_url, keys, [func(visit, name="visit")]):
        job = await client.submit("visit", {})
        result: Any = await client.wait(job.job_id, timeout_s=DEADLINE_S)

    assert result.value == "scanned"


@pytest.mark.parametrize("control", [Control("lane", "batch"), Control("batch", "nightly")])
async def test_a_paused_lane_or_batch_begins_nothing_and_loses_nothing(
    client: Client, redis: Redis, redis_url: str, keys: Keys, control: Control
):
    pages = Pages(redis, keys)
    async with running_worker(redis_url, keys, pages.functions, max_jobs=2) as worker:
        await put(redis, keys, control)
        await until(lambda: control.field in worker.controls.fields, what="the worker to heed it")
        held = [await client.submit("visit", {"host": "shop.example"}, batch="nightly", lane="batch") for _ in range(4)]
        other = await client.submit("visit", {"host": "other.example"}, lane="interactive")
        await client.wait(other.job_id, timeout_s=DEADLINE_S)
        before = list(pages.begun)
        await lift(redis, keys, control)
        for job in held:
            await client.wait(job.job_id, timeout_s=DEADLINE_S)

    assert before == ["other.example"]
    assert pages.begun.count("shop.example") == 4


class Preparing:
    """An engine that prepares until ``go``, and then loads what it may."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.prepared = 0
        self.loaded: list[str] = []

    async def audit(self, request: ScanRequest, *, before_load: BeforeLoad, **_: Any) -> Audit:
        self.prepared += 1
        await self.go.wait()
        before_load()
        self.loaded.append(str(request.url))
        return Audit(scan_result(url=str(request.url)))


@pytest.mark.parametrize("control", [Control("batch", "nightly"), SHOP])
async def test_a_page_in_preparation_and_one_that_waits_for_its_host_are_not_loaded_after_a_pause(
    client: Client, redis: Redis, redis_url: str, keys: Keys, control: Control
):
    engine = Preparing()
    polite = PoliteEngine(cast("Any", engine), HostGate(redis, keys, slots=1, gap_ms=0))

    async def visit(ctx: dict[Any, Any], *, url: str) -> None:
        await polite.audit(ScanRequest(url=url), before_load=ctx["check_paused"])

    async with running_worker(redis_url, keys, [func(visit, name="visit")], max_jobs=4) as worker:
        pages = [{"url": f"https://shop.example:8443/{number}"} for number in range(2)]
        jobs = [await client.submit("visit", page, batch="nightly", lane="batch") for page in pages]
        await until(lambda: engine.prepared == 1 and len(worker.executor.running) == 2, what="one page and one waiting")
        await put(redis, keys, control)
        await worker.controls.look()
        await until(lambda: _is(parked(redis, keys, control), 1), what="the waiting page to be put away")
        engine.go.set()
        await until(lambda: _is(parked(redis, keys, control), 2), what="the prepared page to be put away")
        before = list(engine.loaded)
        await lift(redis, keys, control)
        for job in jobs:
            await client.wait(job.job_id, timeout_s=DEADLINE_S)

    assert (before, len(engine.loaded)) == ([], 2)
    assert [(await job_fields(redis, keys, job.job_id))["attempt"] for job in jobs] == ["1", "1"]


async def test_a_cancelled_job_of_a_paused_host_ends(client: Client, redis: Redis, redis_url: str, keys: Keys):
    pages = Pages(redis, keys)
    await put(redis, keys, SHOP)
    async with running_worker(redis_url, keys, pages.functions):
        job = await client.submit("visit", {"host": "shop.example"})
        await until(lambda: _is(parked(redis, keys, SHOP), 1), what="the page to wait")
        await client.cancel(job.job_id)
        await until(lambda: _state_is(redis, keys, job.job_id, "cancelled"), what="the end")
        await lift(redis, keys, SHOP)

    assert (await job_fields(redis, keys, job.job_id))["state"] == "cancelled"


async def test_a_drained_worker_finishes_what_it_has_takes_no_more_and_is_gone(
    client: Client, redis: Redis, redis_url: str, keys: Keys, call: Call
):
    pages = Pages(redis, keys)
    pages.leave.clear()
    async with running_worker(redis_url, keys, pages.functions, max_jobs=4) as worker:
        running = [await client.submit("visit", {"host": "shop.example"}) for _ in range(3)]
        await until(lambda: len(pages.begun) == 3, what="three pages to begin")

        drained = await asyncio.to_thread(call, "drain", worker.name)
        await until(lambda: worker.controls.is_draining, what="the worker to heed it")
        listed = json.loads((await asyncio.to_thread(call, "workers")).stdout)
        later = await client.submit("visit", {"host": "other.example"})
        pages.leave.set()
        assert worker.main_task is not None
        await asyncio.wait_for(asyncio.shield(worker.main_task), DEADLINE_S)

    assert drained.returncode == 0
    assert listed["draining"] is True
    assert [(await job_fields(redis, keys, job.job_id))["state"] for job in running] == ["succeeded"] * 3
    assert (await job_fields(redis, keys, later.job_id))["state"] == "queued"
    told = [json.loads(line)["event"] for line in await events_of(redis, keys)]
    assert told.count("job.retried") == 0
    assert [name for name in told if "control" in name] == ["control.draining", "control.drained"]
    assert (await client.queue()).workers == ()
    assert await redis.hlen(keys.controls) == 0  # pyright: ignore[reportGeneralTypeIssues]


async def test_the_drain_of_a_killed_worker_ends_with_the_worker(client: Client, redis: Redis, keys: Keys):
    for lane in Lane:
        await redis.xgroup_create(keys.lane(lane), GROUP, id="0", mkstream=True)
    for name in ("killed", "silent", "alive"):
        await put(redis, keys, Control("worker", name))
    await put(redis, keys, SHOP)
    await redis.xgroup_createconsumer(keys.lane("batch"), GROUP, "silent")
    await redis.set(keys.worker("alive"), "{}")

    gone = await lift_drains_of_the_gone(redis, keys)

    assert gone == ["killed"]
    assert {control.field for control in (await client.queue()).controls} == {
        "worker:silent",
        "worker:alive",
        SHOP.field,
    }


async def test_limits_of_a_host_stand_in_for_the_gates_from_its_next_scan_on(redis: Redis, keys: Keys, call: Call):
    gate = HostGate(redis, keys, slots=9, gap_ms=0, patience_s=0)
    async with gate.slot("shop.example"), gate.slot("shop.example"):
        await redis.pexpire(keys.host_began("shop.example"), 60_000)  # kept for a second: a command may take longer
        limited = await asyncio.to_thread(call, "limits", "set", "Shop.example:8443", "--slots", "2", "--gap", "600000")
        with pytest.raises(HostBusy) as busy:
            async with gate.slot("shop.example"):
                pass
        await asyncio.to_thread(call, "limits", "set", "shop.example", "--gap", "0")
        with pytest.raises(HostBusy):
            async with gate.slot("shop.example"):
                pass
        async with gate.slot("other.example"), gate.slot("other.example"), gate.slot("other.example"):
            shown = await asyncio.to_thread(call, "limits", "show")
            status = await asyncio.to_thread(call, "status", "--json")
        cleared = await asyncio.to_thread(call, "limits", "clear", "shop.example")
        async with gate.slot("shop.example"):
            pass

    assert limited.stdout == "host shop.example: 2 at a time, 600,000 ms apart\n"
    assert busy.value.delay_s > 500
    assert json.loads(shown.stdout)["limits"] == {"places": 2, "gap_ms": 0}
    assert json.loads(status.stdout)["controls"][0]["limits"] == {"places": 2, "gap_ms": 0}
    assert "limits removed" in cleared.stdout
    told = [line for line in map(json.loads, await events_of(redis, keys)) if "control" in line["event"]]
    assert [line["event"] for line in told] == ["control.limited", "control.limited", "control.unlimited"]
    assert (told[0]["name"], told[0]["places"], told[0]["gap_ms"]) == ("shop.example", 2, 600_000)
    assert all("@" in line["by"] for line in told)


async def test_a_scan_that_waits_for_its_host_heeds_new_limits(
    redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(host_gate, "LOOK_AGAIN_S", 0.05)
    gate = HostGate(redis, keys, slots=1, gap_ms=3_600_000, patience_s=7_200)
    shop = control_of("limits", "shop.example")
    looks: list[None] = []

    async def visit() -> None:
        async with gate.slot("shop.example", still_wanted=lambda: looks.append(None)):
            pass

    await visit()
    looks.clear()
    waiting = asyncio.create_task(visit())
    await until(lambda: len(looks) >= 2, what="a scan that waits")
    await limit(redis, keys, shop, HostLimits(gap_ms=0))

    async with asyncio.timeout(DEADLINE_S):
        await waiting


async def test_limits_written_by_hand_that_are_none_change_nothing(redis: Redis, keys: Keys):
    gate = HostGate(redis, keys, slots=1, gap_ms=0, patience_s=0)
    for text in ("not json", "3", '{"places": "x", "gap_ms": null}'):
        await redis.execute_command("HSET", keys.controls, "limits:shop.example", text)
        async with gate.slot("shop.example"):
            pass


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (HostLimits(), "use --slots N, --gap MS or both"),
        (HostLimits(places=0), "sightline pause host shop.example"),
        (HostLimits(places=101), "expected 1 to 100"),
        (HostLimits(gap_ms=-1), "expected 0 to 600,000 ms"),
    ],
)
def test_limits_that_cannot_be_are_refused(wanted: HostLimits, why: str):
    with pytest.raises(InputError, match=why):
        checked(wanted, "shop.example")


async def test_a_control_written_by_hand_is_shown_and_holds(client: Client, redis: Redis, keys: Keys, call: Call):
    await redis.execute_command("HSET", keys.controls, "host:shop.example", "not json")

    queue = await client.queue()
    status = await asyncio.to_thread(call, "status", "--json")
    with pytest.raises(Paused):
        async with HostGate(redis, keys, slots=1, gap_ms=0).slot("shop.example"):
            pass

    assert queue.controls == (SHOP,)
    assert json.loads(status.stdout)["controls"][0]["name"] == "shop.example"


@pytest.mark.parametrize(
    ("kind", "name", "why"), [("lane", "fast", "expected one of interactive, batch"), ("host", "a b", "is not a host")]
)
def test_an_invalid_pause_is_refused(kind: str, name: str, why: str):
    with pytest.raises(InputError, match=why):
        control_of(kind, name)


def test_hosts_and_sites_are_spelt_as_the_gate_spells_them():
    assert control_of("host", "https://Shop.Example:8443/cart").name == "shop.example"
    assert control_of("site", "Shop.Example:8443").name == "shop.example:8443"


async def _is(count: Any, expected: int) -> bool:
    return await count == expected


async def _is_over(redis: Redis, keys: Keys, token: bytes, ends: Any) -> bool:
    return (await redis.zscore(keys.host_slots("shop.example"), token) or 0) > ends


async def _state_is(redis: Redis, keys: Keys, job_id: str, state: str) -> bool:
    return (await job_fields(redis, keys, job_id)).get("state") == state
