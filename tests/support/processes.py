"""Starts the worker processes of crash tests: ``worker_program`` of any tree."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from tests.support.warm_start import start_module

ROOT = Path(__file__).resolve().parents[2]


class StartWorker(Protocol):
    """Starts a worker process on the test's keys."""

    def __call__(self, *options: str, url: str = ...) -> subprocess.Popen[bytes]: ...


def start_program(
    children: list[subprocess.Popen[bytes]],
    log_file: Path,
    url: str,
    environment: str,
    *options: str,
    tree: Path = ROOT,
    variables: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start the ``worker_program`` of ``tree``."""
    words = ("tests.support.worker_program", url, environment, *options)
    with log_file.open("ab") as log:
        given = {**environment_of(tree), **(variables or {})}
        process = start_module(*words, environment=given, folder=tree, stdout=log, stderr=log)
    children.append(process)
    return process


def environment_of(tree: Path) -> dict[str, str]:
    """Return an environment in which Python imports the product from ``tree``."""
    return {**os.environ, "PYTHONPATH": str(tree)}
