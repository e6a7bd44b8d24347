"""Records pages of a shop with component barriers in the history, at planted times, as finish.lua does."""

from __future__ import annotations

from typing import Any, cast

from redis.asyncio import Redis

from producer.contract import Finding, ScanStatus, page_id
from producer.keys import Keys
from producer.reports.comparison import Comparison
from tests.support.scans import finding, scan_result, write_scan
from worker.memory.history.comparison import compare_moments
from worker.memory.history.history import EVERYTHING, History, ScanFilter
from worker.memory.history.periods import moment_of
from worker.memory.history.scan_record import site_tags

SITE, SHOP = "00c0ffee", "https://shop.example"
T1, T2, NOW = 1_000, 2_000, 3_000


def issue(name: str) -> str:
    return f"{name:0>16}-{SITE}"


def component(name: str, *, rule: str = "image-alt", nodes: int = 1, count: int | None = None) -> Finding:
    made = finding(rule, *(f"{name}-{number}" for number in range(nodes)), count=count)
    return made.revised(nodes=tuple(node.model_copy(update={"issue_id": issue(name)}) for node in made.nodes))


class Shop:
    """Records pages of a shop; each state has a time of its beginning and one of its last sighting."""

    def __init__(self, redis: Redis, keys: Keys, history: History) -> None:
        self.redis = redis
        self.keys = keys
        self.history = history

    async def scan(
        self,
        path: str,
        *findings: Finding,
        at: int,
        seen: int = 0,
        status: ScanStatus = "scanned",
        group: str = "",
        site: str = SHOP,
    ) -> None:
        url = f"{site}{path}"
        name = f"{path.strip('/')}-{at}"
        result = scan_result(*findings, url=url, status=status, group=group, scan_id=name)
        await write_scan(self.redis, self.keys, result, page=page_id(url), at_ms=at, seen_ms=seen)

    async def named(self, name: str, text: str, **fields: str | int) -> None:
        """Record a component barrier."""
        about = {"name": text, "rule": "image-alt", "impact": "critical", "kind": f"{name:0>16}", "site": SITE}
        counts = {"first_ms": 1, "since_ms": 1, "pages": 1, "elements": 1, "host": site_tags("shop.example")}
        fields = {**about, **counts, "host_name": "shop.example", **fields}
        await cast("Any", self.redis).hset(self.keys.barrier(issue(name)), mapping=fields)

    async def period(
        self, name: str, began: int, ended: int, *, kind: str = "batch", host: str = "shop.example"
    ) -> None:
        await cast("Any", self.redis).hset(self.keys.period(kind, name), host, f"{began} {ended}")

    async def compare(self, before: str, after: str, wanted: ScanFilter = EVERYTHING) -> Comparison:
        sides = [await moment_of(self.redis, self.keys, name, now_ms=NOW) for name in (before, after)]
        return await compare_moments(self.history, sides[0], sides[1], wanted)
