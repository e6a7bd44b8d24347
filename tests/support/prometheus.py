"""Starts and queries a real Prometheus, found on the PATH or where ``ops/setup/prometheus.sh`` puts it."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.support.missing import not_tested
from worker.own_redis.server import free_port

ROOT = Path(__file__).parents[2]


def find_program(name: str) -> str:
    """Return the program's path; skips the test if it is missing, fails it if CI is set."""
    ours = ROOT / ".cache/prometheus/usr/bin" / name
    found = str(ours) if ours.exists() else shutil.which(name)
    return found or not_tested(f"no {name}: type ops/setup/prometheus.sh")


class Prometheus:
    """One server, queried over its HTTP API."""

    def __init__(self, port: int) -> None:
        self._port = port

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Return the result of an instant query, labels and value; values that are not numbers are left out."""
        reply = self._json(f"/api/v1/query?query={quote(expression)}")
        rows = [(row["metric"], float(row["value"][1])) for row in reply["data"]["result"]]
        return [(labels, value) for labels, value in rows if math.isfinite(value)]

    def firing(self) -> set[str]:
        """Return the names of the firing alerts."""
        return {alert["labels"]["alertname"] for alert in self.alerts()}

    def alerts(self) -> list[dict[str, Any]]:
        """Return the firing alerts, each with its labels and annotations."""
        return [one for one in self._json("/api/v1/alerts")["data"]["alerts"] if one["state"] == "firing"]

    def is_ready(self) -> bool:
        try:
            return self.get("/-/ready")[0] == 200
        except OSError:
            return False

    def _json(self, path: str) -> dict[str, Any]:
        status, body = self.get(path)
        assert status == 200, body
        return json.loads(body)

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body of ``path``."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()


@contextmanager
def running_prometheus(folder: Path, rules: str, ports: Sequence[int], *, every_s: int = 1) -> Generator[Prometheus]:
    """Run a Prometheus that scrapes ``ports`` and evaluates ``rules``; it serves the runbook as in Compose.

    A scrape may take as long as the scrape interval: workers need 4 s to report that Redis does not answer.
    """
    port = free_port()
    (folder / "rules.yml").write_text(rules)
    (folder / "user").mkdir()
    for page in (ROOT / "ops/prometheus/runbook.html", ROOT / "ops/runbook.md"):
        shutil.copy(page, folder / "user")
    targets = ", ".join(f'"127.0.0.1:{number}"' for number in ports)
    (folder / "prometheus.yml").write_text(
        f"global: {{scrape_interval: {every_s}s, scrape_timeout: {every_s}s, evaluation_interval: 1s}}\n"
        "rule_files: [rules.yml]\n"
        f"scrape_configs: [{{job_name: sightline, static_configs: [{{targets: [{targets}]}}]}}]\n"
    )
    with tempfile.TemporaryDirectory() as data, (folder / "prometheus.log").open("wb") as log:
        command = [find_program("prometheus"), f"--config.file={folder}/prometheus.yml"]
        command += [f"--storage.tsdb.path={data}", f"--web.listen-address=127.0.0.1:{port}"]
        command += [f"--web.user-assets={folder}/user"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield Prometheus(port)
        finally:
            process.kill()
            process.wait()
