"""Runs the set of ``docker-compose.yml`` as a user does: a copy of this tree, its passwords, its commands."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engine import CommandFailed, Engine, run
from images import ROOT, STUB

PROJECT: Final = "sightline-check"
WILD: Final = r"""a"b\c d$e'f#g%h/i:j@k?l&m=n+o~p`q!r*s(t)u{v}w|x<y>z;"""
"""A password with every kind of character that a shell, an address, JSON or Redis could misread."""
VERSION: Final[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@dataclass(frozen=True)
class Fleet:
    """One Compose project in the folder ``home``."""

    engine: Engine
    home: Path
    project: str = PROJECT
    files: tuple[str, ...] = ("docker-compose.yml", "ops/containers/compose.pages.yml")
    first_port: int = 26379

    @property
    def environ(self) -> dict[str, str]:
        """The variables that a user would set in a shell."""
        return {
            "COMPOSE_PROJECT_NAME": self.project,
            "COMPOSE_FILE": ":".join(self.files),
            "REGISTRY": f"{PROJECT}/",
            "VERSION": VERSION,
            "OLLAMA_VERSION": STUB,
            "SCAN_ALLOW_HOSTS": "pages:8000",
            "SCAN_SANDBOX": "require",
            "REDIS_PORT": str(self.first_port),
            "OLLAMA_PORT": str(self.first_port + 1),
        }

    def shell(
        self, *words: str | Path, stdin: str = "", timeout_s: float = 600, given: Mapping[str, str] | None = None
    ) -> str:
        """Run a command in the folder, with those variables and the ``given`` ones."""
        environ = {**self.environ, **(given or {})}
        return self.engine.run(*words, cwd=self.home, stdin=stdin, timeout_s=timeout_s, environ=environ)

    def compose(
        self, *words: str, stdin: str = "", timeout_s: float = 600, given: Mapping[str, str] | None = None
    ) -> str:
        """Run ``docker compose`` and return its stdout."""
        return self.shell("docker", "compose", *words, stdin=stdin, timeout_s=timeout_s, given=given)

    def sightline(self, *words: str, stdin: str = "", timeout_s: float = 300) -> str:
        """Run the CLI in a worker's container."""
        return self.compose("exec", "-T", "worker", "sightline", *words, stdin=stdin, timeout_s=timeout_s)

    def client(self, *words: str, stdin: str = "", timeout_s: float = 300) -> str:
        """Run the CLI in the producer's container, as Redis' user ``producer``."""
        return self.compose("exec", "-T", "client", "sightline", *words, stdin=stdin, timeout_s=timeout_s)

    def redis(self, *words: str) -> str:
        """Run redis-cli as Redis' administrator."""
        password = f"REDISCLI_AUTH={(self.home / 'redis-password').read_text()}"
        return self.compose("exec", "-T", "--env", password, "redis", "redis-cli", "--no-auth-warning", *words)

    def ids(self, service: str) -> list[str]:
        """Return the containers of a service."""
        return self.compose("ps", "--quiet", service).split()

    def inspect(self, service: str) -> list[dict[str, Any]]:
        """Return the engine's records of a service's containers."""
        ids = self.ids(service)
        return json.loads(self.engine.run("docker", "inspect", *ids)) if ids else []

    def states(self) -> dict[str, str]:
        """Return each container's health, or its state where it has no health check."""
        rows = [json.loads(line) for line in self.compose("ps", "--all", "--format", "json").splitlines() if line]
        return {row["Name"]: row["Health"] or f"{row['State']} {row['ExitCode']}" for row in rows}

    def is_up(self) -> bool:
        """Whether every container is healthy, running, or finished."""
        states = self.states()
        return bool(states) and all(state in {"healthy", "running 0", "exited 0"} for state in states.values())

    def kill(self, service: str) -> None:
        """SIGKILL a service's first container from outside: Compose must bring it back, as after a crash."""
        [container, *_] = self.inspect(service)
        try:
            os.kill(container["State"]["Pid"], signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # an engine in a virtual machine: its kills are not undone
            self.engine.run("docker", "kill", container["Id"])
            self.engine.run("docker", "start", container["Id"])

    def end(self) -> None:
        """Remove containers, networks and volumes."""
        self.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "5")


def clone(home: Path) -> None:
    """Copy this tree's files, uncommitted changes too, as a clone with a umask of 077 would have them."""
    shutil.rmtree(home, ignore_errors=True)
    listed = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT)
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, home / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            shutil.copy(source, target)
            target.chmod(0o700 if source.stat().st_mode & stat.S_IXUSR else 0o600)
    for folder in [home, *(path for path in home.rglob("*") if path.is_dir())]:
        folder.chmod(0o700)


def set_passwords(fleet: Fleet) -> None:
    """Write the passwords; those of workers and of the administrator contain every kind of character."""
    for name in ("redis", "worker", "exporter-user"):
        (fleet.home / f"{name}-password").write_text(WILD + name)
    fleet.shell("ops/passwords.sh")


def until(holds: Callable[[], bool], within_s: float) -> float:
    """Wait until the condition holds and return the seconds; raises ``CommandFailed`` at the limit."""
    began = time.monotonic()
    while True:
        try:
            if holds():
                return time.monotonic() - began
            last = "it did not hold"
        except CommandFailed as error:
            last = str(error)
        if time.monotonic() - began > within_s:
            raise CommandFailed(f"not within {within_s:g} s: {last}")
        time.sleep(1)


def runbook(home: Path, heading: str, *, replaced: Iterable[tuple[str, str]]) -> str:
    """Return the runbook's commands under ``heading`` as one script, with the operator's names."""
    text = (home / "ops/runbook.md").read_text()
    found = re.search(rf"^## {heading}\n(?:(?!## |```)[^\n]*\n)*```\n(.*?)```", text, re.MULTILINE | re.DOTALL)
    if not found:
        raise CommandFailed(f"ops/runbook.md has no lines to paste under {heading!r}")
    lines = found[1]
    for old, new in replaced:
        lines = lines.replace(old, new)
    return "set -e\n" + lines


def as_cron(fleet: Fleet, script: str, timeout_s: float = 300) -> str:
    """Run a script as cron does: no terminal, no stdin, almost no environment."""
    kept = ("PATH", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "HOME")
    environ = {name: fleet.engine.environ[name] for name in kept if name in fleet.engine.environ}
    done = subprocess.run(
        ["sh", "-c", script], cwd=fleet.home, env=environ | fleet.environ, stdin=subprocess.DEVNULL, text=True,
        capture_output=True, check=False, timeout=timeout_s,
    )  # fmt: skip
    if done.returncode:
        raise CommandFailed(f"exit {done.returncode}: {' | '.join(done.stderr.strip().splitlines()[-6:])}")
    return done.stdout
