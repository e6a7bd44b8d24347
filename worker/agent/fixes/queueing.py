"""Decides whether and when to try fixes on a scanned page, and builds the writes that queue the job."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, cast

from pydantic import Field
from redis.asyncio import Redis

from producer.contract import Finding, JsonObject, Lane, Node, ScanRequest, ScanResult
from producer.contract.fixes import PENDING
from producer.contract.message import Message
from producer.contract.payloads import FIX, fix_job_id
from producer.keys import Keys
from worker.queue.outcome import EntryWrite, ExpiryWrite, HashWrite, JobWrite, Write
from worker.scan.fixes.rules import MECHANICAL
from worker.scan.settings import Secrets

SECRET_TTL_S: Final = 86_400
"""Lifetime of the login used to open the page again, the same as the client's."""

MOST_PUT_OFF_S: Final = 4 * 3600.0
"""Longest wait of tries for scans: on a lane that is never empty, logins would expire first."""


class FixRequest(Message):
    """The payload: the job id of the scan, and its page.

    ``assess`` is the payload of the assessment that follows if no model was asked before.
    """

    scan: str
    priority: Lane = Lane.BATCH
    url: str = ""
    assess: JsonObject = Field(default_factory=dict[str, Any])


async def scans_go_first(redis: Redis, keys: Keys, priority: Lane, *, since_ms: int = 0) -> bool:
    """Whether tries of a job with this ``priority`` must wait for batch scans that are queued or running.

    A try opens a page again in the browsers that scans use. Tries that have waited since ``since_ms`` (Redis time) for
    ``MOST_PUT_OFF_S`` wait no longer.
    """
    if priority is not Lane.BATCH:
        return False
    async with cast("Any", redis).pipeline(transaction=False) as pipe:
        pipe.xlen(keys.lane(Lane.BATCH))
        pipe.time()
        scans, (seconds, _) = await pipe.execute()
    return bool(scans) and (not since_ms or seconds - since_ms / 1000 < MOST_PUT_OFF_S)


def are_tried(result: ScanResult, request: ScanRequest, *, is_on: bool) -> bool:
    """Return whether to try fixes on the page: by default if it is assessed.

    If no rule has a proposal, a model may have one. A page reached by steps is not opened again: steps may write, and a
    try must not.
    """
    is_wanted = request.assess if request.try_fixes is None else request.try_fixes
    is_read = result.status in {"scanned", "partial"}
    is_plain = not (request.steps or request.login)
    return (
        is_on
        and is_wanted
        and is_plain
        and is_read
        and ((result.assessed_by.is_pending and bool(result.findings)) or has_mechanical(result))
    )


def has_mechanical(result: ScanResult) -> bool:
    """Return whether one of Sightline's rules has a proposal, so that no model is needed for it."""
    return any(_has_candidate(finding) for finding in result.findings if finding.rule in MECHANICAL)


def _has_candidate(finding: Finding) -> bool:
    return any(_is_candidate(node) for node in finding.nodes)


def _is_candidate(node: Node) -> bool:
    return bool(node.issue_id) and len(node.selector) == 1


def candidates(result: ScanResult) -> list[tuple[Finding, Node]]:
    """Return one element of each component barrier, worst first; outside frames if possible."""
    found: dict[tuple[str, str], tuple[Finding, Node]] = {}
    for finding in result.findings:
        for node in sorted(finding.nodes, key=lambda node: len(node.selector)):
            if _is_candidate(node):
                found.setdefault((node.issue_id, finding.rule), (finding, node))
    return list(found.values())


def fix_writes(result: ScanResult, keys: Keys, *, job_id: str, priority: Lane | str) -> list[Write]:
    """Return the writes that queue the tries in the preceding commit; none if none is pending.

    The tries follow the assessment: both update the result, and a model may have a proposal.
    """
    if not result.fixes_state.startswith(PENDING) or result.assessed_by.is_pending:
        return []
    return _queued(FixRequest(scan=job_id, priority=Lane(priority), url=result.url), keys)


def tries_before(result: ScanResult, keys: Keys, assess: Message, *, job_id: str, priority: Lane) -> list[Write]:
    """Return the writes that queue the tries that need no model before the assessment ``assess``.

    The commit of the tries queues the assessment again, so that only one of them updates the result at a time.
    """
    request = FixRequest(scan=job_id, priority=priority, url=result.url, assess=assess.model_dump(mode="json"))
    return _queued(request, keys)


def _queued(request: FixRequest, keys: Keys) -> list[Write]:
    own_id = fix_job_id(request.scan)
    fields = {"kind": FIX, "lane": Lane.ASSESS.value, "payload": request.model_dump_json()}
    return [
        EntryWrite(keys.lane(Lane.ASSESS), own_id, FIX),
        JobWrite(keys.job(own_id), fields),
    ]


def secret_writes(secrets: Secrets | None, keys: Keys, *, job_id: str) -> Sequence[Write]:
    """Return the writes that keep the scan's login until the tries have ended, at most a day."""
    if secrets is None:
        return ()
    key = keys.secret(fix_job_id(job_id))
    given = {"headers": dict(secrets.headers), "cookies": list(secrets.cookies), "storage_state": secrets.storage_state}
    return (HashWrite(key, {name: json.dumps(value) for name, value in given.items()}), ExpiryWrite(key, SECRET_TTL_S))
