"""Runs ``make demo``: all of Sightline once, on the sample shop in this folder; leaves nothing behind.

It starts a separate Redis, a web server for the shop, two workers, and a client that does what a user would do: submit
the pages as one batch, wait, write reports. Everything is stopped at the end, even after a failure, Ctrl-C or SIGTERM.
Exits 0 if every page was scanned; the shop's barriers are expected.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import textwrap
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from shop import PAGES, served

from producer.cli.outputs import Output
from producer.cli.report_extras import read_extras
from producer.client.client import Client
from producer.contract import Impact, QueryRequest, QueryResult, ScanRequest
from producer.errors import SightlineError
from producer.reports.formats import FORMATS, ReportContext, load_report
from producer.reports.page import Page, page_of
from producer.reports.plain_text import printable
from producer.reports.table import write_overview
from producer.settings import ClientSettings
from worker.own_redis.server import EmbeddedRedis

REPORTS: Final = Path("demo-report")
ENVIRONMENT: Final = "demo"
WORKERS: Final = 2
QUESTIONS: Final = ("Which page has the worst barriers?", "What is wrong with that page?")
DEADLINE_S: Final = 240.0
"""Time limit for all pages: the slowest machine tried needs a fifth of it."""
TRIED_S: Final = 60.0
"""Time limit for the changes tried on the pages; the report is also useful without them."""
STOP_S: Final = 20.0
"""A worker requeues its jobs and ends within its grace period; then it is killed."""


class DemoFailed(Exception):
    """A part of the demo failed; the message is for the person who ran ``make demo``."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker process and its log file."""

    process: asyncio.subprocess.Process
    log: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """The results of the demo."""

    pages: list[Page]
    answers: list[tuple[str, str]]


@asynccontextmanager
async def workers(count: int, *, redis_url: str, folder: Path) -> AsyncGenerator[list[Worker]]:
    """Run worker processes; they are stopped at the end, first by SIGTERM."""
    env = {
        **os.environ,
        "REDIS_URL": redis_url,
        "REDIS_PASSWORD_FILE": "",  # empty is unset: of another Redis, of another worker
        "METRICS_PORT": "",
        "ENVIRONMENT": ENVIRONMENT,
        "SCAN_ALLOW_PRIVATE": "1",
        "CHAT_MODEL": "builtin",
        "EMBEDDING_MODEL": "builtin",
    }
    running: list[Worker] = []
    try:
        for number in range(1, count + 1):
            log = folder / f"worker-{number}.log"
            with log.open("wb") as out:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "worker"),
                    env=env,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,  # Ctrl-C reaches the demo alone, which then stops them in order
                )
            running.append(Worker(process, log))
        yield running
    finally:
        await asyncio.gather(*(_stop(worker.process) for worker in running))


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


async def scan(client: Client, base: str) -> list[Page]:
    """Submit the shop's pages as one batch and return them, in their order, once all are scanned."""
    urls = [base + name for name in PAGES]
    requests = (
        ScanRequest(url=url, group="repaired" if "/repaired/" in url else "shop", screenshot=True) for url in urls
    )
    batch = f"demo-{datetime.now(UTC):%H%M%S}"
    jobs = [job.job_id async for job in client.submit_many("scan", requests, batch=batch)]
    await client.seal_batch(batch)
    url_of = dict(zip(jobs, urls, strict=True))
    pages: dict[str, Page] = {}
    with _progress(len(jobs)) as advance:
        async for result in client.as_completed(jobs, timeout_s=DEADLINE_S):
            pages[result.job_id] = page_of(result, url=url_of[result.job_id])
            advance(pages[result.job_id])
    async for result in client.assessed(jobs, timeout_s=TRIED_S):
        pages[result.job_id] = page_of(result, url=url_of[result.job_id])
    extras = await read_extras(client, [pages[job_id] for job_id in jobs], [Output("html", None)])
    return list(extras.pages)


async def ask(client: Client) -> list[tuple[str, str]]:
    """Ask the questions in one conversation; returns each with its answer."""
    answers: list[tuple[str, str]] = []
    for question in QUESTIONS:
        job = await client.submit("query", QueryRequest(question=question, thread_id="demo"))
        result = await client.wait(job.job_id, timeout_s=DEADLINE_S)
        if not isinstance(result, QueryResult):
            msg = f"the question {question!r} was not answered: {result.error.message if result.error else 'no reason'}"
            raise DemoFailed(msg)
        answers.append((question, result.answer))
    return answers


async def scan_and_ask(client: Client, base: str) -> Outcome:
    """Scan the shop, then ask the questions."""
    pages = await scan(client, base)
    return Outcome(pages, await ask(client))


@contextmanager
def _progress(total: int) -> Generator[Callable[[Page], object]]:
    """Draw a bar in a terminal, print a line per page elsewhere; yields a function to call with each page."""
    if not sys.stdout.isatty():
        yield lambda page: print(f"  {page.outcome:<11} {page.url}")
        return
    columns = (TextColumn("  Scanning"), BarColumn(bar_width=None), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, expand=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda _: bar.advance(task)


async def watch_over(running: Sequence[Worker]) -> None:
    """Raise ``DemoFailed`` as soon as a worker exits by itself, with its last output."""
    ends = [asyncio.create_task(worker.process.wait()) for worker in running]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for end in ends:
            end.cancel()
    ended = next(worker for worker in running if worker.process.returncode is not None)
    words = ended.log.read_text("utf-8", "replace").strip().splitlines()
    msg = f"a worker ended with exit code {ended.process.returncode}: {words[-1] if words else 'it said nothing'}"
    raise DemoFailed(msg)


async def demo() -> Outcome:
    """Start everything, scan, ask, and stop everything."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sightline-demo-")))
        print("Starting a Redis of its own, a web server for the sample shop, and two workers …", flush=True)
        redis = stack.enter_context(EmbeddedRedis(folder / "redis", die_with_parent=True))
        base = stack.enter_context(served())
        running = await stack.enter_async_context(workers(WORKERS, redis_url=redis.url, folder=folder))
        settings = ClientSettings(redis_url=redis.url, environment=ENVIRONMENT)
        client = await stack.enter_async_context(Client(settings))
        print(f"Scanning {len(PAGES)} pages of {base} through the queue:", flush=True)
        scanning = asyncio.create_task(scan_and_ask(client, base))
        watching = asyncio.create_task(watch_over(running))
        try:
            await asyncio.wait((scanning, watching), return_when=asyncio.FIRST_COMPLETED)
            if not scanning.done():
                watching.result()  # raises: a worker ended by itself
            return await scanning
        finally:
            for task in (scanning, watching):
                task.cancel()
            await asyncio.gather(scanning, watching, return_exceptions=True)


def write_reports(pages: Sequence[Page]) -> None:
    """Print the pages and totals, and write every format into ``demo-report``."""
    context = ReportContext(datetime.now(UTC), title="Moss & Kettle, a sample shop", fail_on=Impact.SERIOUS)
    print()
    write_overview(pages, context, sys.stdout)
    REPORTS.mkdir(exist_ok=True)
    for name, file_name in FORMATS.items():
        with (REPORTS / file_name).open("w", encoding="utf-8", newline="") as out:
            load_report(name)(pages, context, out)


NEXT: Final = """
The report to open and to pass on, with pictures of the elements that fail:
  {report}
All other formats are beside it.

Next:
  sightline up                                   a Redis and a worker of your own, until Ctrl-C
  sightline scan https://example.org/ --wait     in another terminal
  sightline ask "Which page is worst?" --wait    an answer, with the scans it rests on
  sightline scan --help                          lists of pages, reports for CI, exit codes

The shop and its barriers are explained in ops/demo/README.md. 'sightline' is in .venv/bin.
"""


def said(question: str, answer: str) -> str:
    """Return a question and its answer, wrapped to the terminal."""
    width = min(shutil.get_terminal_size().columns, 100)
    return f"\n> {question}\n{textwrap.fill(printable(answer), width)}"


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
        write_reports(outcome.pages)
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("demo: stopped; nothing is left running", file=sys.stderr)
        return 130
    except (DemoFailed, SightlineError, OSError) as error:
        print(f"demo: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    for question, answer in outcome.answers:
        print(said(question, answer))
    pages = outcome.pages
    missing = [page for page in pages if not page.is_scanned]
    if missing:
        print(f"demo: {len(missing)} of {len(pages)} pages were not scanned: {missing[0].problem}", file=sys.stderr)
        return 1
    print(NEXT.format(report=(REPORTS / FORMATS["html"]).absolute().as_uri()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
