"""The libraries that are measured: where each is installed, how its processes start, when its queue is drained.

Each peer has a separate folder under ``.cache/bench``: a virtual environment with pinned versions, since they need
different versions of redis-py; a program that Go built by its go.sum; packages that npm installed by its lock file. It
is made at the first run, and again when the pins change. Without Go or Node their libraries are skipped, and said so.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from redis import Redis

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAMS: Final = Path(__file__).parent / "programs"
CACHE: Final = ROOT / ".cache" / "bench"


@dataclass(frozen=True)
class Contender:
    """One library. ``left`` returns the number of jobs still in its queue, by one Redis command."""

    name: str
    pins: tuple[str, ...]
    recovery: str
    left: Callable[[Redis], int]
    poll_s: float = 0.0
    """How often its idle worker looks for jobs; 0 if it waits for them in Redis."""

    @property
    def command(self) -> list[Path | str]:
        """The start of its program's command line: in a separate environment; for Sightline, in the current one."""
        python = CACHE / self.name / "bin" / "python" if self.pins else Path(sys.executable)
        return [python, PROGRAMS / f"{self.name}_program.py"]

    @property
    def is_slow(self) -> bool:
        """Whether it gets fewer jobs, to save minutes."""
        return self.poll_s > 0

    def install(self) -> bool:
        """Create its environment, unless one with these pins exists; False if this machine cannot run it."""
        stamp = CACHE / self.name / "pins.txt"
        wanted = "\n".join(self.pins) + self._sources()
        if not self.pins or (stamp.is_file() and stamp.read_text() == wanted):
            return True
        if (missing := self.missing()) is not None:
            print(f"SKIPPED {self.name}: {missing} is not on this machine", file=sys.stderr, flush=True)
            return False
        print(f"installing {self.name} …", file=sys.stderr, flush=True)
        shutil.rmtree(CACHE / self.name, ignore_errors=True)
        self.build(CACHE / self.name)
        stamp.write_text(wanted)
        return True

    def missing(self) -> str | None:
        """Return the program that is missing to install it, if one is."""
        return None

    def build(self, folder: Path) -> None:
        """Install it into the folder, which does not exist."""
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *self.pins], check=True)

    def produce(self, url: str, command: str, count: int = 1) -> Any:
        """Run one command of its program and return what it measured."""
        call = [*self.command, command, url, str(count), str(self.poll_s)]
        done = subprocess.run(
            call, cwd=PROGRAMS, env=self._environment(url), stdout=subprocess.PIPE, check=True, text=True
        )
        return json.loads(done.stdout)

    @contextmanager
    def worker(self, url: str, command: str = "work", count: int = 1) -> Generator[subprocess.Popen[bytes]]:
        """Yield a worker process in a new process group, killed at the end."""
        call = [*self.command, command, url, str(count), str(self.poll_s)]
        process = subprocess.Popen(call, cwd=PROGRAMS, env=self._environment(url), start_new_session=True)
        try:
            yield process
        finally:
            if command != "work":  # its children are in sessions of their own, which kill() does not reach
                process.terminate()
                process.wait(timeout=30)
            kill(process)

    def _environment(self, url: str) -> dict[str, str]:
        path = {} if self.pins else {"PYTHONPATH": str(ROOT)}
        return {**os.environ, "BENCH_REDIS_URL": url, **path}

    def _sources(self) -> str:
        folder = PROGRAMS / self.name
        return "".join(file.read_text() for file in sorted(folder.iterdir())) if folder.is_dir() else ""


class GoContender(Contender):
    """A library for Go: built by the module's go.mod and go.sum."""

    @property
    def command(self) -> list[Path | str]:
        """The built program."""
        return [CACHE / self.name / "program"]

    def missing(self) -> str | None:
        """Return ``go`` without a Go compiler."""
        return None if self._go() else "go"

    def build(self, folder: Path) -> None:
        """Build the program; ``go`` checks each module against go.sum."""
        call = [self._go() or "go", "build", "-mod=readonly", "-o", folder / "program", "."]
        subprocess.run(call, cwd=PROGRAMS / self.name, check=True, env={**os.environ, "GOTOOLCHAIN": "local"})

    def _go(self) -> str | None:
        return shutil.which("go", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/local/go/bin")


class NodeContender(Contender):
    """A library for Node: installed by package-lock.json."""

    @property
    def command(self) -> list[Path | str]:
        """The program, copied beside its packages, where Node looks for them."""
        return ["node", CACHE / self.name / "program.mjs"]

    def missing(self) -> str | None:
        """Return ``node`` or ``npm`` if it is missing."""
        return next((name for name in ("node", "npm") if shutil.which(name) is None), None)

    def build(self, folder: Path) -> None:
        """Install the packages; npm checks each against the lock file. No package's own script runs."""
        shutil.copytree(PROGRAMS / self.name, folder)
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-fund", "--no-audit", "--silent"], cwd=folder, check=True)


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL the process and its children; safe to call twice."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


# ---------------------------------------------------------------------------------------------- when a queue is drained


def _left_in_lanes(redis: Redis) -> int:
    return cast("int", redis.xlen("sightline:bench:jobs:batch"))


def _left_in_saq(redis: Redis) -> int:
    return cast("int", redis.zcard("saq:default:incomplete"))


def _left_in_arq(redis: Redis) -> int:
    return cast("int", redis.zcard("arq:queue"))


def _left_in_taskiq(redis: Redis) -> int:
    group = cast("list[dict[str, Any]]", redis.xinfo_groups("taskiq"))[0]
    return int(group["pending"]) + int(group["lag"] or 0)


def _left_in_streaq(redis: Redis) -> int:
    return cast("int", redis.xlen("streaq:default:queues:normal"))


def _left_in_asynq(redis: Redis) -> int:
    return _sum_of(redis, "LLEN asynq:{default}:pending", "LLEN asynq:{default}:active", "ZCARD asynq:{default}:retry")


def _left_in_bullmq(redis: Redis) -> int:
    return _sum_of(redis, "LLEN bull:bench:wait", "LLEN bull:bench:active", "ZCARD bull:bench:prioritized")


def _sum_of(redis: Redis, *commands: str) -> int:
    calls = (f"redis.call('{name}', '{key}')" for name, key in (command.split() for command in commands))
    return cast("int", redis.eval(f"return {' + '.join(calls)}", 0))


SIGHTLINE: Final = Contender("sightline", (), "lease of 10 s, looked for every 2 s", _left_in_lanes)
SAQ: Final = Contender(
    "saq",
    ("saq[redis]==0.26.4", "redis==7.4.1", "hiredis==3.5.0", "typing_extensions==4.16.0"),
    "swept every 60 s once past its timeout; then dead unless retries > 1",
    _left_in_saq,
)
TASKIQ: Final = Contender(
    "taskiq",
    ("taskiq-redis==1.2.4", "taskiq==0.13.0", "redis==8.1.0", "hiredis==3.5.0"),
    "idle_timeout of 600 s",
    _left_in_taskiq,
)
ARQ: Final = Contender(
    "arq",
    ("arq==0.28.0", "redis==5.3.1", "hiredis==3.5.0"),
    "in-progress key of job_timeout + 10 s = 310 s",
    _left_in_arq,
    poll_s=0.5,
)
STREAQ: Final = Contender(
    "streaq",
    ("streaq==7.2.0", "coredis==6.9.0", "anyio==4.16.0", "redis==8.1.0", "hiredis==3.5.0"),
    "idle_timeout of 60 s",
    _left_in_streaq,
)
ASYNQ: Final = GoContender(
    "asynq",
    ("asynq==0.26.0",),
    "lease of 30 s, looked for every 60 s; then retried after 15 to 45 s",
    _left_in_asynq,
    poll_s=1.0,
)
BULLMQ: Final = NodeContender(
    "bullmq",
    ("bullmq==6.7.0",),
    "lock of 30 s, stalled jobs looked for every 30 s",
    _left_in_bullmq,
)
SWITCHED: Final = Contender("switched", (), SIGHTLINE.recovery, _left_in_lanes)
"""A program written for arq, on ours."""
ALL: Final = (SIGHTLINE, ASYNQ, BULLMQ, SAQ, TASKIQ, STREAQ, ARQ)
