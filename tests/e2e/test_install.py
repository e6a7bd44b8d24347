"""The wheel in a fresh environment: the client alone names missing packages; with the extra it gates a site.

Nothing is downloaded: what the wheel asks for is linked from this environment, the client's share first, or packed into
wheels again for installers that want them.
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
    """Run a program to its end; return its output."""
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


@pytest.fixture(scope="module")
def packed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of wheels with all that the client needs, made of what is installed here."""
    folder = tmp_path_factory.mktemp("wheels")
    for name in closure(requirements(wheel)):
        try:
            one = distribution(name)
        except PackageNotFoundError:
            continue
        tags = re.findall(r"^Tag: (.*)$", one.read_text("WHEEL") or "", re.MULTILINE)
        tag = "-".join(".".join(dict.fromkeys(parts)) for parts in zip(*(tag.split("-") for tag in tags), strict=True))
        file = folder / f"{re.sub(r'[-.]+', '_', name)}-{one.version}-{tag}.whl"
        inside = [file for file in one.files or () if ".." not in file.parts and file.suffix != ".pyc"]
        with zipfile.ZipFile(file, "w") as packing:
            for part in inside:
                packing.write(str(one.locate_file(part)), str(part))
    return folder


@pytest.fixture
def program(runner: tuple[str, ...]) -> str:
    """The path of the runner; asked for first, since the wheels take seconds to pack."""
    program = shutil.which(runner[0])
    if program is None:
        pytest.skip(f"NOT TESTED: {runner[0]} is not installed, so the wheel is not tried with it")
    return program


@pytest.mark.parametrize(
    "runner", [("pipx", "run", "--spec", "WHEEL"), ("uvx", "--from", "WHEEL")], ids=lambda words: words[0]
)
def test_the_wheel_runs_without_being_installed(
    program: str, tmp_path: Path, runner: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    wheel, packed = request.getfixturevalue("wheel"), request.getfixturevalue("packed")
    (tmp_path / "uv.toml").write_text(f"no-index = true\nfind-links = [{str(packed)!r}]\n")
    variables = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(packed),
        "UV_CONFIG_FILE": str(tmp_path / "uv.toml"),
        "PIPX_HOME": str(tmp_path / "pipx"),
        "PIPX_DEFAULT_PYTHON": sys.executable,
        "UV_CACHE_DIR": str(tmp_path / "uv"),
        "UV_PYTHON": sys.executable,
    }
    words = [word.replace("WHEEL", str(wheel)) for word in runner[1:]]

    told = run(program, *words, "sightline", "--version", code=0, **variables)
    lacking = run(program, *words, "sightline", "scan", "http://a.example/", "--local", code=3, **variables)

    assert f"sightline {VERSION}\n" in told
    assert "--local runs a worker on this machine: " in lacking


def test_the_wheel_in_a_fresh_environment_gates_a_local_site(wheel: Path, tmp_path: Path, site: SmallSite) -> None:
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
    assert "sightline: failed: critical: " in gated
    assert run(program, "--version") == f"sightline {VERSION}\n"
