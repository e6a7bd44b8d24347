"""Everything that can fail, as separate processes: Redis (``servers.py``), Ollama, a site, the workers.

A worker that ends for any reason is restarted after a moment, as by a container's restart policy. All of them
end with this process, even if it is killed. The data of Redis and the temporary files of the workers are in one folder,
so that leftovers can be found.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final, Self

from servers import Servers

from producer.keys import Keys
from tests.support.processes_of import descendants
from tests.support.site import Reply, Request, Site, reply
from worker.own_redis.lifeline import tied
from worker.own_redis.server import free_port

ROOT: Final = Path(__file__).resolve().parents[2]
ENVIRONMENT: Final = "chaos"
LEASE_S: Final = 4.0
OTHER_PORTS: Final = 3
RESTART_S: Final = 1.0
STOP_S: Final = 30.0
PAGES: Final = 9
WORKER_SETTINGS: Final = {
    "ENVIRONMENT": ENVIRONMENT,
    "LEASE_S": str(LEASE_S),
    "MAX_TRIES": "30",  # a job hit by faults repeatedly is no poison job
    "SHUTDOWN_GRACE_S": "3",
    "HOST_PLACES": "20",
    "CHAT_STALL_S": "3",
    "CHAT_TIMEOUT_S": "15",
    "GPU_WAIT_S": "60",
    "KIND_WAIT_S": "60",  # jobs of an unknown kind must end within a run's calm, also after a clock was set back
    "EMBEDDING_DIMS": "768",
    "SCAN_ALLOW_PRIVATE": "1",
}


class WorkerProcess:
    """One worker, kept alive. ``ends`` counts how its processes ended: by their exit codes."""

    def __init__(self, name: str, variables: dict[str, str], folder: Path) -> None:
        self.ends: Counter[int] = Counter()
        self.temp = folder / f"{name}-tmp"
        self.clock = folder / f"{name}-clock"
        self._log = folder / f"{name}.log"
        self._variables = variables
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._is_ending = False

    async def __aenter__(self) -> Self:
        self.temp.mkdir()
        self._keeper = asyncio.create_task(self._keep_alive())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_ending = True
        self.send(signal.SIGCONT)
        self.send(signal.SIGKILL)
        if self._keeper is not None:
            await self._keeper

    @property
    def pid(self) -> int | None:
        """Process id, while one runs."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    def send(self, what: signal.Signals) -> bool:
        """Send a signal; return whether the process exists."""
        if self.pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, what)
        return True

    def set_clock(self, *, wrong_s: float) -> None:
        """Shift its wall clock by this amount, from now on and in later processes."""
        self.clock.write_text(str(wrong_s))

    async def end(self) -> int | None:
        """Stop it for good; return the exit code, or None if it had to be killed."""
        self._is_ending = True
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        assert self._keeper is not None  # noqa: S101  it is entered before it is ended
        try:
            async with asyncio.timeout(STOP_S):
                await asyncio.shield(self._keeper)
        except TimeoutError:
            self.send(signal.SIGKILL)
            await self._keeper
            return None
        return self._process.returncode if self._process else None

    async def _keep_alive(self) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "TMPDIR": str(self.temp),
            "PYTHONPATH": str(ROOT / "tests/support/wrong_clock"),
            "WRONG_CLOCK": str(self.clock),
        }
        while not self._is_ending:
            with self._log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *tied((sys.executable, "-m", "worker")),
                    cwd=ROOT,
                    env={**environment, **self._variables},
                    stdin=asyncio.subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            if self._is_ending:  # meanwhile
                self.send(signal.SIGKILL)
            self.ends[await self._process.wait()] += 1
            if not self._is_ending:
                await asyncio.sleep(RESTART_S)


class OllamaProcess:
    """The stub of an Ollama, always on the same port."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: asyncio.subprocess.Process | None = None
        self._one_at_a_time = asyncio.Lock()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        for _ in range(OTHER_PORTS):
            try:
                await self.start()
            except OSError:  # another program has taken the port since it was found free
                await self.kill()
                self.port = free_port()
            else:
                return self
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        """Start it unless it runs; return when it listens."""
        async with self._one_at_a_time:
            if self._process is None:
                await self._start()

    async def kill(self) -> None:
        """Kill it with SIGKILL, once its start has completed. Safe to call twice."""
        async with self._one_at_a_time:
            process, self._process = self._process, None
            if process is not None:
                with suppress(ProcessLookupError):  # it has ended by itself
                    process.kill()
                await process.wait()

    async def _start(self) -> None:
        command = (sys.executable, "-m", "tests.support.ollama_server", "--port", str(self.port), "--call-ms", "150")
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *tied(command), cwd=ROOT, stdin=pipe, stdout=pipe, start_new_session=True
        )
        assert self._process.stdout is not None  # noqa: S101  asked for above
        if not await self._process.stdout.readline():
            msg = f"the stub of an Ollama ended at once: is port {self.port} taken?"
            raise OSError(msg)


class Stage:
    """The whole stage, started and stopped in order; use as an async context manager."""

    def __init__(self, folder: Path, *, workers: int, is_replicated: bool) -> None:
        self.folder = folder
        self.keys = Keys(ENVIRONMENT)
        self.servers = Servers(folder, is_replicated=is_replicated)
        self.ollama = OllamaProcess()
        self.site = Site(folder)
        self.workers: list[WorkerProcess] = []
        self._count = workers
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        stack = self._stack
        await stack.enter_async_context(self.servers)
        await stack.enter_async_context(self.ollama)
        stack.enter_context(self.site)
        self.urls = [self.site.add(f"/page-{number}", _changing_page(number)) for number in range(PAGES)]
        for number in range(self._count):
            variables = {"REDIS_URL": self.servers.url, "OLLAMA_BASE_URL": self.ollama.url, **WORKER_SETTINGS}
            worker = WorkerProcess(f"worker-{number}", variables, self.folder)
            self.workers.append(await stack.enter_async_context(worker))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def make_whole(self) -> bool:
        """Restore everything that failed; return whether Redis is complete."""
        is_whole = await self.servers.make_whole()
        await self.ollama.start()
        for worker in self.workers:
            worker.send(signal.SIGCONT)
        return is_whole

    async def end_workers(self) -> list[int | None]:
        """Stop all workers concurrently; return their exit codes."""
        return list(await asyncio.gather(*(worker.end() for worker in self.workers)))

    def left_over(self) -> list[str]:
        """Return what ended workers left behind: temporary files, processes."""
        files = [str(path.relative_to(self.folder)) for worker in self.workers for path in worker.temp.iterdir()]
        browsers = [f"process {pid} of {name}" for pid in descendants() if "chrom" in (name := _name(pid))]
        return files + browsers


def _changing_page(number: int) -> Reply:
    """Return a handler for a page that gains and loses barriers at every third visit."""
    visits = itertools.count()

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        state = number + next(visits) // 3
        images = "".join(f'<img src="/pixel.png" width=9 height=9 id="i{n}">' for n in range(state % 4))
        field = '<input name="q">' if state % 2 else '<label>Search <input name="q"></label>'
        body = f"<main><h1>Page {number}</h1>{images}{field}</main>"
        await reply(f'<!doctype html><html lang="en"><title>Page {number}</title>{body}')(request, writer)

    return answer


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""
