"""The page on other languages is correct: its shell blocks run unchanged, on a real worker."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from producer.keys import Keys
from tests.support.scan_worker import ROOT, StartScanWorker, environment_for
from tests.support.small_site import SmallSite
from worker.own_redis.build import fetch

WAIT_S = 90
REDIS_CLI, NODE = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/other-languages.md").read_text(), re.DOTALL)


def run(block: str, url: str, keys: Keys, page: str, *programs: Path) -> str:
    path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
    environment = {**environment_for(url, keys), "PAGE": page, "PATH": path}
    done = subprocess.run(
        ["sh", "-euc", block], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_redis_cli_queues_a_scan_and_reads_its_result(
    start_worker: StartScanWorker, site: SmallSite, redis_url: str, keys: Keys
) -> None:
    start_worker()

    result = json.loads(run(REDIS_CLI, redis_url, keys, f"{site.url}/guilty", fetch() / "bin"))

    assert (result["status"], [finding["rule"] for finding in result["findings"]]) == ("scanned", ["image-alt"])


def test_node_queues_a_scan_and_reads_its_result(
    start_worker: StartScanWorker, site: SmallSite, redis_url: str, keys: Keys
) -> None:
    if shutil.which("node") is None:
        pytest.skip("NO NODE, NOT TESTED: the example for Node needs one")
    start_worker()

    fine = json.loads(run(NODE, redis_url, keys, f"{site.url}/guilty"))
    wrong = json.loads(run(NODE, redis_url, keys, "no address"))

    assert (fine["status"], fine["rules"]) == ("scanned", ["image-alt"])
    assert wrong["state"] == "dead"
