"""The three forms of a client, with the same few calls: async, blocking in a thread, and the command line as a program.

Each form raises the product's errors; the command line's are derived from exit code and stderr.
"""

# ruff: noqa: D102  the few calls are what they are called

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from calls import CLI_GRACE_S, GRACE_S

from producer.client.blocking import BlockingClient
from producer.client.client import Client
from producer.contract import JobState
from producer.errors import InvalidJob, RedisUnreachable, ResultExpired, Unconfirmed, UnknownJob, WaitTimeout
from worker.own_redis.lifeline import tied

T = TypeVar("T")

ROOT: Final = Path(__file__).resolve().parents[2]
INTERRUPTED: Final = 130
ANSWERED: Final = (0, 1, 2)
"""Exit codes of a command that got its answer: passed, findings, no result of the page."""


class Unforeseen(Exception):
    """A program ended unexpectedly: an error in the product."""


class Form(ABC):
    """One form. ``grace_s`` is the extra time that its calls may take on a loaded machine."""

    name: str
    grace_s: float = GRACE_S

    @abstractmethod
    async def submit(self, job_id: str, url: str) -> None: ...

    @abstractmethod
    async def look(self, job_id: str) -> None: ...

    @abstractmethod
    async def wait(self, job_id: str, *, timeout_s: float) -> None: ...

    @abstractmethod
    async def cancel(self, job_id: str) -> JobState: ...

    @abstractmethod
    async def watch(self, job_id: str, *, seconds: float) -> None:
        """Read events for this time, or until the job has ended."""


class AsyncForm(Form):
    """``Client``, as the crowd uses it, with its own connections."""

    name = "async"

    def __init__(self, client: Client) -> None:
        self._client = client

    async def submit(self, job_id: str, url: str) -> None:
        await self._client.submit("scan", {"url": url}, job_id=job_id)

    async def look(self, job_id: str) -> None:
        await self._client.job(job_id)

    async def wait(self, job_id: str, *, timeout_s: float) -> None:
        await self._client.wait(job_id, timeout_s=timeout_s)

    async def cancel(self, job_id: str) -> JobState:
        return await self._client.cancel(job_id)

    async def watch(self, job_id: str, *, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for _ in self._client.events():
                    pass
                msg = f"the events ended while {job_id} was watched"
                raise Unforeseen(msg)


class BlockingForm(Form):
    """``BlockingClient``, each call in a daemon thread."""

    name = "blocking"

    def __init__(self, client: BlockingClient) -> None:
        self._client = client

    async def submit(self, job_id: str, url: str) -> None:
        await in_thread(lambda: self._client.submit("scan", {"url": url}, job_id=job_id))

    async def look(self, job_id: str) -> None:
        await in_thread(lambda: self._client.job(job_id))

    async def wait(self, job_id: str, *, timeout_s: float) -> None:
        await in_thread(lambda: self._client.wait(job_id, timeout_s=timeout_s))

    async def cancel(self, job_id: str) -> JobState:
        return await in_thread(lambda: self._client.cancel(job_id))

    async def watch(self, job_id: str, *, seconds: float) -> None:
        await in_thread(lambda: list(self._client.as_completed([job_id], timeout_s=seconds)))


class CommandForm(Form):
    """``sightline``, one process per call."""

    name = "CLI"
    grace_s = CLI_GRACE_S

    def __init__(self, variables: dict[str, str]) -> None:
        self._variables = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **variables}

    async def submit(self, job_id: str, url: str) -> None:
        await self._run("scan", url, "--id", job_id, "--json")

    async def look(self, job_id: str) -> None:
        await self._run("status", job_id, "--json")

    async def wait(self, job_id: str, *, timeout_s: float) -> None:
        await self._run("result", job_id, "--wait", "--timeout", str(timeout_s), "--json")

    async def cancel(self, job_id: str) -> JobState:
        said = await self._run("cancel", job_id, "--json")
        return JobState.CANCELLED if '"cancelled"' in said else JobState.RUNNING

    async def watch(self, job_id: str, *, seconds: float) -> None:
        del job_id
        await self._run("watch", "--json", interrupted_after_s=seconds)

    async def _run(self, *words: str, interrupted_after_s: float = 0.0) -> str:
        """Return the command's output; raises the error for its exit code."""
        pipe = asyncio.subprocess.PIPE
        command = tied((sys.executable, "-m", "producer.cli.main", *words))
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=self._variables, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
        reading = asyncio.ensure_future(_both(process))
        try:
            if interrupted_after_s:
                await asyncio.wait([reading], timeout=interrupted_after_s)
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGINT)
            said, complained = await asyncio.shield(reading)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            reading.cancel()
        raise_for(process.returncode, complained, words, is_interrupted=bool(interrupted_after_s))
        return said


async def _both(process: asyncio.subprocess.Process) -> tuple[str, str]:
    """Return stdout and stderr; its stdin stays open meanwhile, because the program exits when it closes."""
    assert process.stdout is not None  # noqa: S101  asked for
    assert process.stderr is not None  # noqa: S101  asked for
    said, complained = await asyncio.gather(process.stdout.read(), process.stderr.read())
    await process.wait()
    if process.stdin is not None:
        process.stdin.close()
    return said.decode(errors="replace"), complained.decode(errors="replace")


def raise_for(code: int | None, complained: str, words: tuple[str, ...], *, is_interrupted: bool) -> None:
    """Raise the error for a command's exit code; return if it succeeded."""
    if code in ANSWERED or (is_interrupted and code in {INTERRUPTED, -signal.SIGINT}):
        return
    if code == Unconfirmed.exit_code and "may have been" in complained:
        raise Unconfirmed(complained)
    if code == WaitTimeout.exit_code:
        raise WaitTimeout(complained) if "not ended within" in complained else RedisUnreachable(complained)
    if code == ResultExpired.exit_code:
        raise ResultExpired(complained)
    if code == UnknownJob.exit_code and "no job" in complained:
        raise UnknownJob(complained)
    if code == InvalidJob.exit_code and "exists: choose another --id" in complained:
        raise InvalidJob(complained)
    msg = f"sightline {' '.join(words)} ended with {code}: {complained[-2000:]}"
    raise Unforeseen(msg)


async def in_thread(act: Callable[[], T]) -> T:
    """Run ``act`` in a new thread and return its result; a call that never returns blocks no other."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)  # pyright: ignore[reportArgumentType]  what act returned
        else:
            future.set_exception(error)

    def run() -> None:
        try:
            result, error = act(), None
        except Exception as raised:  # noqa: BLE001  it is raised again in the loop
            result, error = None, raised
        with contextlib.suppress(RuntimeError):  # the loop has closed
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, daemon=True).start()
    return await future
