"""The part of the scan history that the pages need; workers keep and index it. Values and a protocol; no I/O.

``worker/cli/web_past.py`` reads it: this package imports nothing of the worker.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from producer.contract import Counts, Impact
from producer.contract.findings import Changes
from producer.reports.comparison import Comparison


def harm_of(counts: Counts) -> tuple[int, int, int, int]:
    """Return a sort key: critical barriers first."""
    return (counts.critical, counts.serious, counts.moderate, counts.minor)


@dataclass(frozen=True, slots=True)
class Barrier:
    """A component barrier of a site, from the index; times are Redis ms, 0 for never."""

    issue_id: str
    name: str
    rule: str
    impact: Impact
    site: str
    pages: int
    elements: int
    groups: Mapping[str, int]
    first_ms: int
    since_ms: int
    mended_ms: int = 0

    @property
    def is_back(self) -> bool:
        """Whether it was fixed before."""
        return self.since_ms > self.first_ms


@dataclass(frozen=True, slots=True)
class Wanted:
    """A filter for component barriers: all given fields must match."""

    site: str | None = None
    group: str | None = None
    rule: str | None = None
    impact: str | None = None
    is_mended: bool | None = False
    since_ms: int | None = None
    mended_since_ms: int | None = None
    kind: str | None = None
    """First half of component barriers' ids, which the same component has on every site."""


@dataclass(frozen=True, slots=True)
class PageRow:
    """The newest recorded state of a page. ``scan_id`` is the job that recorded it, ``job_id`` that saw it last."""

    url: str
    state: str
    title: str
    group: str
    status: str
    scan_id: str
    barriers: Counts
    at_ms: int
    last_seen_ms: int
    job_id: str
    distance: float | None = None
    """Cosine distance from a query by meaning: 0 is the same, 2 the opposite."""

    @property
    def harm(self) -> tuple[int, int, int, int]:
        """Its ``harm_of``."""
        return harm_of(self.barriers)


@dataclass(frozen=True, slots=True)
class RecordedRule:
    """A rule that a page failed, from its record; shown once the result is gone."""

    rule: str
    impact: Impact
    elements: int


@dataclass(frozen=True, slots=True)
class Past:
    """A record of a page's history, and its changes; ``components`` are ids of component barriers.

    ``rules`` and ``changes`` are left out of records that are too large to be read for a page.
    """

    row: PageRow
    summary: str
    times_seen: int
    components: tuple[str, ...]
    rules: tuple[RecordedRule, ...] = ()
    changes: Changes | None = None


@dataclass(frozen=True, slots=True)
class SiteRow:
    """A site with its open component barriers by impact, scans of the last 30 days, and the last day with one.

    ``unread`` of the scans could not load their page.
    """

    site: str
    open: Counts = field(default_factory=Counts)
    scans: int = 0
    unread: int = 0
    last_day: str = ""


class History(Protocol):
    """Reads the history. Every call may raise ``ServiceError``."""

    async def sites(self) -> Sequence[SiteRow]:
        """Return all sites with their open barriers, the worst first; their scans are not counted."""
        ...

    async def site_names(self) -> Sequence[str]:
        """Return the names of all sites, in any order."""
        ...

    async def barriers(
        self, wanted: Wanted, *, limit: int, by: str = "pages", without: Collection[str] = ()
    ) -> Sequence[Barrier]:
        """Return barriers except those in ``without``, by ``pages``, ``since_ms`` or ``mended_ms``, descending."""
        ...

    async def barriers_of(self, issue_ids: Sequence[str]) -> Mapping[str, Barrier]:
        """Return the known component barriers among these ids."""
        ...

    async def named(self, words: str, *, limit: int) -> Sequence[Barrier]:
        """Return open component barriers whose name has all the words, those on most pages first."""
        ...

    async def worst_pages(self, site: str, *, group: str | None = None, limit: int) -> Sequence[PageRow]:
        """Return pages of a site by their newest scans, worst barriers first."""
        ...

    async def pages_with(self, issue_id: str, *, limit: int) -> Sequence[PageRow]:
        """Return pages whose newest state has the component barrier, most recently seen first."""
        ...

    async def page(self, url: str, *, limit: int) -> Sequence[Past]:
        """Return the records of a page, newest first, each with its changes."""
        ...

    async def search(self, text: str, *, limit: int) -> Sequence[PageRow]:
        """Return the pages nearest in meaning."""
        ...

    async def compare(self, before: str, after: str, *, site: str | None) -> Comparison:
        """Compare two batches, pipeline runs or times; raises ``InputError``."""
        ...
