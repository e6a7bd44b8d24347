"""Reads results that are still kept, limited to what pages show: of 5,000 findings the worst 60."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest
from typing import Any, Final, cast

from producer import contract
from producer.contract import Impact, JsonObject
from producer.contract.results import decode_result
from producer.reports.page import Page, page_of
from producer.web.desk import Desk

FINDINGS: Final = 60
REVIEWS: Final = 40
NODES: Final = 50
"""Elements of a finding, or of a component barrier on one page."""
_RANKS: Final[dict[Any, int]] = {one.value: one.rank for one in Impact}


@dataclass(slots=True)
class Kept:
    """A page as its last scan saw it; ``findings`` and ``reviews`` count all, ``page`` has the worst of them."""

    page: Page
    findings: int
    reviews: int


async def kept_page(desk: Desk, job_id: str) -> Kept | None:
    """Return the page of a scan with its worst findings; None if its result is no longer kept."""
    counts: list[int] = []

    def narrow(fields: JsonObject) -> None:
        for name, most in (("findings", FINDINGS), ("incomplete", REVIEWS)):
            found = _dicts(fields.get(name))
            counts.append(len(found))
            worst = nsmallest(most, found, key=_by_impact)
            fields[name] = [
                {**one, "nodes": one.get("nodes", [])[:NODES], "node_count": _elements(one)} for one in worst
            ]

    page = await _page(desk, job_id, narrow)
    return Kept(page, *counts) if page else None


async def page_of_component(desk: Desk, job_id: str, issue_id: str) -> Page | None:
    """Return the page of a scan with its elements of one component barrier."""

    def narrow(fields: JsonObject) -> None:
        kept: list[JsonObject] = []
        for one in _dicts(fields.get("findings")):
            nodes = [node for node in _dicts(one.get("nodes")) if node.get("issue_id") == issue_id]
            if nodes:
                kept.append({**one, "nodes": nodes[:NODES], "node_count": len(nodes)})
        fields |= {"findings": kept, "incomplete": []}

    return await _page(desk, job_id, narrow)


async def _page(desk: Desk, job_id: str, narrow: Callable[[JsonObject], None]) -> Page | None:
    client = desk.client
    redis = cast("Any", client.redis)
    text = await redis.get(client.keys.result(job_id)) if job_id else None
    result = decode_result(text, narrow=narrow) if text is not None else None
    if not isinstance(result, contract.ScanResult) or result.error is not None:
        return None
    page = page_of(result)
    if result.screenshot is None:
        return page
    names = await redis.hkeys(client.keys.shot(job_id))  # each is sent when a browser asks for it
    return replace(page, pictures={name.decode("utf-8", "replace"): b"" for name in names})


def _dicts(value: Any) -> list[JsonObject]:
    """Return the objects in a list, without other values."""
    some: Sequence[Any] = cast("Sequence[Any]", value) if isinstance(value, list) else ()
    return [cast("JsonObject", one) for one in some if isinstance(one, dict)]


def _elements(finding: JsonObject) -> int:
    return max(int(finding.get("node_count") or 0), len(finding.get("nodes") or ()))


def _by_impact(finding: JsonObject) -> tuple[int, int, str]:
    """Sort as ``Page.findings`` does."""
    rank = _RANKS.get(finding.get("impact"), Impact.SERIOUS.rank)
    return (-rank, -_elements(finding), str(finding.get("rule")))
