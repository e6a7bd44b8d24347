"""A worker as in Compose, with the Redis user ``worker`` of ops/users.acl and only its permissions."""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from producer.keys import Keys
from tests.support.command_line import run_sightline
from tests.support.scan_worker import environment_for, need_browser, start_scan_worker
from tests.support.small_site import small_site
from tests.support.started_redis import started_redis

KEYS = Keys("prod")
GUILTY = b"<!doctype html><html lang=en><title>x</title><main><h1>x</h1><img src=data:,></main>"


@pytest.fixture(scope="module")
def port(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[int]:
    """A server with the users; ``redis_url`` sees to it that there is a build to start."""
    assert redis_url
    with started_redis(tmp_path_factory.mktemp("users"), admin="a", worker="w", exporter="e") as server:
        yield server.port


def test_a_worker_scans_answers_and_remembers_without_a_refusal(port: int, tmp_path: Path) -> None:
    need_browser()
    url = f"redis://worker:w@127.0.0.1:{port}/0"
    children: list[subprocess.Popen[bytes]] = []
    try:
        with small_site() as site:
            site.files["/"] = GUILTY
            start_scan_worker(children, tmp_path / "log", url, KEYS)
            scan = run_sightline(
                environment_for(url, KEYS), "scan", f"{site.url}/", "--wait", "--fail-on", "never", "--timeout", "60"
            )
            asked = run_sightline(
                environment_for(url, KEYS), "ask", "Which page has the worst barriers?", "--wait", "--thread", "t"
            )
            doctor = run_sightline(environment_for(url, KEYS), "doctor")
    finally:
        for child in children:
            child.terminate()
            child.wait(30)

    with Redis.from_url(f"redis://:a@127.0.0.1:{port}/0", decode_responses=True) as admin:
        refused = cast("list[dict[str, Any]]", admin.acl_log())
    assert [(entry["object"], entry["context"]) for entry in refused if entry["username"] == "worker"] == []
    assert scan.returncode == 0, scan.stdout
    assert "image-alt" in scan.stdout
    assert site.url in asked.stdout
    assert doctor.returncode == 0, doctor.stdout


@pytest.mark.parametrize(
    "command",
    [
        ("FLUSHALL",),
        ("CONFIG", "SET", "maxmemory", "1"),
        ("SHUTDOWN",),
        ("ACL", "LIST"),
        ("REPLICAOF", "127.0.0.1", "1"),
        ("SET", "sightline:staging:x", "1"),
        ("KEYS", "*"),
    ],
)
def test_a_worker_may_not_reach_beyond_its_environment(port: int, command: tuple[str, ...]) -> None:
    with Redis.from_url(f"redis://worker:w@127.0.0.1:{port}/0") as worker, pytest.raises(NoPermissionError):
        worker.execute_command(*command)


def test_an_exporter_reads_figures_and_no_values(port: int) -> None:
    with Redis.from_url(f"redis://exporter:e@127.0.0.1:{port}/0") as exporter:
        assert cast("dict[str, Any]", exporter.info("memory"))["maxmemory"] > 0
        exporter.xlen(KEYS.lane("batch"))
        with pytest.raises(NoPermissionError):
            exporter.get(KEYS.result("j"))
