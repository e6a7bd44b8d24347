"""The text of a notice for chat or mail. Pure; text from pages is put on one line, without mentions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, cast

from producer.contract import JsonObject
from producer.reports.plain_text import counted, one_line
from worker.notices.store import Notice

_MENTION: Final = re.compile(r"@(?=\w)")
_SLACK: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_WORD_JOINER: Final = "\u2060"
_NAMED: Final = 5
"""Maximum component barriers named per page."""
_WHAT: Final = {
    "scan.regressed": ("page got worse", "pages got worse"),
    "batch.finished": ("batch has ended", "batches have ended"),
    "job.dead": ("job failed for good", "jobs failed for good"),
    "job.rejected": ("malformed queue entry", "malformed queue entries"),
}


def heading(notice: Notice, *, environment: str) -> str:
    """Return the headline: ``Sightline (prod): 3 pages got worse``."""
    one, many = _WHAT.get(notice.event, (notice.event, notice.event))
    return f"Sightline ({environment}): {counted(notice.count, one, many)}"


def lines(notice: Notice) -> Iterator[str]:
    """Yield a line for each event in the notice, and the number of others."""
    for event in notice.events:
        yield one_line(_line(notice.event, event), limit=600)
    if more := notice.count - len(notice.events):
        yield f"… and {more:,} more"


def plain(notice: Notice, *, environment: str) -> str:
    """Return the text of a mail."""
    listed = "\n".join(f"- {line}" for line in lines(notice))
    return f"{heading(notice, environment=environment)}\n\n{listed}\n"


def chat(notice: Notice, *, environment: str) -> str:
    """Return the text for Slack and compatible services, without mentions, links or commands.

    https://docs.slack.dev/messaging/formatting-message-text/#escaping
    """
    text = "\n".join([heading(notice, environment=environment), *(f"• {line}" for line in lines(notice))])
    return _MENTION.sub(f"@{_WORD_JOINER}", text).translate(_SLACK)


def _line(kind: str, event: JsonObject) -> str:
    if kind == "scan.regressed":
        return _regressed(event)
    if kind == "batch.finished":
        pages: Any = event.get("pages")
        counts = {name: event.get(name) for name in ("total", "succeeded", "dead", "cancelled")}
        not_scanned = {
            name: number
            for name, number in cast("dict[str, Any]", pages if isinstance(pages, dict) else {}).items()
            if name != "scanned"
        }
        told = [f"{number} {name}" for name, number in {**counts, **not_scanned}.items() if number]
        return f"batch {event.get('batch')}: {', '.join(told) or 'no jobs'}"
    error: Any = event.get("error")
    why = cast("dict[str, Any]", error).get("message") if isinstance(error, dict) else event.get("reason") or error
    what = event.get("url") or event.get("kind") or "job"
    return f"{what}, job {event.get('job_id')}: {why or 'no reason given'}"


def _regressed(event: JsonObject) -> str:
    found: Any = event.get("components")
    listed = cast("list[Any]", found) if isinstance(found, list) else []
    components = [cast("dict[str, Any]", one) for one in listed if isinstance(one, dict)]
    named = [f"{one.get('name')} ({one.get('issue_id')})" for one in components[:_NAMED]]
    if more := len(components) - len(named):
        named.append(f"{more} more")
    counts = [f"{event[name]} {name}" for name in ("critical", "serious") if event.get(name)]
    return ": ".join(filter(None, [str(event.get("url")), ", ".join(counts), ", ".join(named)]))
