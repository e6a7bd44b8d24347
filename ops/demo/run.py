"""Runs ``make demo``: all of Sightline once, on the sample shop in this folder; leaves nothing running.

It starts a separate Redis, a web server for the shop, two workers, and a client that does what a user would do: submit
the pages as one batch, wait, ask, write reports (``tour.py``). Everything is stopped at the end, even after a failure,
Ctrl-C or SIGTERM; the Redis's data stays for ``board.py`` until the next run. Exits 0 if every page was scanned; the
shop's barriers are expected.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from redis import Redis
from shop import DATA, ENVIRONMENT, PAGES, environment, served

from producer.errors import SightlineError
from worker.own_redis.server import EmbeddedRedis

if TYPE_CHECKING:
    from tour import Outcome

REPORTS: Final = Path("demo-report")
WORKERS: Final = 2
WATCH_EVERY_S: Final = 0.5
STOP_S: Final = 20.0
"""A worker requeues its jobs and ends within its grace period; then it is killed."""


class DemoFailed(Exception):
    """A part of the demo failed; the message is for the person who ran ``make demo``."""


@dataclass(frozen=True, slots=True)
class Workers:
    """``sightline worker --processes``, and its log file."""

    process: asyncio.subprocess.Process
    log: Path


@asynccontextmanager
async def workers(count: int, *, redis_url: str, folder: Path) -> AsyncGenerator[Workers]:
    """Run worker processes; they are stopped at the end, first by SIGTERM."""
    log = folder / "workers.log"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "producer.cli.main", "worker", "--processes", str(count)),
            env=environment(redis_url),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,  # Ctrl-C reaches the demo alone, which then stops them in order
        )
    try:
        yield Workers(process, log)
    finally:
        await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def watch_over(running: Workers) -> None:
    """Raise ``DemoFailed`` as soon as a worker exits by itself, with its last output."""
    while running.process.returncode is None and b"process.died" not in running.log.read_bytes():  # noqa: ASYNC110
        await asyncio.sleep(WATCH_EVERY_S)
    lines = running.log.read_text("utf-8", "replace").strip().splitlines()
    said = [line.removeprefix("sightline: ") for line in lines if line.startswith("sightline: ")]
    died = [line for line in lines if "process.died" in line]
    msg = f"a worker ended by itself: {(said or died or lines or ['it said nothing'])[-1]}"
    raise DemoFailed(msg)


async def demo() -> Outcome:
    """Start everything, scan, ask, show what was found, write the reports, and stop everything."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sightline-demo-")))
        print("Starting a Redis of its own, a web server for the sample shop, and two workers …", flush=True)
        fast = {"appendfsync": "everysec"}  # what a power cut loses, the next demo finds again
        redis = stack.enter_context(EmbeddedRedis(DATA / "redis", config=fast, die_with_parent=True))
        with Redis.from_url(redis.url) as emptied:
            emptied.flushall()  # the data of the run before
        base = stack.enter_context(served())
        (DATA / "shop").write_text(base)
        running = await stack.enter_async_context(workers(WORKERS, redis_url=redis.url, folder=folder))

        from tour import show, tour, write_reports  # noqa: PLC0415  takes time: while the workers import more

        print(f"Scanning {len(PAGES)} pages of {base} through the queue:", flush=True)
        touring = asyncio.create_task(tour(base, redis_url=redis.url, environment=ENVIRONMENT))
        watching = asyncio.create_task(watch_over(running))
        try:
            await asyncio.wait((touring, watching), return_when=asyncio.FIRST_COMPLETED)
            if not touring.done():
                watching.result()  # raises: a worker ended by itself
            outcome = await touring
        finally:
            for task in (touring, watching):
                task.cancel()
            await asyncio.gather(touring, watching, return_exceptions=True)
        reporting = asyncio.gather(
            asyncio.to_thread(show, outcome), asyncio.to_thread(write_reports, outcome.pages, REPORTS)
        )
    await reporting  # while the workers stopped
    return outcome


NEXT: Final = """
The report to open and to pass on, with pictures of the elements; other formats are beside it:
  {report}

Next:
  make board                                   these results in a browser: http://127.0.0.1:8417/
  sightline up                                 a Redis and a worker of your own, until Ctrl-C
  sightline scan https://example.org/ --wait   in another terminal
  sightline ask "Which page is worst?" --wait  an answer, with the scans it rests on
  sightline scan --help                        lists of pages, reports for CI, exit codes

The shop and its barriers are explained in ops/demo/README.md. 'sightline' is in .venv/bin.
"""


async def _interruptible() -> Outcome:
    """Run the demo so that Ctrl-C and SIGTERM stop it cleanly."""
    task = asyncio.create_task(demo())
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task


def main() -> int:
    """Run the demo; returns the exit code."""
    try:
        outcome = asyncio.run(_interruptible())
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("demo: stopped; nothing is left running", file=sys.stderr)
        return 130
    except (DemoFailed, SightlineError, OSError) as error:
        print(f"demo: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    missing = [page for page in outcome.pages if not page.is_scanned]
    if missing:
        count = f"{len(missing)} of {len(outcome.pages)} pages were not scanned"
        print(f"demo: {count}: {missing[0].problem}", file=sys.stderr)
        return 1
    print(NEXT.format(report=(REPORTS / "report.html").absolute().as_uri()), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
