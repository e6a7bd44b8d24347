"""What a run did not count and why, in words, for every report that people read. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from producer.reports.marks import Waiver
from producer.reports.page import Page
from producer.reports.plain_text import counted, one_line


def remarks(pages: Iterable[Page]) -> list[str]:
    """Return a line for the known barriers, and one for each waiver, and for each thing not compared."""
    known = 0
    notes: Counter[str] = Counter()
    used: Counter[Waiver] = Counter()
    expired: Counter[Waiver] = Counter()
    for page in pages:
        if not page.marks.is_set:
            continue
        notes[page.marks.note] += 1
        for finding in page.findings:
            for node, mark, number in page.marks.each(finding):
                known += number if mark == "known" else 0
                waiver, lapsed = page.marks.waiver_of(finding, node), page.marks.expired_of(finding, node)
                if waiver:
                    used[waiver] += number
                elif lapsed:
                    expired[lapsed] += number
    lines = [f"{counted(known, 'known barrier')} not counted"] if known else []
    lines += [_used(waiver, number) for waiver, number in used.items()]
    lines += [expired_line(waiver, number) for waiver, number in expired.items()]
    return [*lines, *(f"{counted(number, 'page')}: {note}" for note, number in notes.items() if note)]


def _used(waiver: Waiver, number: int) -> str:
    return f"{counted(number, 'barrier')} {one_line(waiver.text, limit=300)} ({waiver.fingerprint})"


def expired_line(waiver: Waiver, number: int) -> str:
    """Return the line that names an expired waiver."""
    reason = one_line(waiver.reason, limit=200)
    what = counted(number, "barrier")
    return f"{what} no longer waived: the waiver of {waiver.fingerprint} expired on {waiver.until} ({reason})"
