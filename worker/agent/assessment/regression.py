"""Detects regressions of a site: serious or critical component barriers that were not known there. Pure.

The event ``scan.regressed`` is committed with the scan, in the same fenced step: exactly once for a new component
barrier, with the first previously scanned page that has it, regardless of who requested the scan. finish.lua decides
which are new, since it counts them (``worker/queue/lua/_barriers.lua``). Elements without a component or of an unnamed
one (``Node.unnamed``) are new if the page's previous scan did not have them. Waivers and baselines concern gates and
are not considered.
"""

from __future__ import annotations

import json
from typing import Final

from producer.contract import Finding, Impact, JsonObject, ScanResult
from producer.keys import Keys
from worker.queue.barrier_writes import NewsWrite
from worker.queue.outcome import Write

FROM: Final = Impact.SERIOUS
MAX_RULES: Final = 20


def regression(result: ScanResult) -> JsonObject | None:
    """Return the regression of the page; None without an earlier scan.

    ``new`` counts all new elements, ``serious`` and ``critical`` those of these impacts, and ``rules`` lists their
    rules.
    """
    changes = result.changes
    if changes is None or changes.previous is None:
        return None
    new = set(changes.new)
    counts = {Impact.SERIOUS: 0, Impact.CRITICAL: 0}
    rules: dict[str, None] = {}
    for finding in _heavy(result):
        number = sum(node.fingerprint in new for node in finding.nodes)
        if number:
            counts[finding.impact or FROM] += number
            rules[finding.rule] = None
    return {
        "url": result.url,
        "group": result.group,
        "scan_id": result.scan_id,
        "previous": changes.previous,
        "new": len(new),
        "serious": counts[Impact.SERIOUS],
        "critical": counts[Impact.CRITICAL],
        "rules": list(rules)[:MAX_RULES],
    }


def regression_writes(result: ScanResult, keys: Keys, *, job_id: str, seen_ms: int) -> list[Write]:
    """Return the event; none if the page cannot have a regression. It must follow the writes of the page's barriers."""
    about = regression(result)
    nodes = [node for finding in _heavy(result) for node in finding.nodes]
    new = set(result.changes.new) if result.changes else set[str]()
    is_certain = any(node.fingerprint in new for node in nodes if not node.issue_id or node.unnamed)
    if about is None or not (is_certain or any(node.issue_id for node in nodes)):
        return []
    line = json.dumps({"v": 1, "event": "scan.regressed", "job_id": job_id, "kind": "scan", **about, "at_ms": seen_ms})
    return [NewsWrite(keys.events, line[:-1], is_certain)]


def _heavy(result: ScanResult) -> list[Finding]:
    return [finding for finding in result.findings if (finding.impact or FROM).rank >= FROM.rank]
