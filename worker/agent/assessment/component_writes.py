"""The write of a page's component barriers in the commit of its scan. Pure.

finish.lua applies them and compares the page's present and previous barriers: ``worker/queue/lua/_barriers.lua``.
"""

from __future__ import annotations

from collections.abc import Iterable

from producer.contract import ScanResult
from producer.contract.addresses import site_name
from producer.keys import Keys
from worker.agent.assessment.regression import FROM
from worker.agent.state import RecalledComponents
from worker.memory.history.barriers import state_of
from worker.memory.history.components import OnPage, components_of
from worker.memory.vectors.indexes import exact_tag
from worker.queue.barrier_writes import BarrierOnPage, PageWrite
from worker.queue.outcome import Write


def component_writes(
    result: ScanResult, keys: Keys, *, page: str, terms: str, run: str, seen_ms: int, recalled: RecalledComponents
) -> list[Write]:
    """Return the writes of a page that was scanned at least in part; none for other pages.

    A missing component counts as fixed only if the page was scanned completely and all elements of the rule are listed.
    """
    if result.status not in {"scanned", "partial"}:
        return []
    here = components_of(result)
    is_partial = result.status != "scanned"
    trimmed = {finding.rule for finding in result.findings if finding.is_trimmed}
    barriers = [_on_page(one, keys, recalled.known_ms.get(issue_id, 0)) for issue_id, one in here.items()]
    barriers += [
        BarrierOnPage(keys.barrier(issue_id), issue_id, 0, never_less=_is_unsure(rule, is_partial, trimmed))
        for issue_id, rule in recalled.held.items()
        if issue_id not in here
    ]
    host = site_name(result.url)
    return [
        PageWrite(
            keys.components(page),
            terms=terms,
            seen_ms=seen_ms,
            began_ms=recalled.began_ms,
            group=result.group,
            group_tag=exact_tag(result.group) if result.group else "",
            run=run,
            is_first=recalled.is_first,
            host=host,
            host_tag=exact_tag(host) if host else "",
            unchanged=recalled.state if _is_unchanged(barriers, result.group, recalled) else "",
            barriers=tuple(barriers),
        )
    ]


def _on_page(one: OnPage, keys: Keys, known_ms: int) -> BarrierOnPage:
    return BarrierOnPage(
        keys.barrier(one.issue_id),
        one.issue_id,
        len(one.fingerprints),
        never_less=not one.is_whole,
        known_ms=known_ms,
        is_grave=(one.impact or FROM).rank >= FROM.rank,
        rule=one.rule,
        rule_tag=exact_tag(one.rule),
        impact=one.impact.value if one.impact else "",
        name=one.name,
    )


def _is_unchanged(barriers: Iterable[BarrierOnPage], group: str, recalled: RecalledComponents) -> bool:
    """Return whether the page's stored state has these barriers and this group, and each of them has a record."""
    held, held_group = state_of(recalled.state)
    is_counted = all(
        recalled.held.get(one.issue_id)
        and (one.elements <= held[one.issue_id] if one.never_less else one.elements == held[one.issue_id])
        for one in barriers
    )
    return is_counted and bool(held) and held_group == group


def _is_unsure(rule: str, is_partial: bool, trimmed: set[str]) -> bool:
    """Return whether a component of ``rule`` ('' if unknown) may be on the page although it is not listed."""
    return is_partial or rule in trimmed or (not rule and bool(trimmed))
