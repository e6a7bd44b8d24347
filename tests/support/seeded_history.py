"""Writes past scans as workers do: documents that grow with changes, and a site's daily counts."""

from __future__ import annotations

from itertools import chain

from redis.asyncio import Redis

from producer.contract import Impact, ScanResult, page_id
from producer.keys import Keys
from tests.support.scans import embedded, finding, scan_result
from worker.agent.handlers import site_counters
from worker.memory.history.scan_record import document, search_text, signature
from worker.queue.outcome import CounterWrite

DAY_MS = 86_400_000


class Nights:
    """Nightly scans of one environment, each named after its page's path and its night. ``commit`` writes them."""

    def __init__(self, redis: Redis, keys: Keys, *, first_ms: int) -> None:
        self._pipe = redis.pipeline(transaction=False)
        self._keys = keys
        self._first_ms = first_ms
        self._last: dict[str, tuple[str, str, int]] = {}

    def at(self, night: int) -> int:
        """Return the Redis time of a night, ms."""
        return self._first_ms + night * DAY_MS

    async def commit(self) -> None:
        """Write the scans so far."""
        await self._pipe.execute()

    def scan(self, night: int, result: ScanResult) -> str:
        """Scan a page; return the id of its record."""
        page, seen_ms, state = page_id(result.url), self.at(night), signature(result)
        last_id, last_state, at_ms = self._last.get(page, ("", "", 0))
        if last_state != state:
            last_id, at_ms = f"{result.url.rpartition('/')[2]}-{night}", seen_ms
        self._last[page] = (last_id, state, at_ms)
        result = result.model_copy(update={"scan_id": last_id})
        text = embedded(search_text(result))
        fields = document(result, page=page, at_ms=at_ms, seen_ms=seen_ms, embedded=text)
        self._pipe.execute_command("HSET", self._keys.scan(last_id), *chain.from_iterable(fields.items()))
        self._pipe.hincrby(self._keys.scan(last_id), "times_seen", 1)
        for write in site_counters(result, self._keys, seen_ms):
            assert isinstance(write, CounterWrite)
            for field, by in write.sums.items():
                self._pipe.hincrby(write.key, field, by)
        return last_id


def page(
    url: str, group: str, *, critical: int = 0, minor: int = 0, status: str = "scanned", title: str = "Page"
) -> ScanResult:
    """Return a page with this number of barriers, or with none if it was not scanned."""
    if status != "scanned":
        critical = minor = 0
    found = [finding("image-alt", *(f"c{number}" for number in range(critical)))] if critical else []
    if minor:
        found.append(finding("region", *(f"m{number}" for number in range(minor)), impact=Impact.MINOR))
    result = scan_result(*found, url=url, group=group, title=title)
    return ScanResult.model_validate({**result.model_dump(), "status": status})
