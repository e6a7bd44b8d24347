"""Decides about held requests: add headers, or fail the request. Pure.

``page.py`` holds them (``Fetch.enable``) and sends the answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from producer.contract.addresses import host_of
from producer.contract.hosts import fits_host
from worker.scan.journey.fence import Fence

JsonObject = dict[str, Any]
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(slots=True)
class Held:
    """The reasons to hold requests of one page."""

    headers: Callable[[JsonObject], list[JsonObject]] | None = None
    blocked_hosts: tuple[str, ...] = ()
    only_reads: bool = False
    fence: Fence | None = None

    @property
    def patterns(self) -> list[JsonObject] | None:
        """The patterns of requests to hold; None for all."""
        if self.only_reads or self.headers is not None:
            return None
        # Chromium's patterns match parts of addresses: they choose which are held, then the host decides.
        hosts = [{"urlPattern": f"*{pattern.removeprefix('*.')}*"} for pattern in self.blocked_hosts]
        return [*([{"resourceType": "Document"}] if self.fence else []), *hosts]

    def answer(self, paused: JsonObject, *, frame_id: str) -> tuple[str, JsonObject]:
        """Return the call that continues a held request, or fails it."""
        answer: JsonObject = {"requestId": paused["requestId"]}
        if self.fence is not None and self.fence.refuses(paused, frame_id=frame_id):
            return "Fetch.failRequest", {**answer, "errorReason": "Aborted"}  # the page stays where it is
        is_write = self.only_reads and paused["request"]["method"] not in _READS
        if is_write or fits_host(host_of(paused["request"]["url"]), self.blocked_hosts):
            return "Fetch.failRequest", {**answer, "errorReason": "BlockedByClient"}
        if self.headers is not None:
            answer["headers"] = self.headers(paused["request"])
        return "Fetch.continueRequest", answer
