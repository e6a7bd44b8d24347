"""Keeps a journey on its site: a document of another origin is refused before it is requested. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from producer.contract.addresses import origin_of


@dataclass(slots=True)
class Fence:
    """The origins that the page may show; ``left_for`` is the last other origin that a step navigated to."""

    origins: frozenset[str]
    left_for: str = ""

    def refuses(self, paused: dict[str, Any], *, frame_id: str) -> bool:
        """Record and refuse a held request for the page's own document if it has another origin."""
        if paused.get("resourceType") != "Document" or paused.get("frameId") != frame_id:
            return False
        origin = origin_of(paused["request"]["url"])
        if origin in self.origins:
            return False
        self.left_for = origin or "no page"
        return True
