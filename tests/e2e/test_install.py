"""The wheel in a fresh environment: the client alone says what it lacks; with the extra it gates a site.

Nothing is downloaded: what the wheel asks for is linked from this environment, the client's share first.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from producer.contract.distribution import NAME, VERSION
from tests.support.scan_worker import ROOT, need_browser
from tests.support.small_site import SmallSite

BARRIER = b"<!doctype html><html lang=en><title>T</title><main><h1>T</h1><img src=a.png></main></html>"


def run(*command: str | Path, code: int = 0, **variables: str) -> str:
    """Run a program to its end; return what it said."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ} | variables
    done = subprocess.run(
        [*map(str, command)], env=environment, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def closure(required: Iterable[str], extra: str = "") -> set[str]:
    """The names of the distributions that requirements need, those of one extra included, with all they need."""
    found: set[str] = set()
    left = [(line, extra) for line in required]
    while left:
        line, wanted = left.pop()
        one = Requirement(line)
        if one.marker is not None and not one.marker.evaluate({"extra": wanted}):
            continue
        for named in {"", *one.extras}:
            if (key := f"{one.name.lower()}[{named}]") not in found:
                found.add(key)
                try:
                    left += [(more, named) for more in distribution(one.name).requires or ()]
                except PackageNotFoundError:  # for another system or Python
                    continue
    return {key.partition("[")[0] for key in found}


def link(names: Iterable[str], site: Path) -> None:
    """Put installed distributions into another environment's packages, as links."""
    for name in names:
        try:
            one = distribution(name)
        except PackageNotFoundError:
            continue
        tops = {file.parts[0] for file in one.files or () if file.parts[0] not in {"..", "__pycache__"}}
        for top in tops:
            source = Path(str(one.locate_file(top)))
            if source.exists() and not (site / top).exists():
                (site / top).symlink_to(source)


def requirements(wheel: Path) -> list[str]:
    """What a wheel asks for."""
    with zipfile.ZipFile(wheel) as packed:
        [name] = [name for name in packed.namelist() if name.endswith(".dist-info/METADATA")]
        text = packed.read(name).decode()
    return re.findall(r"^Requires-Dist: (.*)$", text, re.MULTILINE)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as `make wheel` builds it, from a copy: a build leaves files beside the source."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for package in ("producer", "worker"):
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    run(*pip, "--wheel-dir", folder, source)
    return folder / f"{NAME.replace('-', '_')}-{VERSION}-py3-none-any.whl"


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    source = wheel.parent / "source"
    packed = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        str(path.relative_to(source)).removeprefix("producer/import/")
        for package in ("producer", "worker")
        for path in (source / package).rglob("*")
        if path.is_file()
    }

    assert sorted(wanted - packed) == []


def test_the_wheel_in_a_fresh_environment_gates_a_site_of_one_s_own(
    wheel: Path, tmp_path: Path, site: SmallSite
) -> None:
    need_browser()
    site.files["/"] = BARRIER
    home = tmp_path / "fresh"
    run(sys.executable, "-m", "venv", "--without-pip", home)
    [packages] = home.glob("lib/python*/site-packages")
    run(sys.executable, "-m", "pip", "--python", home / "bin/python", "install", "--no-deps", "--no-index", wheel)
    program, asked = home / "bin/sightline", requirements(wheel)
    link(closure(asked), packages)

    helped = run(program, "--help")
    lacking = run(program, "scan", f"{site.url}/", "--local", code=3)
    link(closure(asked, "worker"), packages)
    gated = run(program, "scan", f"{site.url}/", "--local", code=1, CI="true")

    hint = f"pip install '{NAME}[worker] @ {wheel.as_uri()}'"
    assert f"To add them: {hint}" in helped
    assert f"--local runs a worker on this machine: {hint}" in lacking
    assert "sightline: fails: critical: " in gated
    assert run(program, "--version") == f"sightline {VERSION}\n"
