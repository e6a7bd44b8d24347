"""Compares two batches, pipeline runs or times by component barrier."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from producer.errors import InputError
from producer.redis.connection import redis_errors
from producer.reports.comparison_formats import HEADINGS
from producer.web.desk import Desk, Shown

MAX_PAGES: Final = 3
"""Pages listed for each kind of change of a component barrier; all are in the JSON."""
MAX_CHANGES: Final = 50
RECENT: Final = 10


async def compare(desk: Desk, request: Request) -> Shown:
    """Show the form and, if both sides are given, the changes between them."""
    asked = {name: request.query_params.get(name, "").strip()[:200] for name in ("before", "after", "site")}
    found, why = None, ""
    if asked["before"] and asked["after"]:
        try:
            found = await desk.history.compare(asked["before"], asked["after"], site=asked["site"] or None)
            if not found.compared:  # "nothing changed" would be wrong
                reasons = "; ".join(found.remarks) or "no page is recorded at either"
                found, why = (
                    None,
                    f"No page was scanned both at {found.before.text} and at {found.after.text}: {reasons}.",
                )
        except InputError as error:
            why = str(error)
    with redis_errors(desk.client.settings, None):
        recent = await desk.client.redis.zrevrange(desk.client.keys.batches, 0, RECENT - 1)
    facts = {
        "asked": asked,
        "found": found,
        "why": why,
        "headings": HEADINGS,
        "max_pages": MAX_PAGES,
        "max_changes": MAX_CHANGES,
        "recent": [raw.decode() for raw in recent],
    }
    return Shown("compare.html.jinja", "Compare", facts, ("asked", "found", "why"), 400 if why else 200)
