"""People's decisions on undecided findings, kept in Redis by component until they are withdrawn.

``reports/decisions.py`` applies them to a report.
"""

from __future__ import annotations

import json
import re
from datetime import date
from typing import Any, Final, cast

from producer.client.client import Client
from producer.client.queue_view import unknown
from producer.contract import JsonObject
from producer.contract.decision import VERDICTS, Decision
from producer.contract.nearest import nearest
from producer.errors import InvalidJob
from producer.redis.connection import redis_errors
from producer.text_file import is_unicode

ISSUE_ID: Final = re.compile(r"[0-9a-f]{16}-[0-9a-f]{8}")
MAX_REASON_CHARS: Final = 1000
MAX_NAME_CHARS: Final = 100


class Decisions:
    """The decisions of a client's environment."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._redis = cast("Any", client.redis)
        self._key = client.keys.decisions

    async def add(self, decision: Decision) -> None:
        """Save the decision, replacing one on the same component; raises ``InvalidJob``."""
        check_decision(decision)
        with redis_errors(self._client.settings, lambda: "the decision may have been added; add it again to be sure"):
            await self._redis.hset(self._key, decision.issue_id, json.dumps({"v": 1, **decision.document()}))

    async def all(self) -> list[Decision]:
        """Return the decisions by component, without unreadable ones."""
        with redis_errors(self._client.settings, None):
            fields = await self._redis.hgetall(self._key)
        read = (decision_of(value) for value in fields.values())
        return sorted((decision for decision in read if decision), key=lambda decision: decision.issue_id)

    async def remove(self, issue_id: str) -> None:
        """Withdraw a decision: the component needs review again. Raises ``UnknownJob``."""
        with redis_errors(self._client.settings, lambda: "the decision may have been removed"):
            removed = await self._redis.hdel(self._key, issue_id)
        if not removed:
            kept = [decision.issue_id for decision in await self.all()]
            meant = nearest(issue_id, kept)
            raise unknown(f"decision on {issue_id!r}", self._client.keys, see="review --list", meant=meant)


def check_decision(decision: Decision) -> Decision:
    """Return ``decision``; raises ``InvalidJob`` for an invalid id, and for a missing or overlong reason or name."""
    if not ISSUE_ID.fullmatch(decision.issue_id):
        shown = decision.issue_id[:60]
        msg = f"id {shown!r}: expected the id of a component barrier, 16 and 8 hex digits, as shown in reports"
        raise InvalidJob(msg)
    if decision.verdict not in VERDICTS:
        raise InvalidJob(f"verdict {decision.verdict!r}: expected {' or '.join(VERDICTS)}")
    for what, text, most in (("reason", decision.reason, MAX_REASON_CHARS), ("name", decision.by, MAX_NAME_CHARS)):
        if not text.strip() or len(text) > most:
            raise InvalidJob(f"the {what} of a decision has {len(text)} characters: expected 1 to {most}")
        if not is_unicode(text):  # no report could be written
            raise InvalidJob(f"the {what} of a decision is not text in UTF-8")
    return decision


def decision_of(text: bytes) -> Decision | None:
    """Decode a stored decision; None for an invalid one, such as one written by hand."""
    try:
        fields = cast("JsonObject", json.loads(text))
        names = ("issue_id", "verdict", "reason", "by")
        return check_decision(Decision(*(str(fields[name]) for name in names), date.fromisoformat(fields["on"])))  # type: ignore[arg-type]  # checked
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, InvalidJob):
        return None
