"""Imports point one way (DESIGN §4): the contracts of pyproject.toml hold, and each of them can break."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from producer import contract

_ROOT = Path(__file__).parents[2]
_LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"


def _lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of the packages in ``folder``, not of those that are installed."""
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(folder)!r}); {_LINT}"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _broken(output: str) -> list[str]:
    return [line for line in output.splitlines() if re.search(r" BROKEN( \(|$)", line)]


def test_every_import_contract_holds() -> None:
    run = _lint_imports(_ROOT)

    assert run.returncode == 0, run.stdout + run.stderr
    assert "0 broken" in run.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("producer/keys.py", "import arq", "The client is light"),
        ("producer/errors.py", "from worker import stream", "The client is light"),
        ("producer/contract/urls.py", "import redis", "The contract does no I/O"),
        ("producer/settings.py", "import producer.cli", "The client's imports point one way"),
        ("worker/models/__init__.py", "import worker.agent", "The worker's imports point one way"),
        ("worker/scan/__init__.py", "import redis", "Scans know no queues"),
        ("worker/queue/stream.py", "import worker.scan", "The stream knows no scans"),
        ("worker/agent/__init__.py", "import producer.client", "The agent submits only"),
        ("worker/queue/outcome.py", "import arq", "arq is imported by"),
    ],
)
def test_an_import_the_wrong_way_breaks_its_contract(tmp_path: Path, module: str, line: str, contract: str) -> None:
    for package in ("producer", "worker"):
        shutil.copytree(_ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("vendor", "__pycache__"))
    shutil.copy(_ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / module).open("a") as file:
        file.write(f"\n{line}\n")

    run = _lint_imports(tmp_path)

    assert run.returncode == 1, run.stdout + run.stderr
    assert any(name.startswith(contract) for name in _broken(run.stdout)), run.stdout


def test_every_name_of_the_contract_is_found_and_nothing_else() -> None:
    for name in contract.__all__:
        assert getattr(contract, name) is not None

    with pytest.raises(AttributeError, match="no attribute 'ScanReques'"):
        getattr(contract, "ScanReques")  # noqa: B009  pyright would find it


def test_the_plain_parts_of_the_contract_come_without_pydantic() -> None:
    names = "Lane, JobState, check_job_id, check_url, encode_payload, decode_payload"
    script = f"import sys; from producer.contract import {names}; print('pydantic' in sys.modules)"

    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    assert run.stdout.strip() == "False"
