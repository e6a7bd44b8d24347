"""Makes the images of a run: stand-ins for registry images, under the same names, and a stub of an Ollama.

An engine started here reaches no registry. ``python:3.12-slim-bookworm`` is then Debian's bookworm with Debian's Python
(3.11), ``redis:8`` Debian with this project's Redis Stack 7.4 and an entry point like the image's. The machine's engine
pulls both. Ollama is always the tests' stub: a model of gigabytes proves nothing about containers.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

from engine import CommandFailed, Engine, run

from worker.own_redis.build import fetch

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
DEBIAN: Final = "sightline-check/debian:bookworm"
STUB: Final = "stand-in"
"""The version of ``ollama/ollama`` that is the stub: OLLAMA_VERSION."""
STUB_MODULES: Final = ("ollama_server.py", "ollama_protocol.py")
"""Of ``tests/support``; they run without the rest of the project."""
TRUST: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pip.conf")
"""Configuration that this machine needs to reach its package registries, if any."""

SURPLUS: Final = ("doc", "man", "locale", "info")
SLIM: Final = {
    "etc/dpkg/dpkg.cfg.d/docker": "".join(f"path-exclude /usr/share/{name}/*\n" for name in SURPLUS),
    "etc/apt/apt.conf.d/docker-clean": 'DPkg::Post-Invoke {"rm -f /var/cache/apt/archives/*.deb || true";};\n',
}
"""The measures of Debian's ``-slim`` images: no documentation, no packages kept after installation."""


def make(engine: Engine, folder: Path) -> None:
    """Create missing base images, and the stub."""
    if engine.own:
        if not _has(engine, DEBIAN):
            _debian(engine, folder)
        for name, kind in (("python:3.12-slim-bookworm", "python"), ("redis:8", "redis")):
            if not _has(engine, name):
                _build(engine, folder, name, kind)
    _build(engine, folder, f"ollama/ollama:{STUB}", "ollama")


def _has(engine: Engine, image: str) -> bool:
    try:
        engine.run("docker", "image", "inspect", "--format", "{{.Id}}", image)
    except CommandFailed:
        return False
    return True


def _debian(engine: Engine, folder: Path) -> None:
    """Import a minimal Debian 12 by debootstrap."""
    tree = folder / "debian"
    shutil.rmtree(tree, ignore_errors=True)
    run(["debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", tree], timeout_s=1800)
    for name in TRUST:
        if Path(name).exists():
            shutil.copy(name, tree / name.lstrip("/"))
    for name, lines in SLIM.items():
        (tree / name).write_text(lines)
    for surplus in (
        "var/cache/apt/archives",
        "var/lib/apt/lists",
        "usr/share/doc",
        "usr/share/man",
        "usr/share/locale",
    ):
        shutil.rmtree(tree / surplus, ignore_errors=True)
    with subprocess.Popen(["tar", "-C", tree, "-c", "."], stdout=subprocess.PIPE) as tar:
        subprocess.run(
            ["docker", "import", "-", DEBIAN],
            stdin=tar.stdout,
            env=dict(engine.environ),
            check=True,
            capture_output=True,
        )
    shutil.rmtree(tree)


def _build(engine: Engine, folder: Path, image: str, kind: str) -> None:
    context = folder / "context"
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir(parents=True)
    for file in (HERE / "stand_ins").iterdir():
        if file.is_file():
            shutil.copy(file, context)
    if kind == "redis":
        shutil.copytree(fetch(), context / "redis")
    if kind == "ollama":
        (context / "tests/support").mkdir(parents=True)
        for name in STUB_MODULES:
            shutil.copy(ROOT / "tests/support" / name, context / "tests/support")
    engine.run("docker", "build", "--file", context / f"{kind}.Dockerfile", "--tag", image, context, timeout_s=1800)
    shutil.rmtree(context)
