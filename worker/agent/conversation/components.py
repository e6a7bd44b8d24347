"""Selects component barriers, those to fix first at the top.

Sorted by impact, then number of pages (of the requested group), then number of elements; fixed ones by time, latest
first.
"""

from __future__ import annotations

from dataclasses import dataclass

from worker.agent.conversation.tool_args import ListComponents
from worker.memory.history.barriers import MAX_BARRIERS, BarrierFilter, BarrierRecord
from worker.memory.history.history import History


@dataclass(frozen=True, slots=True)
class Found:
    """Matching component barriers; ``is_part``: more were recorded than can be looked at, so some may be missing."""

    barriers: list[BarrierRecord]
    is_part: bool


async def find_components(
    history: History, args: ListComponents, host: str | None, *, since_ms: int | None = None
) -> Found:
    """Return the matching component barriers of a host, those to fix first at the top; fixed ones latest first."""
    wanted = BarrierFilter(
        host=_of_barriers(host),
        rule=args.rule or None,
        impact=args.impact.value if args.impact else None,
        group=args.group or None,
        is_mended=args.mended,
        since_ms=None if args.mended else since_ms,
        mended_since_ms=since_ms if args.mended else None,
    )
    found = await history.barriers.find(wanted, limit=MAX_BARRIERS, by="since_ms" if args.mended else "pages")
    words = args.words.casefold().split()
    fitting = [one for one in found if all(word in _named(one) for word in words)]
    if args.mended:
        fitting.sort(key=lambda one: -one.mended_ms)
    else:
        fitting.sort(key=lambda one: (*_urgency(one, args.group), one.name))
    return Found(fitting, is_part=len(found) >= MAX_BARRIERS)


def _urgency(one: BarrierRecord, group: str) -> tuple[int, ...]:
    """Return a sort key by impact, then pages, of the group that is asked about, then elements."""
    pages = one.groups.get(group, 0) if group else one.pages
    return (-(one.impact.rank if one.impact else -1), -pages, -one.elements)


def _of_barriers(host: str | None) -> str | None:
    """Return the site as barriers have it, without ``www.``; None for all."""
    return host.removeprefix("www.") if host else None


def _named(one: BarrierRecord) -> str:
    return f"{one.name} {one.rule} {one.issue_id}".casefold()
