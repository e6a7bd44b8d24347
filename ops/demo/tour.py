"""What a user of the demo does: scans the shop's pages as one batch, asks two questions, looks, and writes reports.

``run.py`` starts and stops what this needs; ``findings.py`` prints the findings.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Final

from findings import print_answers, print_components, print_fixes, print_live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from shop import PAGES

from producer.cli.outputs import Output
from producer.cli.report_extras import read_extras
from producer.client.client import Client
from producer.contract import Impact, Lane, QueryRequest, QueryResult, ScanRequest
from producer.errors import JobFailed
from producer.reports.formats import FORMATS, ReportContext, load_report
from producer.reports.page import Page, page_of
from producer.reports.table import write_overview
from producer.settings import ClientSettings

QUESTIONS: Final = ("Which page has the worst barriers?", "What is wrong with that page?")
IN_USE: Final = "account.html"
"""The page that is also checked in use (docs/live.md): a field keeps the focus, and some controls hear no key."""
FIRST: Final = ("checkout.html", IN_USE, "teas.html")
"""What takes longest: the page with the most changes to try, one after the other, that in use, and the largest."""
BRIEF: Final = (IN_USE, "kettle.html", "offers.html", "index.html", "visit.html", "journal.html")
"""Pages without pictures, explanations and tried changes, which would take another third of the demo's time."""
UNTRIED: Final = "teas.html"
"""A page on which no changes are tried: for its barriers, Sightline's rules propose nothing."""
DEADLINE_S: Final = 240.0
"""Time limit for all pages: the slowest machine tried needs a fifth of it."""
TRIED_S: Final = 60.0
"""Time limit for the changes tried on the pages; the report is also useful without them."""
WIDTH: Final = 100


@dataclass(frozen=True, slots=True)
class Outcome:
    """The results of the demo."""

    pages: list[Page]
    answers: list[tuple[str, str]]


async def tour(base: str, *, redis_url: str, environment: str) -> Outcome:
    """Scan the shop; then ask the questions while changes are tried on its pages."""
    async with Client(ClientSettings(redis_url=redis_url, environment=environment)) as client:
        preparing = asyncio.to_thread(_prepare_reports)  # while the workers import
        scanned, _ = await asyncio.gather(scan(client, base), preparing)
        answers, pages = await asyncio.gather(ask(client), with_fixes(client, scanned))
    return Outcome(pages, answers)


async def scan(client: Client, base: str) -> list[Page]:
    """Submit the shop's pages as one batch and return them, in their order, once all are scanned."""
    urls = [base + name for name in (*FIRST, *(name for name in PAGES if name not in FIRST))]
    batch = f"demo-{datetime.now(UTC):%H%M%S}"
    submitted = client.submit_many("scan", map(_request, urls), lane=Lane.INTERACTIVE, batch=batch)  # a person waits
    jobs = [job.job_id async for job in submitted]
    await client.seal_batch(batch)
    url_of = dict(zip(jobs, urls, strict=True))
    pages: dict[str, Page] = {}
    with _progress(len(jobs)) as advance:
        async for result in client.as_completed(jobs, timeout_s=DEADLINE_S):
            url = url_of[result.job_id]
            pages[url] = page_of(result, url=url)
            advance(pages[url])
    return [pages[base + name] for name in PAGES]


def _request(url: str) -> ScanRequest:
    group = "repaired" if "/repaired/" in url else "shop"
    checks = ("axe", "live") if url.endswith(IN_USE) else ("axe",)
    is_whole = not url.endswith(BRIEF)
    tries = is_whole and not url.endswith(UNTRIED)
    return ScanRequest(url=url, group=group, screenshot=is_whole, checks=checks, assess=is_whole, try_fixes=tries)


async def with_fixes(client: Client, pages: Sequence[Page]) -> list[Page]:
    """Wait for the changes that workers try on the pages, and add them and the screenshots."""
    found = {page.job_id: page for page in pages}
    async for result in client.assessed(list(found), timeout_s=TRIED_S):
        found[result.job_id] = page_of(result, url=found[result.job_id].url)
    extras = await read_extras(client, list(found.values()), [Output("html", None)])
    return list(extras.pages)


async def ask(client: Client) -> list[tuple[str, str]]:
    """Ask the questions in one conversation; returns each with its answer."""
    answers: list[tuple[str, str]] = []
    for question in QUESTIONS:
        job = await client.submit("query", QueryRequest(question=question, thread_id="demo"))
        result = await client.wait(job.job_id, timeout_s=DEADLINE_S)
        if not isinstance(result, QueryResult):
            msg = f"the question {question!r} was not answered: {result.error.message if result.error else 'no reason'}"
            raise JobFailed(msg)
        answers.append((question, result.answer))
    return answers


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


# ---------------------------------------------------------------------------------------------- what was found


def _context() -> ReportContext:
    return ReportContext(datetime.now(UTC), title="Moss & Kettle, a sample shop", fail_on=Impact.SERIOUS)


def show(outcome: Outcome) -> None:
    """Print what was found, and the answers."""
    width = min(shutil.get_terminal_size((WIDTH, 24)).columns, WIDTH)
    print()
    write_overview(outcome.pages, replace(_context(), width=width), sys.stdout)
    print_components(outcome.pages, width=width)
    print_fixes(outcome.pages, width=width)
    print_live(outcome.pages, width=width)
    print_answers(outcome.answers, width=width)
    sys.stdout.flush()


def write_reports(pages: Sequence[Page], folder: Path) -> None:
    """Write every format into ``folder``."""
    folder.mkdir(exist_ok=True)
    for name, file_name in FORMATS.items():
        with (folder / file_name).open("w", encoding="utf-8", newline="") as out:
            load_report(name)(pages, _context(), out)


def _prepare_reports() -> None:
    """Import the formats and compile their templates."""
    for name in FORMATS:
        load_report(name)([], _context(), StringIO())
