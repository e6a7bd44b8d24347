"""The distribution's name and version agree in both places, and hints name no other project's package."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from producer.contract import distribution
from tests.support.tracked import tracked

ROOT = Path(__file__).resolve().parents[2]


def test_name_and_version_are_those_of_the_project_file() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert (project["name"], project["version"]) == (distribution.NAME, distribution.VERSION)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({}, f"pip install './dist/sightline_scan-{distribution.VERSION}-py3-none-any.whl[worker]', the wheel that"),
        ({"url": "file:///a/b.whl"}, "pip install 'sightline-scan[worker] @ file:///a/b.whl'"),
        (
            {"url": "https://git.example/s.git", "vcs_info": {"vcs": "git", "commit_id": "5e536ef"}},
            "pip install 'sightline-scan[worker] @ git+https://git.example/s.git@5e536ef'",
        ),
        ({"url": "file:///a'b.whl"}, "pip install './dist/"),
    ],
)
def test_a_hint_says_where_this_installation_came_from(
    found: dict[str, object], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distribution, "_direct_url", lambda: found)

    assert distribution.install_hint("worker").startswith(expected)


def test_no_file_names_a_package_to_install_from_an_index() -> None:
    files = [ROOT / name for name in tracked() if not name.startswith(("tests/", "CHANGELOG", "ops/decisions"))]
    bare = re.compile(
        r"pip install[^\n]*['\" ]sightline(-scan)?(\[[\w,]+\])?['\"` ]*$|install '?sightline(-scan)?\[[\w,]+\]'",
        re.MULTILINE,
    )

    assert files
    texts = ((file, file.read_text(errors="replace")) for file in files)

    assert [str(file) for file, text in texts if bare.search(text)] == []
