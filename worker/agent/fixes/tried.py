"""Results of changes tried before: one try serves all pages with the same component and markup.

A result is kept for a week under the component barrier, the element's markup, the settings of the scan and the
proposer. The absence of a proposal for a component is kept without the markup, so that no page is loaded again to find
that out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, cast

from pydantic import ValidationError
from redis.asyncio import Redis

from producer.contract import Finding, Node, ScanRequest
from producer.contract.fixes import TriedFix
from producer.contract.scan_terms import terms_of
from producer.keys import Keys
from worker.scan.fixes.rules import MECHANICAL
from worker.scan.fixes.wanted import NOTHING

TTL_S: Final = 7 * 86_400
VERSION: Final = "1"
"""Version of the rules and of the judgement; a new version repeats all tries."""

Element = tuple[Finding, Node]
Name = tuple[str, str]
"""Rule and ``issue_id``."""


@dataclass(frozen=True, slots=True)
class Tried:
    """The results for pages scanned with the settings of ``request``; ``by`` is the proposing model, '' for none."""

    redis: Redis
    keys: Keys
    request: ScanRequest
    by: str

    async def known(self, elements: Sequence[Element]) -> dict[Name, TriedFix]:
        """Return the known results for the elements, or for components without a proposal."""
        if not elements:
            return {}
        keys = [self._key(one, snippet) for one in elements for snippet in (one[1].snippet, "")]
        texts = await cast("Awaitable[list[bytes | None]]", self.redis.mget(keys))
        found: dict[Name, TriedFix] = {}
        for number, one in enumerate(elements):
            if (fix := _read(texts[2 * number]) or _read(texts[2 * number + 1])) is not None:
                found[name_of(one)] = fix
        return found

    async def keep(self, elements: Sequence[Element], fixes: Mapping[Name, TriedFix]) -> None:
        """Store the results for ``elements``; those that could not be tried are tried on the next page."""
        async with self.redis.pipeline(transaction=False) as pipe:
            for one in elements:
                fix = fixes.get(name_of(one))
                if fix is None or (fix.verdict == "not_tried" and fix.why != NOTHING):
                    continue
                snippet = "" if fix.why == NOTHING else one[1].snippet
                pipe.set(self._key(one, snippet), fix.model_dump_json(), ex=TTL_S)
            await pipe.execute()

    def _key(self, element: Element, snippet: str) -> str:
        finding, node = element
        by = "" if finding.rule in MECHANICAL else self.by
        about = (VERSION, node.issue_id, finding.rule, snippet, terms_of(self.request), by)
        return self.keys.tried_fix(sha256("\x1f".join(about).encode("utf-8", "surrogatepass")).hexdigest()[:32])


def name_of(element: Element) -> Name:
    """Return the identity of a component barrier."""
    finding, node = element
    return finding.rule, node.issue_id


def _read(text: bytes | None) -> TriedFix | None:
    """Return a stored result, or None for one of another release or program, which is tried again and overwritten."""
    try:
        return TriedFix.model_validate_json(text) if text else None
    except ValidationError:
        return None
