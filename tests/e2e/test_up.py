"""``sightline up``: workers on a Redis that answers, ended by one signal with nothing left."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from producer.client import Client
from producer.contract import ScanResult
from producer.keys import Keys
from producer.settings import ClientSettings
from tests.support.command_line import StartProgram
from tests.support.queue import until
from tests.support.redis_server import StartServer
from tests.support.scan_worker import ROOT, environment_for, need_browser
from tests.support.small_site import SmallSite


async def test_up_runs_workers_until_sigterm_and_leaves_none(
    client: Client, program: StartProgram, site: SmallSite, tmp_path: Path
):
    need_browser()
    with (tmp_path / "up.log").open("wb") as log:
        up = program("up", "--workers", "2", stdout=log, stderr=log)
    await until(lambda: _has_workers(client, 2), what="two workers")
    job = await client.submit("scan", {"url": f"{site.url}/guilty"})
    result = await client.wait(job.job_id, timeout_s=60)

    up.send_signal(signal.SIGTERM)
    code = up.wait(40)

    assert isinstance(result, ScanResult)
    assert code == 0
    assert (await client.queue()).workers == ()


async def test_up_hands_the_password_of_a_file_to_its_workers(
    redis_server: StartServer, program: StartProgram, keys: Keys, tmp_path: Path
):
    need_browser()
    server = redis_server(config={"requirepass": "of-a-file"})
    (tmp_path / "password").write_text("of-a-file\n")
    url = f"redis://127.0.0.1:{server.url.rpartition(':')[2]}"
    variables = {"REDIS_URL": url, "REDIS_PASSWORD_FILE": str(tmp_path / "password")}
    with (tmp_path / "up.log").open("wb") as log:
        up = program("up", variables=variables, stdout=log, stderr=log)

    async with Client(ClientSettings(redis_url=server.url, environment=keys.environment)) as client:
        await until(lambda: _has_workers(client, 1), what="a worker")
    up.send_signal(signal.SIGTERM)

    assert up.wait(40) == 0


def test_a_worker_keeps_what_stays_out_of_its_garbage_collections(redis_url: str, keys: Keys):
    need_browser()
    code = "import gc, worker.__main__ as m; m.main(burst=True); print(gc.get_freeze_count(), len(gc.get_objects()))"

    said = subprocess.check_output(
        [sys.executable, "-c", code], cwd=ROOT, env=environment_for(redis_url, keys), stderr=subprocess.DEVNULL
    )

    frozen, others = map(int, said.split())
    assert frozen > 50_000
    assert others < frozen / 10


async def _has_workers(client: Client, count: int) -> bool:
    return len((await client.queue()).workers) == count
