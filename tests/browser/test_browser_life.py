"""The browser outlives bad pages, is replaced when it dies, and never outlives its worker."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from producer.contract import ScanRequest
from producer.errors import DependencyMissing, ScanFailed
from producer.redis.connection import redis_errors
from producer.settings import ClientSettings
from tests.support.processes_of import all_gone, descendants
from tests.support.site import Site
from worker.doctor.browser import started_browser_lines
from worker.doctor.line import Level
from worker.scan.cdp import BrowserGone, Connection, JsonObject
from worker.scan.chromium import Chromium
from worker.scan.engine import ScanEngine, ScanSettings
from worker.scan.settings import Fonts

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
    others = set(descendants())
    async with ScanEngine(settings) as engine:

        def kill_all(_: str) -> None:
            # Parents first: a browser that outlives its page's process reports a crashed page.
            for pid in descendants():
                if pid not in others:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

        with pytest.raises(ScanFailed, match="failed twice") as caught:
            await engine.audit(ScanRequest(url=site.url("/pages/guilty.html")), on_progress=kill_all)
        after = await engine.audit(ScanRequest(url=site.url("/pages/guilty.html")))

    assert caught.value.retryable
    assert after.result.status == "scanned"


@pytest.mark.skipif(sys.platform != "linux", reason="processes are listed from /proc")
async def test_a_browser_that_dies_between_scans_leaves_no_profile(settings: ScanSettings, site: Site) -> None:
    async with ScanEngine(settings) as engine:
        await engine.audit(ScanRequest(url=site.url("/pages/clean.html")))
        assert engine._browsers is not None
        dead = engine._browsers.current
        assert dead is not None
        os.kill(dead.pid, signal.SIGKILL)
        await asyncio.wait_for(dead.connection.closed.wait(), 60)

        after = await engine.audit(ScanRequest(url=site.url("/pages/clean.html")))

        assert after.result.status == "scanned"
        assert not dead._profile.exists()


async def test_a_browser_is_recycled_after_its_share_of_scans(settings: ScanSettings, site: Site) -> None:
    async with ScanEngine(dataclasses.replace(settings, recycle_after_scans=3)) as engine:
        pids: list[int] = []
        for _ in range(5):
            await engine.audit(
                ScanRequest(url=site.url("/pages/clean.html")), on_progress=lambda _: pids.append(browser_pid(engine))
            )
    assert [len(list(group)) for _, group in itertools.groupby(pids)] == [6, 4]
    assert all_gone(pids[:1], within_s=30)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
async def test_a_browser_that_has_grown_is_recycled_without_harm_to_the_scan_beside(
    settings: ScanSettings, site: Site
) -> None:
    async with ScanEngine(dataclasses.replace(settings, recycle_above_mb=1)) as engine:
        first = browser_pid(engine)
        audits = await asyncio.gather(
            *(engine.audit(ScanRequest(url=site.url("/pages/guilty.html"))) for _ in range(4))
        )
        is_recycled = all_gone([first], within_s=30)

    assert [audit.result.status for audit in audits] == ["scanned"] * 4
    assert is_recycled


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
async def test_a_page_that_fills_the_browser_itself_fails_with_the_reason_and_takes_no_other_scan_with_it(
    settings: ScanSettings, site: Site
) -> None:
    fill = "setInterval(() => kept.length < 40 && kept.push(new Blob([part])), 10)"
    script = f"const part = new Uint8Array(1.6e7).fill(7), kept = []; {fill}"
    page = f"<!doctype html><title>blobs</title><script>{script}</script>"
    eater = ScanRequest(url=site.add("/blobs", page), wait_for="#never")  # a slow machine takes seconds to fill it
    async with ScanEngine(dataclasses.replace(settings, max_browser_mb=280, load_limit_s=30.0)) as engine:
        failed, beside = await asyncio.gather(
            engine.audit(eater), engine.audit(ScanRequest(url=site.url("/pages/late.html"))), return_exceptions=True
        )

    assert isinstance(failed, ScanFailed)
    assert "over the limit of 280 MB" in str(failed)
    assert not failed.retryable  # alone in its browser, it filled that one too
    assert not isinstance(beside, BaseException)
    assert beside.result.status == "scanned"


async def test_a_cancelled_scan_leaves_no_page(settings: ScanSettings, site: Site) -> None:
    async with ScanEngine(settings) as engine:
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


async def test_between_scans_a_browser_has_no_page_open(settings: ScanSettings, site: Site) -> None:
    text = "<p style='color:#fff;background-image:linear-gradient(#000,#333)'>A line of text that people read"
    async with ScanEngine(settings) as engine:
        assert await open_contexts(engine) == []  # its fonts are known

        result = (await engine.audit(ScanRequest(url=site.add("/undecided", text)))).result

        assert [node.contrast is not None for one in result.incomplete for node in one.nodes] == [True]
        assert await open_contexts(engine) == []


async def test_a_scan_that_is_cancelled_while_its_browser_starts_leaves_none(
    settings: ScanSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    others, asked = set(descendants()), asyncio.Event()

    async def endless(_: Chromium) -> Fonts:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("worker.scan.warm.read_fonts", endless)
    engine = ScanEngine(settings)
    opening = asyncio.create_task(engine.open())
    await asyncio.wait_for(asked.wait(), 60)
    pids = [pid for pid in descendants() if pid not in others]

    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening

    assert pids
    assert all_gone(pids, within_s=30)


async def test_a_scan_that_is_cancelled_while_its_page_opens_leaves_no_context(
    settings: ScanSettings, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ScanEngine(settings) as engine:
        await engine.audit(ScanRequest(url=site.url("/pages/clean.html")))
        between_scans = await open_contexts(engine)
        asked, call = asyncio.Event(), Connection.call

        async def called(connection: Connection, method: str, *given: Any, **more: Any) -> JsonObject:
            if method in {"Target.createBrowserContext", "Browser.setDownloadBehavior"}:
                asked.set()
            return await call(connection, method, *given, **more)

        monkeypatch.setattr(Connection, "call", called)
        for ticks in range(8):
            asked.clear()
            task = asyncio.create_task(engine.audit(ScanRequest(url=site.url("/pages/clean.html"))))
            await asyncio.wait_for(asked.wait(), 60)
            for _ in range(ticks):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        monkeypatch.undo()

        assert await open_contexts(engine) == between_scans


async def test_a_scan_takes_no_more_than_its_deadline_of_a_server_that_says_nothing(
    settings: ScanSettings, site: Site
) -> None:
    async with ScanEngine(dataclasses.replace(settings, load_limit_s=100.0)) as patient:
        audit = await asyncio.wait_for(patient.audit(ScanRequest(url=site.url("/hang"), deadline_s=1)), 60)

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
    assert all_gone(pids, within_s=30)
    assert not profile.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="processes are listed from /proc")
def test_a_killed_worker_takes_its_browser_with_it(browser_path: str, site: Site) -> None:
    command = [sys.executable, "-c", WORKER, browser_path, site.url("/hang")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert any(line == "loading\n" for line in worker.stdout)
        pids = descendants(worker.pid)

        worker.kill()
        worker.wait(10)

    assert len(pids) >= 3
    assert all_gone(pids, within_s=30)


async def test_the_result_says_whether_the_browser_ran_in_its_sandbox(engine: ScanEngine, site: Site) -> None:
    audit = await engine.audit(ScanRequest(url=site.url("/pages/clean.html")))

    sandbox = audit.result.engine["sandbox"]
    assert sandbox == "off: root" if os.geteuid() == 0 else sandbox in {"on", "off: refused by the kernel"}


def browser_that(says: str, *, times: int, settings: ScanSettings, folder: Path) -> ScanSettings:
    """Return settings of a browser whose first ``times`` starts with a sandbox end after these words."""
    program, count = folder / "chromium", folder / "starts"
    program.write_text(
        f"""#!/bin/sh
case " $* " in *" --no-sandbox "*) exec {settings.browser_path} "$@";; esac
echo x >>{count}
[ $(wc -l <{count}) -gt {times} ] || {{ echo '{says}' >&2; exit 1; }}
exec {settings.browser_path} --no-sandbox "$@"
"""
    )
    program.chmod(0o755)
    return dataclasses.replace(settings, browser_path=str(program))


NO_SANDBOX = "[1128/1:ERROR:zygote_host_impl_linux.cc:130] No usable sandbox! If this is a Debian system, …"
NO_CHROOT = 'Check failed: sys_chroot("/proc/self/fdinfo/") == 0'
DISK_FULL = "[1128/1:FATAL:shared_memory.cc:9] No space left on device"


@pytest.mark.parametrize(
    ("says", "times", "sandbox"),
    [
        pytest.param("", 1, "on", id="a start that fails once"),
        pytest.param(DISK_FULL, 1, "on", id="a full disk"),
        pytest.param(NO_SANDBOX, 1, "on", id="namespaces used up for a moment"),
        pytest.param(NO_SANDBOX, 99, "off: refused by the kernel", id="no user namespaces"),
        pytest.param(NO_CHROOT, 99, "off: refused by the kernel", id="no chroot"),
    ],
)
async def test_the_sandbox_is_left_out_only_where_the_browser_says_that_there_is_none(
    settings: ScanSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, times: int, sandbox: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    async with ScanEngine(browser_that(says, times=times, settings=settings, folder=tmp_path)) as engine:
        assert engine.sandbox == sandbox


async def test_a_browser_that_does_not_start_in_its_sandbox_is_not_started_without_it(
    settings: ScanSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    full = browser_that(DISK_FULL, times=99, settings=settings, folder=tmp_path)

    with pytest.raises(DependencyMissing, match=r"does not start: .* \(it said: .*No space left on device\)"):
        await ScanEngine(full).open()


async def test_a_sandbox_that_was_there_once_is_never_given_up(
    settings: ScanSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    none_here = browser_that(NO_SANDBOX, times=99, settings=settings, folder=tmp_path)

    with pytest.raises(BrowserGone, match="the browser has lost the sandbox that it had before"):
        await Chromium.launch(Path(none_here.browser_path or ""), none_here, had_sandbox=True)


async def test_a_sandbox_that_is_required_is_missed_with_what_to_do(
    settings: ScanSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none_here = browser_that(NO_SANDBOX, times=99, settings=settings, folder=tmp_path)
    required = dataclasses.replace(none_here, sandbox="require")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(DependencyMissing, match=r"off: root.*run the worker as a user other than root"):
        await ScanEngine(required).open()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(DependencyMissing, match=r"No usable sandbox.*permit user namespaces"):
        await ScanEngine(required).open()


async def test_a_sandbox_switched_off_is_said(settings: ScanSettings, browser_path: str) -> None:
    off = dataclasses.replace(settings, sandbox="off")

    async with ScanEngine(off) as engine:
        assert engine.sandbox == "off: SCAN_SANDBOX=off"
    line, _ = await started_browser_lines(browser_path, sandbox="off")
    assert (line.subject, line.level) == ("sandbox", Level.WARNING)


async def test_an_engine_without_a_browser_says_what_to_install(tmp_path: Path) -> None:
    engine = ScanEngine(ScanSettings(browser_path=str(tmp_path / "missing")))

    with pytest.raises(DependencyMissing, match="there is no browser at"):
        await engine.open()


async def test_a_program_that_is_no_browser_is_a_missing_one(tmp_path: Path) -> None:
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)

    with pytest.raises(DependencyMissing, match="does not start"):
        await ScanEngine(ScanSettings(browser_path=str(program))).open()


async def test_a_browser_without_a_temporary_folder_says_so_and_is_not_called_redis(
    settings: ScanSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))

    with (
        pytest.raises(
            DependencyMissing, match=r"folder for its profile \(No such file or directory\): free some space"
        ),
        redis_errors(ClientSettings()),
    ):
        await ScanEngine(settings).open()
