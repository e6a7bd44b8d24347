"""The libraries that are measured: where each is installed, how its processes start, when its queue is drained.

Each peer has a separate virtual environment under ``.cache/bench``, since they need different versions of redis-py. pip
creates it with pinned versions at the first run, and again when the pins change.
"""

from __future__ import annotations

import json
import os
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

    @property
    def python(self) -> Path:
        """The interpreter of its environment; for Sightline, the current one."""
        return CACHE / self.name / "bin" / "python" if self.pins else Path(sys.executable)

    def install(self) -> None:
        """Create its environment, unless one with these pins exists."""
        stamp = CACHE / self.name / "pins.txt"
        wanted = "\n".join(self.pins)
        if not self.pins or (stamp.is_file() and stamp.read_text() == wanted):
            return
        print(f"installing {self.name} …", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", CACHE / self.name], check=True)
        pip = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *self.pins], check=True)
        stamp.write_text(wanted)

    def produce(self, url: str, command: str, count: int = 1) -> Any:
        """Run one command of its program and return what it measured."""
        call = [self.python, PROGRAMS / f"{self.name}_program.py", command, url, str(count)]
        done = subprocess.run(
            call, cwd=PROGRAMS, env=self._environment(url), stdout=subprocess.PIPE, check=True, text=True
        )
        return json.loads(done.stdout)

    @contextmanager
    def worker(self, url: str) -> Generator[subprocess.Popen[bytes]]:
        """Yield a worker process in a new process group, killed at the end."""
        call = [self.python, PROGRAMS / f"{self.name}_program.py", "work", url]
        process = subprocess.Popen(call, cwd=PROGRAMS, env=self._environment(url), start_new_session=True)
        try:
            yield process
        finally:
            kill(process)

    def _environment(self, url: str) -> dict[str, str]:
        path = {} if self.pins else {"PYTHONPATH": str(ROOT)}
        return {**os.environ, "BENCH_REDIS_URL": url, **path}


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
)
SWITCHED: Final = Contender("switched", (), SIGHTLINE.recovery, _left_in_lanes)
"""A program written for arq, on ours."""
ALL: Final = (SIGHTLINE, SAQ, TASKIQ, ARQ)
