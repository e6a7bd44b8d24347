"""The wheel holds everything the packages need: an editable install would hide what is missing."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import producer

ROOT = Path(__file__).resolve().parents[2]


def test_every_file_of_the_packages_is_in_the_wheel(tmp_path: Path):
    source = tmp_path / "source"
    for package in ("producer", "worker"):
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]

    subprocess.run([*command, "--wheel-dir", str(tmp_path), str(source)], check=True, timeout=110)

    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        str(path.relative_to(source)).removeprefix("producer/import/")
        for package in ("producer", "worker")
        for path in (source / package).rglob("*")
        if path.is_file()
    }
    assert sorted(wanted - packed) == []


def test_the_client_is_imported_from_where_earlier_releases_had_it():
    from producer.client import Client  # noqa: PLC0415  the import is what is tested

    assert Client is producer.Client
