"""Findings and scan results for tests, and an engine that returns them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from redis.asyncio import Redis

from producer.contract import Counts, Finding, Impact, Node, ScanRequest, ScanResult, ScanStatus
from producer.keys import Keys
from worker.memory.history.scan_record import document, search_text
from worker.memory.vectors.embeddings import Embedded, Placed
from worker.memory.vectors.generations import Generation
from worker.models.builtin.models import DIMS, hash_text
from worker.models.protocols import Vector
from worker.scan.settings import Audit, BeforeLoad, Secrets, no_pause


def finding(
    rule: str = "image-alt",
    *nodes: str,
    impact: Impact | None = Impact.CRITICAL,
    count: int | None = None,
    criteria: tuple[str, ...] = ("1.1.1",),
    category: str = "text-alternatives",
) -> Finding:
    """Return a finding of ``rule`` with a node for each given fingerprint."""
    listed = tuple(
        Node(
            selector=(f"#{name}",),
            snippet=f"<img id={name}>",
            failure_summary="Fix: give it an alt",
            fingerprint=name,
        )
        for name in nodes
    )
    return Finding(
        rule=rule,
        impact=impact,
        criteria=criteria,
        tags=(f"cat.{category}", "wcag2a"),
        help=f"Help of {rule}",
        nodes=listed,
        node_count=len(nodes) if count is None else count,
        fingerprint=f"f-{rule}",
    )


def scan_result(
    *findings: Finding,
    url: str = "https://shop.example/home",
    title: str = "Home",
    status: ScanStatus = "scanned",
    group: str = "",
    scan_id: str = "",
) -> ScanResult:
    """Return a result with these findings and their totals."""
    rules = Counter(one.impact.value for one in findings if one.impact)
    nodes = Counter[str]()
    for one in findings:
        if one.impact:
            nodes[one.impact.value] += one.node_count
    return ScanResult(
        scan_id=scan_id,
        url=url,
        final_url=url,
        title=title,
        status=status,
        group=group,
        findings=findings,
        counts=Counts.model_validate(rules),
        barriers=Counts.model_validate(nodes),
    )


def passes(result: ScanResult) -> bool:
    """Return whether the page was scanned completely and violates no rule."""
    return result.status == "scanned" and not result.findings


GENERATION = Generation(1, "builtin", DIMS)


def placed(text: str) -> Placed:
    """Return the built-in model's vector of ``text``, for the first generation's index."""
    return Placed(hash_text(text), GENERATION)


def embedded(text: str) -> Embedded:
    """Return ``text`` with its built-in vector of the first generation."""
    return Embedded(text, {1: GENERATION.blob(hash_text(text))})


async def write_scan(
    redis: Redis,
    keys: Keys,
    result: ScanResult,
    *,
    page: str = "p1",
    terms: str = "",
    at_ms: int = 1,
    seen_ms: int = 0,
    text: Embedded | None = None,
) -> str:
    """Write a scan's document as finish.lua does; return its id."""
    text = text or embedded(search_text(result))
    fields = document(result, page=page, terms=terms, at_ms=at_ms, seen_ms=seen_ms or at_ms, embedded=text)
    await redis.execute_command("HSET", keys.scan(result.scan_id), *chain.from_iterable(fields.items()))
    return result.scan_id


def wrong_vector(length: int) -> Vector:
    """Return a unit vector of ``length`` numbers."""
    return np.eye(1, length, dtype=np.float32)[0]


@dataclass
class FixedEngine:
    """Returns the next of ``pages``, repeating the last; raises those that are exceptions. Counts calls."""

    pages: Sequence[ScanResult | Exception]
    shots: dict[str, bytes] = field(default_factory=dict[str, bytes])
    calls: int = 0
    secrets: list[Secrets | None] = field(default_factory=list[Secrets | None])

    async def audit(
        self,
        request: ScanRequest,
        *,
        secrets: Secrets | None = None,
        on_progress: Callable[[str], None] | None = None,
        before_load: BeforeLoad | None = None,
    ) -> Audit:
        if on_progress is not None:
            on_progress("loading")
        (before_load or no_pause)()
        page = self.pages[min(self.calls, len(self.pages) - 1)]
        self.calls += 1
        self.secrets.append(secrets)
        if isinstance(page, Exception):
            raise page
        result = page if request.url is None else page.model_copy(update={"url": request.url, "final_url": request.url})
        return Audit(result.model_copy(update={"group": request.group}), self.shots if request.screenshot else {})
