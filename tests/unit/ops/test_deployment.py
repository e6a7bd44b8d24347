"""The check of the deployment files finds common mistakes."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ops.release import FILES
from producer.contract import Lane
from producer.contract.distribution import VERSION

ROOT = Path(__file__).parents[3]
COMPOSE, IMAGE, K8S = "docker-compose.yml", "ops/Dockerfile", "ops/k8s"


@pytest.fixture(scope="module")
def deployment() -> ModuleType:
    spec = importlib.util.spec_from_file_location("deployment", ROOT / "ops/setup/deployment.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["deployment"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in (".dockerignore", "README.md", "LICENSE", *FILES):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "ops", tmp_path / "ops", ignore=shutil.ignore_patterns("demo", "bench"), dirs_exist_ok=True)
    for name in ("producer", "worker"):
        (tmp_path / name).mkdir(exist_ok=True)
    return tmp_path


def test_the_deployment_files_have_no_problem(deployment: ModuleType, copy: Path) -> None:
    assert deployment.problems(copy) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        (COMPOSE, "restart: unless-stopped", "restarts: unless-stopped", "'restarts' does not match"),
        (COMPOSE, "127.0.0.1:${REDIS_PORT:-6379}:6379", "6379:6379", "redis: port 6379:6379 is not on loopback"),
        (COMPOSE, "image: redis:8", "image: redis", "redis: image redis has no version"),
        (COMPOSE, "- redis:/data", "- radis:/data", "redis: volume radis is not declared"),
        (COMPOSE, "./ops/users.acl", "./ops/user.acl", "redis: mounts ./ops/user.acl, which is not there"),
        (COMPOSE, "CHAT_MODEL: ${CHAT_MODEL:-qwen3.5:4b}\n      EMB", "CHAT_MODEL: x\n      EMB", ""),
        (COMPOSE, "      LEASE_S:\n", "", "the setting LEASE_S does not reach it"),
        (COMPOSE, 'seccomp:./ops/seccomp.json"]\n    read_only', 'x"]\n    read_only', "browser has no sandbox"),
        (COMPOSE, f"worker:{VERSION}\n    build", "worker:99.9.9\n    build", f"version {VERSION}, 99.9.9: expected"),
        (COMPOSE, "      - --web.route-prefix=/\n", "", "alertmanager: with a path in its external URL"),
        ("ops/seccomp.json", '"unshare"\n   ]', '"setns"\n   ]', "'chroot', 'clone', 'setns'"),
        ("ops/compose.gpu.yml", "  ollama:", "  olama:", "compose.gpu.yml: no service 'olama'"),
        ("ops/compose.cpu.yml", "CHAT_STALL_S:", "CHAT_STALLS_S:", "CHAT_STALLS_S is no setting"),
        (IMAGE, "# Two images", "# syntax=docker/dockerfile:1\n# Two images", "asks a registry for a front end"),
        (f"{K8S}/kustomization.yaml", f"newTag: {VERSION}", "newTag: 99.9.9", "kustomization.yaml: version"),
        (f"{K8S}/backup.yaml", f"worker:{VERSION}", "worker:99.9.9", "backup.yaml: version 99.9.9: expected"),
        (COMPOSE, 'SHUTDOWN_GRACE_S: "60"', 'SHUTDOWN_GRACE_S: "600"', "killed after 90s, and needs 610 s"),
        (COMPOSE, 'METRICS_PORT: "9464"', 'METRICS_PORTS: "9464"', "worker: METRICS_PORTS is no setting"),
        (IMAGE, "USER 10001\n# tini", "# tini", "worker runs as root"),
        (IMAGE, "COPY ops/worker.lock ./", "COPY ops/work.lock ./", "COPY ops/work.lock: it is not there"),
        (IMAGE, "--require-hashes --requirement worker.lock", "--requirement worker.lock", "without hashes"),
        (f"{K8S}/worker.yaml", "runAsNonRoot: true", "runAsNotRoot: true", "'runAsNotRoot' was unexpected"),
        (f"{K8S}/worker.yaml", "PeriodSeconds: 90", "PeriodSeconds: 30", "killed after 30"),
        (f"{K8S}/scaling.yaml", "cooldownPeriod: 300", "coolDownPeriod: 300", "'coolDownPeriod' was unexpected"),
        (f"{K8S}/scaling.yaml", 'streamLength: "10"', 'lagCount: "10"', "no trigger for streamLength of"),
        (f"{K8S}/scaling.yaml", "consumerGroup: workers", "consumerGroup: worker", "consumer group"),
        (f"{K8S}/scaling.yaml", "parameter: username", "parameter: user", "expected password and username"),
        (f"{K8S}/backup.yaml", "schedule:", "schedules:", "'schedules' was unexpected"),
        (f"{K8S}/backup.yaml", "backoffLimit: 2", "backOffLimit: 2", "'backOffLimit' was unexpected"),
        (f"{K8S}/kustomization.yaml", "- network.yaml", "- networks.yaml", "networks.yaml is not there"),
        (f"{K8S}/kustomization.yaml", "ENVIRONMENT=prod", "ENVIRONMENT=Prod!", "ENVIRONMENT is 'Prod!'"),
        ("ops/runbook.md", "### SightlineRedisDown", "### SightlineRedisAway", "ops/runbook.md has no entry"),
        ("ops/runbook.md", "| `QueueFull` |", "| QueueFull |", "no row for the error QueueFull"),
        ("ops/prometheus/alerts.test.yml", "SightlineRedisDisk", "Other", "no test makes it fire"),
        ("ops/grafana/sightline.json", "sightline_redis_up", "sightline_up", "shows sightline_redis_up"),
    ],
)  # fmt: skip
def test_each_planted_mistake_is_named(
    deployment: ModuleType, copy: Path, file: str, old: str, new: str, expected: str
) -> None:
    text = (copy / file).read_text()
    assert old in text
    (copy / file).write_text(text.replace(old, new))

    try:
        found = deployment.problems(copy)
    except deployment.SettingsError as error:
        found = [str(error)]

    assert [line for line in found if expected in line] if expected else found == []


def test_the_exporter_counts_every_lane() -> None:
    compose = (ROOT / COMPOSE).read_text()

    assert [lane for lane in Lane if f":jobs:{lane}" not in compose] == []
