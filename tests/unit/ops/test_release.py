"""`make release` is dry by default, refuses invalid releases, and sets one version everywhere."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.tracked import tracked

ROOT = Path(__file__).parents[3]
RELEASE = runpy.run_path(str(ROOT / "ops/release.py"))
MAIN: Callable[[Path, list[str]], int] = RELEASE["main"]
OF_ANOTHER_PROJECT = {"worker/own_redis/build.py"}
"""The version of its Redis may be the same as ours."""


def git(root: Path, *words: str) -> str:
    command = ["git", "-C", str(root), "-c", "user.name=T", "-c", "user.email=t@example.org", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A separate repository with the files that a release changes."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "T")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "t@example.org")
    for name in RELEASE["FILES"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## Unreleased\n\n- A thing.\n\n## 0.0.9 - 2026-01-01\n\n- Old.\n"
    )
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "Begin")
    return tmp_path


def test_a_release_is_dry_by_default(project: Path, capsys: pytest.CaptureFixture[str]):
    assert MAIN(project, ["9.9.9"]) == 0

    assert "nothing was changed" in capsys.readouterr().out
    assert git(project, "status", "--porcelain") == git(project, "tag") == ""
    assert git(project, "log", "--format=%s") == "Begin"


def test_a_release_names_its_version_everywhere_and_dates_the_changelog(project: Path):
    before = sum(len(RELEASE["NAMED"].findall((project / name).read_text())) for name in RELEASE["FILES"])

    assert MAIN(project, ["9.9.9", "--do", "--no-wheel"]) == 0

    text = "".join((project / name).read_text() for name in RELEASE["FILES"])
    assert len(re.findall(r"9\.9\.9", text)) == before
    heads = re.findall(r"^## (\S+)", (project / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heads == ["Unreleased", "9.9.9", "0.0.9"]
    assert git(project, "describe") == "v9.9.9"
    assert git(project, "status", "--porcelain") == ""


def test_every_file_that_names_the_version_is_among_those_that_a_release_sets():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    texts = {name: (ROOT / name).read_text("utf-8", "ignore") for name in tracked()}

    naming = {
        name for name, text in texts.items() if version in {number for _, number in RELEASE["NAMED"].findall(text)}
    }

    assert naming - OF_ANOTHER_PROJECT == set(RELEASE["FILES"])


def dirty(root: Path) -> None:
    (root / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n- Another.\n")


def silent(root: Path) -> None:
    (root / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n## 0.0.9 - 2026-01-01\n\n- Old.\n")
    git(root, "commit", "--quiet", "--all", "--message", "Say nothing")


def tagged(root: Path) -> None:
    git(root, "tag", "v9.9.9")


@pytest.mark.parametrize(
    ("version", "spoil", "says"),
    [
        ("9.9.9", dirty, "the work tree has changes"),
        ("9.9.9", silent, "nothing under Unreleased"),
        ("9.9.9", tagged, "the tag v9.9.9 exists"),
        ("0.0.1", None, "or higher"),
        ("next", None, "expected three numbers"),
    ],
)
def test_what_cannot_be_released_is_refused(project: Path, capsys: Any, version: str, spoil: Any, says: str):
    if spoil:
        spoil(project)
    head = git(project, "rev-parse", "HEAD")

    assert MAIN(project, [version, "--do", "--no-wheel"]) == 1

    assert says in capsys.readouterr().err
    assert git(project, "rev-parse", "HEAD") == head
