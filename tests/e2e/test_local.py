"""``scan --local``: a Redis and a worker for one run, and nothing left behind, however the run ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.support.command_line import start_sightline
from tests.support.processes_of import all_gone, command_of, descendants, until_within
from tests.support.queue import until
from tests.support.scan_worker import need_browser
from tests.support.site import AUTHORITY, VOUCHED, Site, reply
from tests.support.small_site import SmallSite, small_site, urlset

WAIT_S = 90

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path, children: list[subprocess.Popen[bytes]]) -> Start:
    need_browser()

    def start(*arguments: str, **variables: str) -> subprocess.Popen[str]:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        environment = {**inherited, "TMPDIR": str(tmp_path), "REDIS_URL": "redis://127.0.0.1:1", **variables}
        process = start_sightline(environment, "scan", *arguments)
        children.append(process)  # pyright: ignore[reportArgumentType]  # ended with the test whatever it speaks
        return process

    return start


@pytest.fixture
def elsewhere() -> Generator[SmallSite]:
    """A second site on this machine, which is not to be scanned."""
    with small_site() as site:
        yield site


def test_a_page_on_this_machine_is_scanned_and_nothing_is_left(
    start: Start, site: SmallSite, elsewhere: SmallSite, tmp_path: Path
) -> None:
    page = f"<!doctype html><html lang=en><title>T</title><main><h1>T</h1><img src={elsewhere.url}/secret.png></main>"
    site.files["/page"] = page.encode()

    # Settings of another Redis and of another worker on this machine are none of its business.
    others = {"REDIS_PASSWORD_FILE": "/nowhere", "METRICS_PORT": elsewhere.url.rpartition(":")[2]}
    process = start(f"{site.url}/page", "--local", **others)
    out, err = process.communicate(timeout=WAIT_S)

    result = json.loads(out)
    assert (process.returncode, err) == (1, "")
    assert [finding["rule"] for finding in result["findings"]] == ["image-alt"]
    assert result["assessment_source"] == "builtin"
    assert elsewhere.asked  # an application on this machine asks its API on another port
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("trusted", [("--ca", str(AUTHORITY)), ("--insecure",)], ids=["ca", "insecure"])
def test_a_staging_server_is_trusted_for_its_sitemap_and_its_pages(start: Start, trusted: tuple[str, ...]) -> None:
    with Site(tls=VOUCHED) as staging:
        staging.add(
            "/tea", "<!doctype html><html lang=en><title>T</title><main><h1>T</h1><img src=a.png></main></html>"
        )
        sitemap = staging.add("/s.xml", reply(urlset(staging.url("/tea")), content_type="application/xml"))
        process = start("--sitemap", sitemap, "--local", "--no-assess", "--json", *trusted)
        out, err = process.communicate(timeout=WAIT_S)

    assert process.returncode == 1, err
    assert [finding["rule"] for finding in json.loads(out)["findings"]] == ["image-alt"]


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -15), (signal.SIGKILL, -9)])
async def test_a_local_run_leaves_no_process_and_no_file_however_it_ends(
    start: Start, site: SmallSite, tmp_path: Path, how: signal.Signals, code: int
) -> None:
    site.gate.clear()
    process = start(f"{site.url}/guilty", "--local")
    await until(lambda: site.asked, what="the page to be asked for")
    below = descendants(process.pid)

    process.send_signal(how)
    _, err = process.communicate(timeout=WAIT_S)

    assert process.returncode == code
    assert len(below) >= 4  # Redis and the shell that watches it, worker, browser
    assert all_gone(below, within_s=30)
    await until(lambda: not any(tmp_path.iterdir()), what="the files to be removed")
    if how is signal.SIGINT:
        assert err == "sightline: stopped waiting; nothing continues: --local stopped everything that it had started\n"


def has_worker(pid: int) -> bool:
    return any(b"\0worker\0" in command_of(one) for one in descendants(pid))


@pytest.mark.parametrize("later_s", [0.0, 0.002, 0.02])
def test_a_kill_in_the_moment_its_worker_starts_leaves_no_process_and_no_file(
    start: Start, site: SmallSite, tmp_path: Path, later_s: float
) -> None:
    process = start(f"{site.url}/guilty", "--local")
    until_within(lambda: has_worker(process.pid), seconds=WAIT_S, every_s=0.002)
    time.sleep(later_s)

    process.kill()
    process.wait()

    until_within(lambda: not [pid for pid in every_process() if str(tmp_path).encode() in environment(pid)], seconds=30)
    until_within(lambda: not any(tmp_path.iterdir()), seconds=30)


def every_process() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdecimal()]


def environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def test_a_worker_that_cannot_start_is_the_error_and_not_an_endless_wait(
    start: Start, site: SmallSite, tmp_path: Path
) -> None:
    process = start(f"{site.url}/guilty", "--local", BROWSER_PATH="/nowhere/chromium")
    out, err = process.communicate(timeout=WAIT_S)

    assert (process.returncode, out) == (3, "")
    assert "the worker of --local has ended: there is no browser at '/nowhere/chromium'" in err
    assert list(tmp_path.iterdir()) == []


def test_a_private_host_that_is_not_this_machine_stays_closed(start: Start) -> None:
    process = start("http://10.255.255.1/", "--local", "--format", "json")
    out, _ = process.communicate(timeout=WAIT_S)

    [page] = json.loads(out)["pages"]
    assert process.returncode == 2
    assert page["status"] == "blocked"
    assert "rule 'private'" in page["reason"]
