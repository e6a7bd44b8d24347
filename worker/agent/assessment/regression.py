"""Tells when a page got worse: serious or critical barriers that its previous scan did not have. Pure.

The event ``scan.regressed`` is committed with the scan, in the same fenced step: it comes exactly once, whoever asked
for the scan: a schedule, a pipeline, a person. Waivers and baselines are their gates', and not asked here.
"""

from __future__ import annotations

import json
from typing import Final

from producer.contract import Impact, JsonObject, ScanResult
from producer.keys import Keys
from worker.queue.outcome import EventWrite, PublishWrite, Write

FROM: Final = Impact.SERIOUS
MAX_RULES: Final = 20


def regression(result: ScanResult) -> JsonObject | None:
    """Return what got worse; None if nothing did, or if there is no earlier scan to compare with.

    ``new`` counts all new barriers, ``serious`` and ``critical`` those of these impacts; ``rules`` are theirs.
    """
    changes = result.changes
    if changes is None or changes.previous is None:
        return None
    new = set(changes.new)
    counts = {Impact.SERIOUS: 0, Impact.CRITICAL: 0}
    rules: dict[str, None] = {}
    for finding in result.findings:
        impact = finding.impact or FROM
        number = sum(node.fingerprint in new for node in finding.nodes)
        if number and impact.rank >= FROM.rank:
            counts[impact] += number
            rules[finding.rule] = None
    if not any(counts.values()):
        return None
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
    """Return the event as it goes to the stream and to those who listen, none where the page did not get worse."""
    about = regression(result)
    if about is None:
        return []
    line = json.dumps({"v": 1, "event": "scan.regressed", "job_id": job_id, "kind": "scan", **about, "at_ms": seen_ms})
    return [EventWrite(keys.events, line), PublishWrite(keys.events_live, line)]
