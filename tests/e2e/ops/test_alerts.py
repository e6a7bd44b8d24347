"""Each alert fires in a real Prometheus for its real cause; only waits and sizes are reduced.

``test_prometheus.py`` fires those of dead letters, lost workers and pages not scanned.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import yaml
from redis import Redis

from producer.client.client import Client
from producer.keys import GROUP, Keys
from producer.stored.schedules import FIRED, Schedule
from tests.e2e.ops.test_prometheus import NIGHT_PANELS, OPS, TLS_PANELS, panel_queries, quick_rules
from tests.support.command_line import run_sightline
from tests.support.missing import not_tested
from tests.support.ollama_protocol import CHAT
from tests.support.ollama_server import OllamaServer
from tests.support.prometheus import Prometheus, find_program, running_prometheus
from tests.support.queue import until
from tests.support.redis_server import StartServer
from tests.support.scan_worker import StartScanWorker, environment_for, need_browser, start_scan_worker
from tests.support.small_site import SmallSite
from worker.own_redis.server import EmbeddedRedis, free_port

Children = list[subprocess.Popen[bytes]]

PAGES = 12
LEASES_LOST = 3
"""The alert fires above it."""
PATIENCE_S = 150
"""Of a machine that is eight times busier; a run in quiet needs a tenth."""
ELSEWHERE = {"SightlineNoWorkers", "SightlineWorkerLost", "SightlineDeadLetters", "SightlinePagesNotScanned"}
OF_MODELS = {
    "SightlineOllamaTooOld",
    "SightlineModelOnCpu",
    "SightlineModelMissing",
    "SightlineGpuSaturated",
    "SightlineWorkerMemory",
    "SightlineSandboxOff",
}
OF_A_DEAD_MODEL_HOST = {"SightlineModelHostDown", "SightlineGpuIdleWhileWorkWaits"}
OF_THE_QUEUE = {
    "SightlineOldestJobWaits",
    "SightlineNoFunction",
    "SightlineLeasesLost",
    "SightlineDeadLettersNearCap",
    "SightlineScheduleDidNotRun",
    "SightlineUpkeepFails",
    "SightlineBackupOld",
}
OF_REDIS = {"SightlineRedisMemory", "SightlineRedisDisk"}
OF_A_STRANGE_RECORD = {"SightlineBackgroundFailed"}
OF_A_DEAD_REDIS = {"SightlineRedisDown"}
OF_TLS = {"SightlineRedisCertificate"}


def test_each_alert_is_fired_for_real_by_one_test() -> None:
    rules = yaml.safe_load((OPS / "prometheus/alerts.yml").read_text())["groups"][0]["rules"]

    fired = ELSEWHERE | OF_MODELS | OF_A_DEAD_MODEL_HOST | OF_THE_QUEUE | OF_REDIS | OF_TLS
    fired |= OF_A_STRANGE_RECORD | OF_A_DEAD_REDIS
    assert fired == {rule["alert"] for rule in rules}


class OldAndSpilt(OllamaServer):
    """An old Ollama with half of each loaded model on the CPU."""

    def _look_up(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        status, reply = super()._look_up(method, path, body)
        if path == "/api/version":
            return status, {"version": "0.17.0"}
        if path == "/api/ps":
            halves = [{**model, "size_vram": model["size"] // 2} for model in reply["models"]]
            return status, {"models": halves}
        return status, reply


async def test_alerts_of_models_and_browsers_fire(
    start_worker: StartScanWorker, client: Client, site: SmallSite, tmp_path: Path
):
    find_program("prometheus")
    port = free_port()
    rules = smaller(quick_rules(), {"> 3e9": "> 3e7", "_wait_seconds) > 120": "_wait_seconds) > 1"})
    async with OldAndSpilt(CHAT, call_s=600) as ollama:
        models = {"CHAT_MODEL": CHAT.name, "EMBEDDING_MODEL": "nomic-embed-text", "OLLAMA_BASE_URL": ollama.url}
        start_worker(METRICS_PORT=str(port), SCAN_SANDBOX="off", **models)
        with running_prometheus(tmp_path, rules, [port]) as prometheus:
            for number in range(3):
                guilty = cast("bytes", site.files["/guilty"])
                site.files[f"/guilty-{number}"] = guilty.replace(b"cup", b"cup%d" % number)
                await client.submit("scan", {"url": f"{site.url}/guilty-{number}"})
            await client.submit("query", {"question": "Which page has the worst barriers?"})
            await all_fire(prometheus, OF_MODELS)
            assert not OF_A_DEAD_MODEL_HOST & prometheus.firing()

            await ollama.stop()

            await all_fire(prometheus, OF_A_DEAD_MODEL_HOST)


async def test_alerts_of_the_queue_and_of_redis_fire(
    children: Children, redis_server: StartServer, keys: Keys, site: SmallSite, tmp_path: Path
):
    find_program("prometheus")
    need_browser()
    server = redis_server(config={"appendfsync": "everysec"})
    ports = [free_port(), free_port()]
    log = tmp_path / "workers.log"
    settings = {"LEASE_S": "2", "MAX_JOBS": "16", "HOST_PLACES": str(PAGES)}
    workers = [start_scan_worker(children, log, server.url, keys, METRICS_PORT=str(port), **settings) for port in ports]
    with (
        Redis.from_url(server.url) as redis,
        running_prometheus(tmp_path, quick_rules(), ports, every_s=2) as prometheus,
    ):
        await until(prometheus.is_ready, what="Prometheus")
        await until(lambda: len(prometheus.query("sightline_worker_info")) == 2, what="both workers", every_s=0.2)
        assert not (OF_THE_QUEUE | OF_REDIS) & prometheus.firing()

        trouble_in_the_queue(redis, keys, server.url, site, tmp_path)
        await until(lambda: log.read_text().count("controls.changed") >= 2, what="the pause")
        long_ago_ms = int(time.time() * 1000) - 120_000
        redis.xadd(keys.lane("interactive"), {"kind": "query", "payload": "{}"}, id=f"{long_ago_ms}-1")
        await lose_leases(redis, keys, workers)
        await all_fire(prometheus, OF_THE_QUEUE)
        assert not OF_REDIS & prometheus.firing()
        await until(
            lambda: all(shown(prometheus, keys, name) for name in NIGHT_PANELS), what="the night's panels", every_s=0.2
        )

        used = cast("dict[str, Any]", redis.info("memory"))["used_memory"]
        redis.config_set("maxmemory", int(used * 1.1))
        spoil_the_disk(redis, server)
        await all_fire(prometheus, OF_REDIS)


async def test_alerts_of_a_record_that_cannot_be_read_and_of_a_dead_redis_fire(
    children: Children, redis_server: StartServer, keys: Keys, tmp_path: Path
):
    find_program("prometheus")
    server, port = redis_server(), free_port()
    start_scan_worker(children, tmp_path / "worker.log", server.url, keys, METRICS_PORT=str(port))
    with running_prometheus(tmp_path, quick_rules(), [port], every_s=5) as prometheus:
        await until(prometheus.is_ready, what="Prometheus")
        await until(lambda: prometheus.query("sightline_redis_up"), what="the worker")
        assert not (OF_A_STRANGE_RECORD | OF_A_DEAD_REDIS) & prometheus.firing()

        with Redis.from_url(server.url) as redis:
            redis.zadd(keys.batches, {"by-hand": int(time.time() * 1000)})
            redis.hset(keys.batch("by-hand"), "total", "many")
        await all_fire(prometheus, OF_A_STRANGE_RECORD)
        assert not OF_A_DEAD_REDIS & prometheus.firing()

        server.kill()

        await all_fire(prometheus, OF_A_DEAD_REDIS)


def trouble_in_the_queue(redis: Redis, keys: Keys, url: str, site: SmallSite, folder: Path) -> None:
    """A paused lane, a kind nobody knows, dead letters, a schedule that fails, an old backup, pages that hang."""

    def call(*words: str) -> None:
        done = run_sightline(environment_for(url, keys), *words)
        assert done.returncode == 0, done.stderr

    now_ms = int(time.time() * 1000)
    call("pause", "lane", "interactive")
    redis.xadd(keys.lane("batch"), {"kind": "no such kind", "payload": "{}"})
    with redis.pipeline(transaction=False) as pipe:
        for _ in range(9_001):
            pipe.xadd(keys.dead, {"kind": "scan"})
        pipe.execute()
    # A page with a login: what a release before such pages were refused may have left.
    schedule = Schedule("nightly", "* * * * *", "scan", ({"url": "http://ada:secret@shop.test/"},))
    fired_ms = now_ms - 3_600_000
    redis.hset(keys.schedules, mapping={"nightly": json.dumps(schedule.document), "nightly" + FIRED: str(fired_ms)})
    call("backup", str(folder / "backup"))
    redis.hset(keys.backup, "made_ms", str(now_ms - 30 * 3_600_000))
    site.gate.clear()
    call("scan", *(f"{site.url}/guilty?{number}" for number in range(PAGES)), "--batch", "hangs", "--no-assess")


async def lose_leases(redis: Redis, keys: Keys, workers: Children) -> None:
    """Stop the busier worker until the other has its jobs, then resume it."""

    def held_by(worker: subprocess.Popen[bytes]) -> int:
        rows = cast("list[dict[str, Any]]", redis.xinfo_consumers(keys.lane("batch"), GROUP))
        return sum(row["pending"] for row in rows if f"-{worker.pid}-".encode() in row["name"])

    # Not all of them: on a busy machine some may have changed hands already, or given up.
    await until(
        lambda: max(map(held_by, workers)) > LEASES_LOST, what="enough pages with one worker", timeout_s=PATIENCE_S
    )
    busier = max(workers, key=held_by)
    busier.send_signal(signal.SIGSTOP)
    try:
        await until(lambda: not held_by(busier), what="its jobs with the other worker", timeout_s=PATIENCE_S)
    finally:
        busier.send_signal(signal.SIGCONT)


def spoil_the_disk(redis: Redis, server: EmbeddedRedis) -> None:
    """Make the rewrite of the append-only file fail with a folder named like the next file."""
    for number in range(2, 9):
        (server.data_dir / f"appendonlydir/appendonly.aof.{number}.base.rdb/full").mkdir(parents=True)
    redis.bgrewriteaof()


async def test_the_alert_of_a_tls_certificate_that_ends_soon_fires(
    children: Children, redis_server: StartServer, keys: Keys, tmp_path: Path
):
    find_program("prometheus")
    certificate = short_certificate(tmp_path, days=5)
    tls = {"tls-cert-file": str(certificate), "tls-key-file": str(certificate), "tls-auth-clients": "no"}
    tls_port, port = free_port(), free_port()
    redis_server(config={"tls-port": str(tls_port), "tls-ca-cert-file": str(certificate), **tls})
    url = f"rediss://127.0.0.1:{tls_port}?ssl_ca_certs={certificate}"
    start_scan_worker(children, tmp_path / "workers.log", url, keys, METRICS_PORT=str(port))

    with running_prometheus(tmp_path, quick_rules(), [port]) as prometheus:
        await all_fire(prometheus, OF_TLS)
        [(_, left_s)] = shown(prometheus, keys, *TLS_PANELS)

    assert 4 * 86_400 < left_s <= 5 * 86_400


def short_certificate(folder: Path, *, days: int) -> Path:
    """Make a key and a self-signed certificate for 127.0.0.1, in one file."""
    path = folder / "redis.pem"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    make += ["-days", str(days), "-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1"]
    try:
        subprocess.run([*make, "-keyout", path, "-out", folder / "own.pem"], check=True, capture_output=True)
    except FileNotFoundError:
        not_tested("no openssl")
    with path.open("a") as both:
        both.write((folder / "own.pem").read_text())
    return path


def shown(prometheus: Prometheus, keys: Keys, panel: str) -> list[tuple[dict[str, str], float]]:
    """Return the values of a dashboard panel."""
    return prometheus.query(panel_queries(keys.environment)[panel])


def smaller(rules: str, changes: dict[str, str]) -> str:
    """Return the rules with other limits, each of which must occur."""
    for old, new in changes.items():
        assert re.search(re.escape(old), rules), old
        rules = rules.replace(old, new)
    return rules


async def all_fire(prometheus: Prometheus, expected: Iterable[str]) -> None:
    await until(prometheus.is_ready, what="Prometheus")
    seen: set[str] = set()

    def fire() -> bool:
        seen.update(prometheus.firing())
        return set(expected) <= seen

    try:
        await until(fire, what="all alerts", timeout_s=PATIENCE_S, every_s=0.2)
    except AssertionError:
        missing = sorted(set(expected) - seen)
        msg = f"silent: {missing}; fired: {sorted(seen)}"
        raise AssertionError(msg) from None
