"""Selects component barriers, those to fix first at the top.

Sorted by impact, then number of pages, then number of elements; fixed ones by time, latest first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from worker.agent.conversation.tool_args import ListComponents
from worker.memory.history.barriers import BarrierFilter, BarrierRecord
from worker.memory.history.history import History

MAX_LOOKED_AT: Final = 1_000


@dataclass(frozen=True, slots=True)
class FoundComponents:
    """Component barriers; ``has_more`` if more than ``MAX_LOOKED_AT`` matched, so that these are only a part."""

    barriers: list[BarrierRecord]
    has_more: bool


async def find_components(
    history: History, args: ListComponents, host: str | None, *, since_ms: int | None = None
) -> FoundComponents:
    """Return the matching component barriers of a host, those to fix first at the top; fixed ones latest first."""
    wanted = BarrierFilter(
        host=host.removeprefix("www.") if host else None,  # a barrier's site has no www.
        rule=args.rule or None,
        impact=args.impact.value if args.impact else None,
        group=args.group or None,
        is_mended=args.mended,
        since_ms=None if args.mended else since_ms,
        mended_since_ms=since_ms if args.mended else None,
    )
    found = await history.barriers.find(wanted, limit=MAX_LOOKED_AT + 1, by="since_ms" if args.mended else "pages")
    words = args.words.casefold().split()
    fitting = [one for one in found[:MAX_LOOKED_AT] if all(word in _named(one) for word in words)]
    if args.mended:
        fitting.sort(key=lambda one: -one.mended_ms)
    else:
        fitting.sort(key=lambda one: (-(one.impact.rank if one.impact else -1), -one.pages, -one.elements, one.name))
    return FoundComponents(fitting, has_more=len(found) > MAX_LOOKED_AT)


def _named(one: BarrierRecord) -> str:
    return f"{one.name} {one.rule} {one.issue_id}".casefold()
