"""The browser outlives bad pages, is replaced when it dies, and never outlives its worker."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from producer.contract import ScanRequest
from producer.errors import DependencyMissing, ScanFailed
from tests.support.processes_of import all_gone, descendants
from tests.support.site import Site
from worker.scan.engine import ScanEngine, ScanSettings

ROOT = Path(__file__).resolve().parents[2]
WORKER = """
import asyncio, sys
from producer.contract import ScanRequest
from worker.scan.engine import ScanEngine, ScanSettings

async def main():
    async with ScanEngine(ScanSettings(allow_private=True, browser_path=sys.argv[1])) as engine:
        await engine.audit(ScanRequest(url=sys.argv[2]), on_progress=lambda step: print(step, flush=True))

asyncio.run(main())
"""


def browser_pid(engine: ScanEngine) -> int:
    assert engine._browsers is not None
    assert engine._browsers.current is not None
    return engine._browsers.current.pid


async def open_contexts(engine: ScanEngine) -> list[str]:
    assert engine._browsers is not None
    assert engine._browsers.current is not None
    answer = await engine._browsers.current.connection.call("Target.getBrowserContexts")
    return answer["browserContextIds"]


async def test_a_browser_that_dies_under_a_scan_is_replaced_and_the_scan_succeeds(
    settings: ScanSettings, site: Site
) -> None:
    async with ScanEngine(settings) as engine:
        died: list[int] = []

        def kill_once(step: str) -> None:
            if step == "auditing" and not died:
                died.append(browser_pid(engine))
                os.kill(died[0], signal.SIGKILL)

        killed, bystander = await asyncio.gather(
            engine.audit(ScanRequest(url=site.url("/pages/guilty.html")), on_progress=kill_once),
            engine.audit(ScanRequest(url=site.url("/pages/late.html"))),
        )
        after = await engine.audit(ScanRequest(url=site.url("/pages/guilty.html")))

        assert died
        assert [audit.result.status for audit in (killed, bystander, after)] == ["scanned"] * 3
        assert browser_pid(engine) != died[0]


async def test_a_browser_that_dies_twice_is_worth_another_attempt_of_the_job(
    settings: ScanSettings, site: Site
) -> None:
    async with ScanEngine(settings) as engine:

        def kill_all(_: str) -> None:
            for pid in descendants():
                os.kill(pid, signal.SIGKILL)

        with pytest.raises(ScanFailed, match="failed twice") as caught:
            await engine.audit(ScanRequest(url=site.url("/pages/guilty.html")), on_progress=kill_all)
        after = await engine.audit(ScanRequest(url=site.url("/pages/guilty.html")))

    assert caught.value.retryable
    assert after.result.status == "scanned"


async def test_a_browser_is_recycled_after_its_share_of_scans(settings: ScanSettings, site: Site) -> None:
    async with ScanEngine(dataclasses.replace(settings, recycle_after_scans=3)) as engine:
        pids: list[int] = []
        for _ in range(5):
            await engine.audit(
                ScanRequest(url=site.url("/pages/clean.html")), on_progress=lambda _: pids.append(browser_pid(engine))
            )
    assert [len(list(group)) for _, group in itertools.groupby(pids)] == [6, 4]
    assert all_gone(pids[:1], within_s=5)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
async def test_a_browser_that_has_grown_is_recycled_without_harm_to_the_scan_beside(
    settings: ScanSettings, site: Site
) -> None:
    async with ScanEngine(dataclasses.replace(settings, recycle_above_mb=1)) as engine:
        audits = await asyncio.gather(
            *(engine.audit(ScanRequest(url=site.url("/pages/guilty.html"))) for _ in range(4))
        )

    assert [audit.result.status for audit in audits] == ["scanned"] * 4


async def test_a_cancelled_scan_leaves_no_page(settings: ScanSettings, site: Site) -> None:
    async with ScanEngine(settings) as engine:
        await engine.audit(ScanRequest(url=site.url("/pages/clean.html")))
        started = asyncio.Event()
        request = ScanRequest(url=site.url("/hang"))
        task = asyncio.create_task(engine.audit(request, on_progress=lambda _: started.set()))
        await started.wait()

        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert await open_contexts(engine) == []
        again = await engine.audit(ScanRequest(url=site.url("/pages/clean.html")))
        assert again.result.status == "scanned"


async def test_a_scan_takes_no_more_than_its_deadline_of_a_server_that_says_nothing(
    engine: ScanEngine, site: Site
) -> None:
    audit = await asyncio.wait_for(engine.audit(ScanRequest(url=site.url("/hang"), deadline_s=1)), 3)

    assert audit.result.status == "unreachable"


async def test_only_so_many_scans_run_at_a_time(settings: ScanSettings, site: Site) -> None:
    running: list[int] = [0, 0]

    async def one(engine: ScanEngine) -> None:
        def begin(step: str) -> None:
            if step == "loading":
                running[0] += 1
                running[1] = max(running)

        await engine.audit(ScanRequest(url=site.url("/pages/clean.html")), on_progress=begin)
        running[0] -= 1

    async with ScanEngine(settings) as engine:
        await asyncio.gather(*(one(engine) for _ in range(6)))

    assert running[1] == 2


async def test_a_closed_engine_leaves_no_process_and_no_profile(settings: ScanSettings, site: Site) -> None:
    others = set(descendants())
    engine = ScanEngine(settings)
    await engine.open()
    await engine.audit(ScanRequest(url=site.url("/pages/clean.html")))
    pids = [pid for pid in descendants() if pid not in others]
    assert engine._browsers is not None
    assert engine._browsers.current is not None
    profile = engine._browsers.current._profile

    await engine.close()
    await engine.close()

    assert pids
    assert all_gone(pids, within_s=5)
    assert not profile.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="processes are listed from /proc")
def test_a_killed_worker_takes_its_browser_with_it(browser_path: str, site: Site) -> None:
    command = [sys.executable, "-c", WORKER, browser_path, site.url("/hang")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline().strip().endswith("loading") or worker.stdout.readline()
        pids = descendants(worker.pid)

        worker.kill()
        worker.wait(10)

    assert len(pids) >= 3
    assert all_gone(pids, within_s=10)


async def test_the_result_says_whether_the_browser_ran_in_its_sandbox(engine: ScanEngine, site: Site) -> None:
    audit = await engine.audit(ScanRequest(url=site.url("/pages/clean.html")))

    sandbox = audit.result.engine["sandbox"]
    assert sandbox == "off: root" if os.geteuid() == 0 else sandbox in {"on", "off: refused by the kernel"}


async def test_the_sandbox_is_left_out_only_where_the_browser_does_not_start_with_it(
    settings: ScanSettings, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "chromium"
    only_without = 'for word; do [ "$word" = --no-sandbox ] && exec "$BROWSER" "$@"; done; exit 1'
    program.write_text(f"#!/bin/sh\nBROWSER={settings.browser_path}\n{only_without}\n")
    program.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    async with ScanEngine(dataclasses.replace(settings, browser_path=str(program))) as engine:
        audit = await engine.audit(ScanRequest(url=site.url("/pages/clean.html")))

    assert audit.result.status == "scanned"
    assert audit.result.engine["sandbox"] == "off: refused by the kernel"


async def test_an_engine_without_a_browser_says_what_to_install(tmp_path: Path) -> None:
    engine = ScanEngine(ScanSettings(browser_path=str(tmp_path / "missing")))

    with pytest.raises(DependencyMissing, match="there is no browser at"):
        await engine.open()


async def test_a_program_that_is_no_browser_is_a_failed_scan(tmp_path: Path) -> None:
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)

    with pytest.raises(ScanFailed, match="does not start"):
        await ScanEngine(ScanSettings(browser_path=str(program))).open()
