"""The data for ``web_rows.py``: 100,000 recorded scans of 80,000 pages, as after a year of nightly scans.

Fifty sites of 1,600 pages: one component barrier on all pages of a site, 99 on 16 pages each. A fourth of the pages
changed 20 days ago and has two records. One in twenty has a vector. In addition: a year of daily sums, 200 waivers, 500
dead letters, a page of 5,000 findings with its result, and an ended batch of 10,000.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import chain
from typing import Any, Final

from redis.asyncio import Redis

from producer.contract import Counts, Finding, Impact, Node, ScanResult, page_id
from producer.keys import Keys
from worker.memory.history.history import History
from worker.memory.history.scan_record import document, search_text
from worker.memory.vectors.embeddings import Embedded, Embeddings
from worker.memory.vectors.indexes import exact_tag
from worker.models.builtin.models import BuiltinEmbedder

KEYS: Final = Keys("bench")
SITES: Final = 50
PAGES: Final = 1_600
CHANGED: Final = 4
SCANS: Final = SITES * PAGES * (CHANGED + 1) // CHANGED
CARDS: Final = 99
WAIVED: Final = (13, 38, 63, 88)
NOW_MS: Final = int(time.time() * 1000)
DAY_MS: Final = 86_400_000
KEPT: Final = 4
"""Number of a site's most recently seen pages whose results are kept."""
LIVE, LARGE = "live", "large"
_TOGETHER: Final = 500


def host(site: int) -> str:
    """Return a site's name."""
    return f"site{site}.example"


def url(site: int, page: int) -> str:
    """Return the address of one of its pages."""
    return f"https://{host(site)}/{page}"


def issue(site: int, component: int) -> str:
    """Return the id of one of its component barriers; 0 is on all pages."""
    return f"{component + 1:016x}-{site + 1:08x}"


async def seed(redis_url: str) -> None:
    """Write all of it."""
    async with Redis.from_url(redis_url, protocol=2) as redis:
        embedder = BuiltinEmbedder()
        history = History(Embeddings(redis, KEYS, embedder))
        await history.ensure_index()
        generation = (await history.vectors.record()).active
        reply = await embedder.embed_documents([search_text(_scan(0, page, 0)) for page in range(64)])
        blobs = [generation.blob(vector) for vector in reply.vectors]
        commands = chain(_records(generation.number, blobs), _barriers(), _results(), _queue(), _days())
        while some := [command for _, command in zip(range(_TOGETHER), commands, strict=False)]:
            async with redis.pipeline(transaction=False) as pipe:
                for command in some:
                    pipe.execute_command(*command)
                await pipe.execute()


Command = tuple[Any, ...]


def _hset(name: str, fields: dict[str, Any]) -> Command:
    return ("HSET", name, *chain.from_iterable(fields.items()))


def _records(generation: int, blobs: list[bytes]) -> Iterator[Command]:
    for page in range(PAGES):
        is_changed = page % CHANGED == 0
        for site in range(SITES):
            number = page * SITES + site
            vectors = {generation: blobs[number // 20 % len(blobs)]} if number % 20 == 0 else {}
            for is_second in (False, True)[: 1 + is_changed]:
                result = _scan(site, page, int(is_second))
                began_ms = NOW_MS - (20 if is_second else 90) * DAY_MS + number
                seen_ms = NOW_MS - (21 if is_changed and not is_second else 1) * DAY_MS + number
                text = Embedded(search_text(result) if vectors else "", vectors)
                fields = document(result, page=page_id(result.url), at_ms=began_ms, seen_ms=seen_ms, embedded=text)
                yield _hset(KEYS.scan(result.scan_id), fields)


def _barriers() -> Iterator[Command]:
    for site in range(SITES):
        for component in range(CARDS + 1):
            pages = PAGES if component == 0 else PAGES // CARDS
            since_ms = NOW_MS - (3 if component % 7 == 0 else 60) * DAY_MS + component
            yield _hset(
                KEYS.barrier(issue(site, component)),
                {
                    "name": "Header › Menu opens without a name" if component == 0 else f"Main › card {component}",
                    "rule": "button-name" if component == 0 else "image-alt",
                    "kind": f"{component + 1:016x}",
                    "site": f"{site + 1:08x}",
                    "host": exact_tag(host(site)),
                    "host_name": host(site),
                    "impact": ("critical", "serious", "moderate", "minor")[component % 4],
                    "first_ms": since_ms,
                    "since_ms": since_ms,
                    "last_ms": NOW_MS - DAY_MS,
                    "mended_ms": 0,
                    "pages": pages,
                    "elements": 2 * pages,
                    "groups": f'{{"shop":{pages}}}',
                    "group_tags": "shop",
                },
            )
            if component in WAIVED:
                waiver = {"v": 1, "fingerprint": issue(site, component), "reason": "a new shop in March"}
                yield ("HSET", KEYS.waivers, waiver["fingerprint"], json.dumps(waiver))


def _results() -> Iterator[Command]:
    for site in range(SITES):
        for page in range(PAGES - KEPT, PAGES):
            result = _scan(site, page, int(page % CHANGED == 0), elements=30)
            yield ("SET", KEYS.result(result.scan_id), result.model_dump_json())
    large = large_scan()
    fields = document(large, page=page_id(large.url), at_ms=NOW_MS, seen_ms=NOW_MS, embedded=Embedded("", {}))
    yield _hset(KEYS.scan(LARGE), fields)
    yield ("SET", KEYS.result(LARGE), large.model_dump_json())


def _queue() -> Iterator[Command]:
    counters = {"total": 300, "done": 10, "succeeded": 10, "sealed": 1, "created_ms": NOW_MS}
    yield _hset(KEYS.batch(LIVE), counters)
    ended = {"total": 10_000, "done": 10_000, "succeeded": 10_000, "sealed": 1, "finished_ms": NOW_MS}
    yield _hset(KEYS.batch("nightly"), ended)
    for name in (LIVE, "nightly"):
        yield ("ZADD", KEYS.batches, NOW_MS, name)
    for number in range(10_000):
        about = {"event": "job.succeeded", "at_ms": NOW_MS, "job_id": f"n{number}", "kind": "scan", "batch": "nightly"}
        line = {**about, "url": url(7, number % PAGES), "status": "scanned", "barriers": 3}
        yield ("XADD", KEYS.events, "*", "event", json.dumps(line))
    for number in range(500):
        letter = {"id": f"d{number}", "kind": "scan", "attempts": "5", "error": "NavigationFailed", "reason": "reset"}
        yield ("XADD", KEYS.dead, "*", *chain.from_iterable(letter.items()))


def _days() -> Iterator[Command]:
    for name in ("", *map(host, range(SITES))):
        sums: dict[str, int] = {}
        for day in range(365):
            date = time.strftime("%Y-%m-%d", time.gmtime((NOW_MS - day * DAY_MS) / 1000))
            counts = {"scans": 1_600, "critical": 3_000, "serious": 900, "new": 5, "barriers_new": 1}
            sums |= {f"{date}:{what}": count for what, count in counts.items()}
        yield _hset(KEYS.site(name), sums)


def _scan(site: int, page: int, record: int, *, elements: int = 2) -> ScanResult:
    """Return one record of a page: its second one has another card."""
    card = 1 + (page + 7 * record) % CARDS
    return ScanResult(
        job_id=f"s{site}-{page}-{record}",
        scan_id=f"s{site}-{page}-{record}",
        url=url(site, page),
        title=f"Page {page} of the shop",
        group="shop",
        status="scanned",
        findings=(
            _finding("button-name", site, 0, "Header › Menu", 1),
            _finding("image-alt", site, card, f"Main › card {card}", elements),
        ),
        counts=Counts(critical=1, serious=1),
        barriers=Counts(critical=1, serious=elements),
    )


def _finding(rule: str, site: int, component: int, name: str, elements: int) -> Finding:
    nodes = tuple(
        Node(
            selector=(f"#n{component}-{place}",),
            snippet=f'<img class="card" src="/pictures/{place}.jpg">',
            failure_summary="Fix any of the following:\n  Element does not have an alt attribute",
            fingerprint=f"{component:012x}{place:012x}",
            issue_id=issue(site, component),
            component=name,
        )
        for place in range(elements)
    )
    return Finding(
        rule=rule,
        impact=Impact.CRITICAL,
        criteria=("1.1.1",),
        help="Images must have alternative text",
        nodes=nodes,
        node_count=elements,
        fingerprint=f"{component:024x}",
    )


def large_scan() -> ScanResult:
    """Return a page of 5,000 findings, as a hostile page may have them."""
    findings = tuple(
        _finding(f"rule-{number}", 7, 1 + number % CARDS, f"Main › card {number % CARDS}", 2) for number in range(5_000)
    )
    return ScanResult(
        job_id=LARGE,
        scan_id=LARGE,
        url=f"https://{host(7)}/large",
        title="Large " * 50,
        group="shop",
        status="scanned",
        findings=findings,
        counts=Counts(critical=5_000),
        barriers=Counts(critical=10_000),
    )
