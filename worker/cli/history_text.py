"""Past scans and trends as lines for a person, and as documents for a program. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final

from producer.cli.status_text import clock
from producer.contract import IMPACTS, Changes, Counts, JsonObject
from producer.contract.states import with_state
from producer.reports.plain_text import counted, middle_cut, one_line
from producer.reports.site_days import Day
from worker.memory.history.scan_record import ScanRecord
from worker.memory.history.trends import GroupChange, Groups

URL_WIDTH: Final = 100
_MINUTE: Final = "%Y-%m-%d %H:%M"
MAX_SHOWN: Final = 5
"""Pages of a group in the text output; JSON has all."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A past scan for display: with its distance from the search text, or the changes on the page."""

    record: ScanRecord
    distance: float | None = None
    changes: Changes | None = None

    def document(self) -> JsonObject:
        """Return the record as JSON."""
        record = asdict(self.record)
        record |= {"counts": self.record.counts.model_dump(), "barriers": self.record.barriers.model_dump()}
        extra: JsonObject = {} if self.distance is None else {"distance": round(self.distance, 4)}
        if self.changes is not None:
            extra["changes"] = self.changes.model_dump(mode="json")
        return {**record, **extra}


def scan_lines(shown: Shown) -> Iterator[str]:
    """Yield the lines of one past scan."""
    record = shown.record
    seen = f", seen {record.times_seen:,} times" if record.times_seen > 1 else ""
    near = "" if shown.distance is None else f"  distance {shown.distance:.3f}"
    found = barriers_text(record.barriers) if record.status in {"scanned", "partial"} else "not read"
    yield f"{clock(record.last_seen_ms, _MINUTE)}  {record.status:<11}  {found}{near}"
    group = f"  [{one_line(record.group, limit=40)}]" if record.group else ""
    name = with_state(record.url or "HTML without an address", record.page_state)
    yield f"  {middle_cut(one_line(name), URL_WIDTH)}{group}"
    yield f"  scan {one_line(record.scan_id)}, first seen {clock(record.at_ms, _MINUTE)}{seen}"
    if shown.changes is not None:
        yield f"  {changes_text(shown.changes)}"


def changes_text(changes: Changes) -> str:
    """Return the changes since the previous scan."""
    text = f"{len(changes.new):,} new, {len(changes.fixed):,} fixed, {changes.unchanged:,} unchanged"
    return f"{text}; uncertain: {one_line(', '.join(changes.uncertain))}" if changes.uncertain else text


def barriers_text(counts: Counts) -> str:
    """Return ``no barriers`` or ``5 elements (2 critical, 3 minor)``."""
    if not counts.total:
        return "no barriers"
    parts = [(impact.value, getattr(counts, impact.value)) for impact in reversed(IMPACTS)]
    listed = ", ".join(f"{number:,} {name}" for name, number in parts if number)
    return f"{counted(counts.total, 'element')} ({listed})"


def day_lines(days: list[Day]) -> Iterator[str]:
    """Yield a table of days."""
    yield "day          scans  unread  per page  critical  serious    new  fixed  new components  mended"
    for day in days:
        yield (
            f"{day.day:<10} {day.scans:>7,} {day.unread:>7,} {day.per_page:>9.1f} {day.critical:>9,} "
            f"{day.serious:>8,} {day.new:>6,} {day.fixed:>6,} {day.barriers_new:>15,} {day.barriers_mended:>7,}"
        )


def day_document(day: Day) -> JsonObject:
    """Return a day as JSON."""
    return {"v": 1, **asdict(day), "per_page": round(day.per_page, 2)}


def group_lines(found: Groups) -> Iterator[str]:
    """Yield the groups with their most changed pages and the scans to look at."""
    for one in found.groups:
        name = one_line(one.group, limit=60) or "(no group)"
        if not one.pages:
            yield f"new     {name}: {counted(one.added, 'page')}, none known before"
            continue
        added = f"; {counted(one.added, 'page')} came later" if one.added else ""
        was, now = barriers_text(one.before), barriers_text(one.after)
        yield f"{one.verdict:<7} {name}: {was} then, {now} now, on {counted(len(one.pages), 'page')}{added}"
        yield from _component_lines(one)
        changed = [page for page in one.pages if any(page.change)]
        for page in changed[:MAX_SHOWN]:
            step = f"{page.barriers_before.total:,} → {page.barriers_after.total:,}"
            yield f"        {step:<9} {middle_cut(one_line(with_state(page.url, page.page_state)), URL_WIDTH)}"
            yield f"        {'':<9} scans {one_line(page.before)} and {one_line(page.after)}"
        if len(changed) > MAX_SHOWN:
            yield f"        … and {len(changed) - MAX_SHOWN:,} more"
    if found.is_part:
        yield "Not all pages were compared: limit them with --site or --group."


def _component_lines(one: GroupChange) -> Iterator[str]:
    """Yield the component barriers that pages of the group have gained and lost, by name."""
    for word, attribute in (("new", "gained"), ("mended", "lost")):
        found = [change for change in one.components if getattr(change, attribute)]
        found.sort(key=lambda change: -len(getattr(change, attribute)))
        for change in found[:MAX_SHOWN]:
            pages = counted(len(getattr(change, attribute)), "page")
            yield f"        {word:<9} {one_line(change.name, limit=100)}: on {pages} ({change.issue_id})"
        if len(found) > MAX_SHOWN:
            yield f"        {'':<9} and {counted(len(found) - MAX_SHOWN, f'more {word} component barrier')}"


def group_document(one: GroupChange, *, is_part: bool) -> JsonObject:
    """Return a group as JSON, with its changed pages and their scans."""
    pages = [
        {
            "url": page.url,
            **({"page_state": page.page_state} if page.page_state else {}),
            "before": {"scan_id": page.before, "barriers": page.barriers_before.model_dump()},
            "after": {"scan_id": page.after, "barriers": page.barriers_after.model_dump()},
        }
        for page in one.pages
        if any(page.change)
    ]
    return {
        "v": 1,
        "group": one.group,
        "verdict": one.verdict,
        "before": one.before.model_dump(),
        "after": one.after.model_dump(),
        "pages": len(one.pages),
        "pages_added": one.added,
        "is_part": is_part,
        "component_barriers": [change.document() for change in one.components],
        "changed": pages,
    }
