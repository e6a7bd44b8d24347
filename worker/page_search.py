"""The job of a schedule with a sitemap or crawl: finds the pages when they are due, and submits their scans.

Safe to run again: the ids of the scans are derived from their payloads, so that a page found twice is one job, and the
batch is sealed at the end. A sealed batch was submitted completely. Connections pass the page guard. Next:
``producer/sitemaps/search.py``.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import structlog
from pydantic import ValidationError

from producer.client.client import Client
from producer.contract import JsonObject, describe_invalid, encode_payload
from producer.contract.certificates import trusting
from producer.contract.page_search import PageSearch
from producer.errors import BatchClosed, InputError, InvalidJob
from producer.sitemaps.crawl import Bounds
from producer.sitemaps.download import Downloads
from producer.sitemaps.search import Search, in_crawls, in_sitemaps
from producer.sitemaps.sitemap import fits
from worker.scan.guard import Guard
from worker.scan.settings import ScanSettings

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Found:
    """The pages, in the order found; the pause between pages that robots.txt asks for, and the problems."""

    urls: tuple[str, ...]
    gaps_ms: Mapping[str, int]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PageSearchJobs:
    """Finds pages from this machine, as far as the guard of ``settings`` allows."""

    client: Client
    settings: ScanSettings

    async def run(self, payload: JsonObject) -> JsonObject:
        """Find the pages and submit them; ``payload`` is a ``PageSearch``. Returns the outcome.

        Raises ``InvalidJob`` for another payload, ``InputError`` if no page is listed, and ``ConnectionError`` if
        nothing could be loaded, after which the queue retries.
        """
        try:
            search = PageSearch.model_validate(payload)
        except ValidationError as error:
            raise InvalidJob(f"not a search for pages: {describe_invalid(error)}") from None
        stopped: list[bool] = []
        try:
            found = await asyncio.to_thread(find, search, Guard(self.settings), stopped)
        finally:
            stopped.append(True)  # a thread cannot be cancelled: it ends at its next connection
        payloads = list(payloads_of(search, found))
        ids = [_job_id(search.batch, one) for one in payloads]
        with suppress(BatchClosed):  # an earlier run, whose commit was lost, has submitted it completely
            async for _ in self.client.submit_many("scan", payloads, batch=search.batch, job_ids=ids):
                pass
        await self.client.seal_batch(search.batch, create=True)
        log.info("pages.found", batch=search.batch, pages=len(found.urls), problems=len(found.problems))
        return {"batch": search.batch, "pages": len(found.urls), "problems": list(found.problems[:20])}


def find(search: PageSearch, guard: Guard, stopped: list[bool]) -> Found:
    """Return the pages; blocking. Raises ``ConnectionError`` or ``InputError`` if there are none."""
    urls, gaps_ms, problems = dict.fromkeys(search.urls), dict[str, int](), dict[str, None]()
    wanted = Search(
        search.sitemaps,
        search.crawl,
        search.match,
        search.exclude,
        search.replaced,
        search.ignore_robots,
        Bounds(search.max_pages, search.per_pattern),
    )
    downloads_of = partial(_downloads, trusted=_trusted(search), guard=guard, stopped=stopped)
    for part in (*in_sitemaps(wanted, downloads_of), *in_crawls(wanted, downloads_of)):
        urls |= part.found.pages
        problems |= dict.fromkeys(map(str, part.found.problems.values()))
        if not search.ignore_robots:
            problems |= dict.fromkeys(part.robots.problems.values())
            gaps_ms |= {url: gap_ms for url in part.found.pages if (gap_ms := part.robots.gap_ms(url))}
    if not urls and problems:
        raise ConnectionError(f"no page was found: {'; '.join(list(problems)[:3])}")
    if not urls:
        where = ", ".join((*search.sitemaps, *search.crawl)) or "nowhere"
        raise InputError(f"no page was found at {where}: run 'sightline scan' on it to see why")
    return Found(tuple(urls), gaps_ms, tuple(problems))


def payloads_of(search: PageSearch, found: Found) -> Iterator[JsonObject]:
    """Yield the payload of each job: a page in each of its states."""
    for url in found.urls:
        gap: JsonObject = {"host_gap_ms": found.gaps_ms[url]} if url in found.gaps_ms else {}
        name = next((name for glob, name in search.groups if not glob or fits(url, glob)), "")
        group: JsonObject = {"group": name} if name else {}
        for form in search.forms:
            yield {"url": url, **form, **group, **gap}


def _job_id(batch: str, payload: JsonObject) -> str:
    asked = {name: value for name, value in payload.items() if name != "host_gap_ms"}
    return f"{batch}-{hashlib.sha256(encode_payload(asked).encode()).hexdigest()[:16]}"


def _downloads(address: str, *, trusted: ssl.SSLContext | None, guard: Guard, stopped: list[bool]) -> Downloads:
    of_site = guard.for_page(address)

    def refuse(host: str, port: int, found: str) -> str | None:
        if stopped:
            return "the search was ended"
        refused = of_site.refuse(host, port, found)
        return refused.describe() if refused else None

    return Downloads(trusted=trusted, refuse=refuse)


def _trusted(search: PageSearch) -> ssl.SSLContext | None:
    if search.insecure:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    return trusting(search.ca) if search.ca else None
