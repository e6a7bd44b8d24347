"""Starts real workers on the test's keys."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from producer.errors import DependencyMissing
from producer.keys import Keys
from tests.support.missing import not_tested
from tests.support.warm_start import start_module
from worker.scan.browser import find_browser

ROOT = Path(__file__).resolve().parents[2]
StartScanWorker = Callable[..., subprocess.Popen[bytes]]


def environment_for(url: str, keys: Keys, **variables: str) -> dict[str, str]:
    """Return the environment of a worker or command on the test's keys: loopback pages allowed, built-in models."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {
        **inherited,
        "REDIS_URL": url,
        "ENVIRONMENT": keys.environment,
        "CHAT_MODEL": "builtin",
        "EMBEDDING_MODEL": "builtin",
        "TRY_FIXES": "0",  # each page would be loaded once more; test_tried_fixes.py has it on
        "SCAN_ALLOW_PRIVATE": "1",
        "LOG_FORMAT": "console",
        **variables,
    }


def need_browser() -> None:
    """Skip the test without a browser; fail it if CI is set."""
    try:
        find_browser(None)
    except DependencyMissing as error:
        not_tested(f"no browser: {error}")


def start_scan_worker(
    children: list[subprocess.Popen[bytes]], log_file: Path, url: str, keys: Keys, **variables: str
) -> subprocess.Popen[bytes]:
    with log_file.open("ab") as log:
        environment = environment_for(url, keys, **variables)
        process = start_module("worker", environment=environment, stdout=log, stderr=log)
    children.append(process)
    return process
