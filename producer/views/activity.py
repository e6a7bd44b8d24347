"""Recent activity for the live board: the newest events, and the pages that could not be read. Pure.

``board.py`` reads the events; ``cli/top_lists.py`` shows these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from producer.contract import public_url
from producer.reports.plain_text import counted

LOOKED_AT: Final = 200
"""Number of newest events searched for pages and activity, regardless of age."""
KEPT: Final = 20
FAILING: Final = frozenset({"unreachable", "blocked", "partial"})


@dataclass(frozen=True, slots=True)
class FailingPage:
    """A page that its last scan could not read, or only in part."""

    at_ms: int
    status: str
    url: str
    job_id: str


@dataclass(frozen=True, slots=True)
class Activity:
    """An event, in words."""

    at_ms: int
    what: str
    about: str


def failing_of(events: Iterable[Mapping[str, Any]]) -> tuple[FailingPage, ...]:
    """Return the pages that their newest scan in ``events`` (newest first) could not read completely."""
    newest: dict[str, FailingPage] = {}
    for event in events:
        url = event.get("url")
        if isinstance(url, str) and url and event.get("status"):
            found = FailingPage(
                int(event["at_ms"]), str(event["status"]), public_url(url), str(event.get("job_id") or "")
            )
            newest.setdefault(f"{url} {event.get('page_state', '')}", found)
    return tuple(page for page in newest.values() if page.status in FAILING)[:KEPT]


def activity_of(events: Iterable[Mapping[str, Any]]) -> tuple[Activity, ...]:
    """Return ``events``, newest first, in words."""
    found = (Activity(int(event["at_ms"]), str(event.get("event", "")), _about(event)) for event in events)
    return tuple(one for one, _ in zip(found, range(KEPT), strict=False))


def _about(event: Mapping[str, Any]) -> str:
    name = event.get("name") and f"{event.get('what', '')} {event['name']}".strip()
    subject = (
        public_url(str(event["url"])) if event.get("url") else name or event.get("batch") or event.get("job_id") or ""
    )
    pages = event.get("pages")
    counts: Mapping[str, Any] = pages if isinstance(pages, dict) else {}
    details = [str(event["status"])] if event.get("status") else []
    barriers = event.get("barriers")
    details += [counted(barriers, "element")] if isinstance(barriers, int) and barriers else []
    details += [f"{number} {what}" for what, number in counts.items() if number]
    details += [f"by {event['by']}"] if event.get("by") else []
    return f"{subject}: {', '.join(details)}" if details else str(subject)
