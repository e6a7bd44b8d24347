"""Imports point one way: each contract of pyproject.toml can break. That they hold is in ``make check``."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from producer import contract
from tests.support.tracked import tracked

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


FORBIDDEN = {
    "producer/keys.py": "arq",
    "producer/errors.py": "worker.queue",
    "producer/contract/addresses.py": "redis",
    "producer/settings.py": "producer.cli",
    "producer/redis_address.py": "producer.settings",
    "producer/redis/__init__.py": "producer.client",
    "producer/client/__init__.py": "producer.stored",
    "producer/reports/__init__.py": "producer.client",
    "producer/sitemaps/__init__.py": "producer.reports",
    "producer/stored/__init__.py": "producer.views",
    "producer/trackers/__init__.py": "producer.config",
    "producer/views/__init__.py": "producer.config",
    "producer/config/__init__.py": "producer.cli",
    "producer/cli/__init__.py": "worker",
    "producer/cli/batch.py": "starlette",
    "producer/web/__init__.py": "worker",
    "worker/scan/__init__.py": "worker.queue",
    "worker/queue/__init__.py": "worker.scan",
    "worker/queue/outcome.py": "arq",
    "worker/limits/__init__.py": "worker.memory",
    "worker/gpu/__init__.py": "worker.models",
    "worker/models/__init__.py": "worker.agent",
    "worker/models/usage.py": "openai",
    "worker/memory/__init__.py": "worker.agent",
    "worker/agent/__init__.py": "producer.client",
    "worker/doctor/__init__.py": "worker.cli",
    "worker/backup/__init__.py": "worker.queue",
    "worker/notices/__init__.py": "worker.scan",
    "worker/metrics/__init__.py": "worker.queue",
    "worker/own_redis/__init__.py": "worker.queue",
    "worker/telemetry.py": "worker.gpu",
    "worker/settings.py": "worker.models",
    "worker/resources.py": "worker.cli",
}
"""An import that each room must not have."""


def test_every_contract_is_broken_by_an_import_that_it_forbids_and_by_a_room_that_it_does_not_know(
    copied: Path,
) -> None:
    for module, forbidden in FORBIDDEN.items():
        with (copied / module).open("a") as file:
            file.write(f"\nimport {forbidden}\n")
    for package in ("producer", "worker"):
        (copied / package / "attic").mkdir()
        (copied / package / "attic" / "__init__.py").write_text('"""Nobody\'s."""\n')

    run = _lint_imports(copied)

    assert run.returncode == 1, run.stdout + run.stderr
    contracts = re.findall(r'^name = "(.+)"$', (_ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    broken = {re.sub(r" BROKEN.*", "", line) for line in _broken(run.stdout)}
    assert {name for name in contracts if name != "sightline"} == broken
    seen = {_importer(module) for module in re.findall(r"([\w.]+) -> ", run.stdout)}
    assert {module for module in FORBIDDEN if _importer(_dotted(module)) not in seen} == set()
    assert run.stdout.count("attic") >= 2, run.stdout


def test_every_room_is_held_by_a_contract() -> None:
    rooms = {_importer(_dotted(module)) for module in FORBIDDEN}

    folders = {
        f"{package}.{path.name}"
        for package in ("producer", "worker")
        for path in (_ROOT / package).iterdir()
        if (path / "__init__.py").is_file()
    }

    assert folders - rooms == {"worker.cli", "producer.contract"} - rooms


@pytest.mark.parametrize("package", ["producer", "worker"])
def test_at_most_six_modules_stand_loose(package: str) -> None:
    assert len(list((_ROOT / package).glob("*.py"))) <= 6


def test_the_top_level_has_only_what_contributing_lists() -> None:
    text = (_ROOT / "CONTRIBUTING.md").read_text("utf-8")
    [listed] = re.findall(r"^At the top level are (.+?)\.$", text, re.MULTILINE | re.DOTALL)

    found = {path.partition("/")[0] + "/" * ("/" in path) for path in tracked()}

    assert found == set(re.findall(r"`([^`]+)`", listed))


def test_git_ignores_no_folder_of_the_project() -> None:
    command = ["git", "-C", str(_ROOT), "ls-files", "--ignored", "--cached", "--exclude-per-directory=.gitignore"]

    assert tracked()
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Copy both packages and their contracts to where a test may spoil them."""
    for package in ("producer", "worker"):
        shutil.copytree(_ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("vendor", "__pycache__"))
    shutil.copy(_ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def _dotted(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _importer(module: str) -> str:
    """Return the room of a module: its first two names."""
    return ".".join(module.split(".")[:2])


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
