"""A real Prometheus scrapes two real workers under load: every dashboard panel has data, and alerts fire."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from pathlib import Path
from typing import Any

from producer.client.client import Client
from producer.keys import Keys
from tests.support.child import Child
from tests.support.command_line import Call
from tests.support.prometheus import Prometheus, find_program, running_prometheus
from tests.support.queue import until
from tests.support.scan_worker import StartScanWorker
from tests.support.small_site import SmallSite
from worker.own_redis.server import free_port

OPS = Path(__file__).parents[3] / "ops"
WAIT_S = 90
TLS_PANELS = ("Certificate of Redis A",)
NIGHT_PANELS = ("Late schedules and age of the backup A", "Late schedules and age of the backup B")
NOT_UNDER_LOAD = TLS_PANELS + NIGHT_PANELS
"""Panels without data here: no TLS, no schedule, no backup. ``test_alerts.py`` has them."""


def panel_queries(environment: str) -> dict[str, str]:
    dashboard = json.loads((OPS / "grafana/sightline.json").read_text())
    found = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    }
    return {
        name: text.replace("$environment", environment).replace("$__rate_interval", "60s")
        for name, text in found.items()
    }


def quick_rules() -> str:
    """Return the alerts with shorter waits."""
    text = (OPS / "prometheus/alerts.yml").read_text()
    return re.sub(r"for: \d+[sm]", "for: 1s", text).replace("offset 15m", "offset 3s")


async def test_each_panel_has_data_under_load_and_three_alerts_are_provoked(
    client: Client, start_worker: StartScanWorker, site: SmallSite, keys: Keys, tmp_path: Path
):
    find_program("prometheus")
    ports = [free_port(), free_port()]
    async with Child("tests.support.ollama_server", "--call-ms", "100") as ollama:
        models = {
            "CHAT_MODEL": "qwen3.5:4b",
            "EMBEDDING_MODEL": "nomic-embed-text",
            "OLLAMA_BASE_URL": await ollama.line(),
        }
        workers = [start_worker(METRICS_PORT=str(port), KIND_WAIT_S="0", **models) for port in ports]
        with running_prometheus(tmp_path, quick_rules(), ports) as prometheus:
            load = asyncio.create_task(keep_busy(client, site))
            queries = {name: one for name, one in panel_queries(keys.environment).items() if name not in NOT_UNDER_LOAD}

            without = await wait_for_data(prometheus, queries)

            assert not without
            await until(lambda: is_well(prometheus, workers=2), what="both workers scraped, and no alert of no workers")
            await until(lambda: "SightlineDeadLetters" in prometheus.firing(), what="the alert of dead letters")
            load.cancel()
            first, *others = workers
            first.kill()
            await until(lambda: "SightlineWorkerLost" in prometheus.firing(), what="the alert of a lost worker")
            for worker in others:
                worker.kill()
            await until(lambda: "SightlineNoWorkers" in prometheus.firing(), what="the alert of no workers")


async def test_a_batch_whose_site_is_down_says_so_everywhere_and_fires_an_alert_with_a_runbook(
    call: Call, start_worker: StartScanWorker, site: SmallSite, tmp_path: Path
):
    find_program("prometheus")
    port = free_port()
    start_worker(METRICS_PORT=str(port))
    pages = [f"{site.url}/guilty", *(f"{site.url}/gone?{number}" for number in range(9))]
    with running_prometheus(tmp_path, quick_rules(), [port]) as prometheus:
        done = await asyncio.to_thread(
            call, "scan", *pages, "--batch", "night", "--wait", "--no-assess", "--fail-on", "never"
        )
        checked = await asyncio.to_thread(call, "status", "night", "--check")
        await until(prometheus.is_ready, what="Prometheus")
        await until(lambda: "SightlinePagesNotScanned" in prometheus.firing(), what="the alert of pages not scanned")
        [alert] = [one for one in prometheus.alerts() if one["labels"]["alertname"] == "SightlinePagesNotScanned"]
        opened = _opened(prometheus, alert["annotations"]["runbook_url"])

    assert (done.returncode, checked.returncode) == (2, 2)
    status = json.loads(checked.stdout)
    assert (status["succeeded"], status["not_scanned"], status["pages"]["unreachable"]) == (10, 9, 9)
    assert alert["labels"]["batch"] == "night"
    assert alert["annotations"]["summary"].startswith("90% of the pages of batch night")
    assert "### SightlinePagesNotScanned" in opened


def _opened(prometheus: Prometheus, link: str) -> str:
    """Return the linked page, and the text that it fetches."""
    path = link.partition("://")[2].partition("/")[2].partition("#")[0]
    (page_status, page), (text_status, text) = prometheus.get(f"/{path}"), prometheus.get("/user/runbook.md")
    assert (page_status, text_status) == (200, 200)
    assert b'fetch("runbook.md")' in page
    return text.decode()


async def keep_busy(client: Client, site: SmallSite) -> None:
    """Scans, questions and jobs that die, until cancelled."""
    number = 0
    while True:
        number += 1
        site.files[f"/guilty?{number}"] = site.files["/guilty"]
        page, batch = {"url": f"{site.url}/guilty?{number}"}, f"load-{number}"
        jobs: list[Any] = [await client.submit("scan", page, batch=batch) for _ in range(4)]
        await client.seal_batch(batch)
        jobs.append(await client.submit("query", {"question": "Which page has the worst barriers?"}))
        await client.submit("no such kind", {})
        for job in jobs:
            await client.wait(job.job_id, timeout_s=WAIT_S)


async def wait_for_data(prometheus: Prometheus, queries: dict[str, str]) -> list[str]:
    """Return the queries that have no data at the deadline."""
    await until(prometheus.is_ready, what="Prometheus")
    waiting = dict(queries)
    deadline = asyncio.get_running_loop().time() + WAIT_S
    while waiting and asyncio.get_running_loop().time() < deadline:
        for name in list(waiting):
            if await asyncio.to_thread(prometheus.query, waiting[name]):
                del waiting[name]
        await asyncio.sleep(0.2)
    return sorted(waiting)


def is_well(prometheus: Prometheus, *, workers: int) -> bool:
    seen = prometheus.query("count(sightline_worker_info)")
    return [count for _, count in seen] == [workers] and "SightlineNoWorkers" not in prometheus.firing()


def test_each_alert_fires_when_it_should_and_says_what_it_should() -> None:
    done = subprocess.run(
        [find_program("promtool"), "test", "rules", OPS / "prometheus/alerts.test.yml"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout + done.stderr
