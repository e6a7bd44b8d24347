"""The inputs of ``make containers`` exist: the runbook's commands, a copy with other umasks, its rows."""

from __future__ import annotations

import importlib
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "ops/containers"))
    for name in ("engine", "images", "fleet", "run"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("fleet")


@pytest.mark.usefixtures("fleet")
def test_the_stub_of_an_ollama_needs_no_more_than_what_is_copied_into_its_image(tmp_path: Path) -> None:
    folder = tmp_path / "tests/support"
    folder.mkdir(parents=True)
    for name in importlib.import_module("images").STUB_MODULES:
        shutil.copy(ROOT / "tests/support" / name, folder)
    code = f"import sys; sys.path[:] = [*filter(lambda p: 'site-packages' not in p, sys.path), {str(tmp_path)!r}]"

    subprocess.run([sys.executable, "-I", "-S", "-c", f"{code}; import tests.support.ollama_server"], check=True)


@pytest.mark.parametrize(
    ("failed", "said"),
    [
        ([], "4 rows passed, 0 failed"),
        (["roll"], "3 rows passed, 1 failed: roll"),
        (["up"], "1 rows passed, 1 failed: up, 2 not run"),
    ],
)
@pytest.mark.usefixtures("fleet")
def test_rows_that_were_not_run_are_not_called_passed(failed: list[str], said: str) -> None:
    summary = importlib.import_module("run").summary

    assert summary(["build", "up", "scan", "roll"], failed) == said


@pytest.mark.parametrize(
    ("heading", "line"),
    [("Back up", 'admin backup "/kept/$(date +%F)"'), ("Restore", "admin restore /kept/2026-11-25")],
)
def test_the_runbooks_lines_are_run_as_they_stand_with_the_operators_folder(
    fleet: ModuleType, heading: str, line: str
) -> None:
    script = fleet.runbook(ROOT, heading, replaced=[("/backups", "/kept")])

    assert script.startswith("set -e\ndocker compose")
    assert line in script
    assert "```" not in script


def test_a_runbook_without_the_lines_is_refused(fleet: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops/runbook.md").write_text("## Restore\n\nSomehow.\n")

    with pytest.raises(fleet.CommandFailed, match="no lines to paste under 'Restore'"):
        fleet.runbook(tmp_path, "Restore", replaced=[])


def test_the_copy_that_is_started_is_readable_by_its_owner_alone(
    fleet: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listed(_: object, *, cwd: Path) -> str:  # noqa: ARG001  as run is called
        return "ops/roll.sh\0docker-compose.yml\0gone.txt\0"

    monkeypatch.setattr(fleet, "run", listed)

    fleet.clone(tmp_path / "tree")

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "tree").rglob("*")}
    assert modes == {"ops": 0o700, "roll.sh": 0o700, "docker-compose.yml": 0o600}


def test_a_command_that_fails_says_which_and_its_last_lines(fleet: ModuleType) -> None:
    with pytest.raises(fleet.CommandFailed, match=r"sh -c .*: exit 3: first \| last"):
        fleet.run(["sh", "-c", "echo first >&2; echo last >&2; exit 3"])
