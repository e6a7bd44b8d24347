"""Selects component barriers, those to fix first at the top.

Sorted by impact, then number of pages, then number of elements; fixed ones by time, latest first.
"""

from __future__ import annotations

from typing import Final

from worker.agent.conversation.tool_args import ListComponents
from worker.memory.history.barriers import BarrierFilter, BarrierRecord
from worker.memory.history.history import History

MAX_LOOKED_AT: Final = 1_000


async def find_components(
    history: History, args: ListComponents, host: str | None, *, since_ms: int | None = None
) -> list[BarrierRecord]:
    """Return the matching component barriers of a host, those to fix first at the top; fixed ones latest first."""
    wanted = BarrierFilter(
        rule=args.rule or None,
        impact=args.impact.value if args.impact else None,
        group=args.group or None,
        is_mended=args.mended,
        since_ms=None if args.mended else since_ms,
        mended_since_ms=since_ms if args.mended else None,
    )
    found = await history.barriers.find(wanted, limit=MAX_LOOKED_AT, by="since_ms" if args.mended else "pages")
    words = args.words.casefold().split()
    fitting = [one for one in found if _is_of(one, host) and all(word in _named(one) for word in words)]
    if args.mended:
        return sorted(fitting, key=lambda one: -one.mended_ms)
    return sorted(
        fitting, key=lambda one: (-(one.impact.rank if one.impact else -1), -one.pages, -one.elements, one.name)
    )


def _is_of(one: BarrierRecord, host: str | None) -> bool:
    """Return whether the barrier belongs to the site; a barrier's site has no ``www.``."""
    return not host or one.host == host.removeprefix("www.")


def _named(one: BarrierRecord) -> str:
    return f"{one.name} {one.rule} {one.issue_id}".casefold()
