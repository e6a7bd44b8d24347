"""The writes of component barriers in a scan's commit: page state, barriers' counts, totals and the event. Pure.

finish.lua applies them and compares the page's present and previous barriers: ``worker/queue/lua/_barriers.lua``.
"""

from __future__ import annotations

from collections.abc import Mapping

from producer.contract import ScanResult
from producer.contract.addresses import site_name
from producer.keys import Keys
from worker.agent.assessment.regression import FROM
from worker.agent.state import RecalledComponents
from worker.memory.history.components import OnPage, components_of
from worker.memory.vectors.indexes import exact_tag
from worker.queue.barrier_writes import BarrierWrite, PageWrite
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
    gone = [issue_id for issue_id in recalled.held if issue_id not in here]
    writes: list[Write] = [
        PageWrite(
            keys.components(page),
            terms=terms,
            seen_ms=seen_ms,
            began_ms=recalled.began_ms,
            group=result.group,
            group_tag=exact_tag(result.group) if result.group else "",
            run=run,
            is_first=recalled.is_first,
        )
    ]
    writes += [
        BarrierWrite(
            keys.barrier(issue_id),
            issue_id,
            len(one.fingerprints),
            never_less=not one.is_whole,
            known_ms=recalled.known_ms.get(issue_id, 0),
            news=_news(one),
            fields=_fields(one, result.url),
        )
        for issue_id, one in here.items()
    ]
    unsure = result.status != "scanned", {finding.rule for finding in result.findings if finding.is_trimmed}
    writes += [
        BarrierWrite(keys.barrier(issue_id), issue_id, 0, never_less=_is_unsure(recalled.held[issue_id], *unsure))
        for issue_id in gone
    ]
    return writes


def _is_unsure(rule: str, is_partial: bool, trimmed: set[str]) -> bool:
    """Return whether a component of ``rule`` ('' if unknown) may be on the page although it is not listed."""
    return is_partial or rule in trimmed or (not rule and bool(trimmed))


def _news(one: OnPage) -> str:
    """Return the barrier's JSON for the event; '' below serious."""
    return one.change.model_dump_json() if (one.impact or FROM).rank >= FROM.rank else ""


def _fields(one: OnPage, url: str) -> Mapping[str, str]:
    kind, _, site = one.issue_id.partition("-")
    host = site_name(url)
    fields = {
        "kind": kind,
        "site": site,
        "host": exact_tag(host) if host else "",
        "host_name": host,
        "rule": exact_tag(one.rule),
        "impact": one.impact.value if one.impact else "",
        "name": one.name,
    }
    return {name: value for name, value in fields.items() if value}
