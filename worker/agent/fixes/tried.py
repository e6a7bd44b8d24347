"""What came of changes that were tried on a component before: one try serves all pages that have the same markup.

A verdict is kept for a week under the component barrier, the element's markup, how the page was looked at and who
proposes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, cast

from pydantic import ValidationError
from redis.asyncio import Redis

from producer.contract import Finding, Node, ScanRequest
from producer.contract.fixes import TriedFix
from producer.keys import Keys
from worker.scan.fixes.rules import MECHANICAL

TTL_S: Final = 7 * 86_400
VERSION: Final = "1"
"""Of our rules and of how a change is judged: another one tries all again."""

Element = tuple[Finding, Node]


@dataclass(frozen=True, slots=True)
class Tried:
    """The verdicts about pages looked at as ``request`` says; ``by`` is the model that proposes, '' for none."""

    redis: Redis
    keys: Keys
    request: ScanRequest
    by: str

    async def known(self, elements: Sequence[Element]) -> dict[tuple[str, str], TriedFix]:
        """Return what is known, by rule and ``issue_id``."""
        if not elements:
            return {}
        texts = await cast("Awaitable[list[bytes | None]]", self.redis.mget([self._key(one) for one in elements]))
        found: dict[tuple[str, str], TriedFix] = {}
        for (finding, node), text in zip(elements, texts, strict=True):
            try:
                if text:
                    found[finding.rule, node.issue_id] = TriedFix.model_validate_json(text)
            except ValidationError:
                continue  # of another release, or another program's: tried again, and written over
        return found

    async def keep(self, elements: Sequence[Element], fixes: Sequence[TriedFix]) -> None:
        """Keep the verdicts on ``elements``; what could not be tried is tried on the next page that has it."""
        by_name = {(fix.rule, fix.issue_id): fix for fix in fixes if fix.verdict != "not_tried"}
        async with self.redis.pipeline(transaction=False) as pipe:
            for finding, node in elements:
                if fix := by_name.get((finding.rule, node.issue_id)):
                    pipe.set(self._key((finding, node)), fix.model_dump_json(), ex=TTL_S)
            await pipe.execute()

    def _key(self, element: Element) -> str:
        finding, node = element
        view = f"{self.request.viewport.width}x{self.request.viewport.height}"
        by = "" if finding.rule in MECHANICAL else self.by
        about = (VERSION, node.issue_id, finding.rule, node.snippet, self.request.standard, view, by)
        return self.keys.tried_fix(sha256("\x1f".join(about).encode("utf-8", "surrogatepass")).hexdigest()[:32])
