"""What a run did not count and why, and what it read in place of a page, in words, for every report that people read.

Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from producer.contract.addresses import leads_elsewhere
from producer.contract.waiver import Waiver
from producer.reports.page import Page
from producer.reports.plain_text import counted, one_line


def remarks(pages: Iterable[Page]) -> list[str]:
    """Return a line for the known barriers, for each waiver, for each thing not compared, and for pages in doubt."""
    pages = tuple(pages)
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
    lines += [f"{counted(n, 'barrier')} {one_line(w.text, limit=300)} ({w.fingerprint})" for w, n in used.items()]
    lines += [
        f"{counted(n, 'barrier')} no longer waived: the waiver of {w.fingerprint} expired on {w.until} "
        f"({one_line(w.reason, limit=200)})"
        for w, n in expired.items()
    ]
    lines += [f"{counted(number, 'page')}: {note}" for note, number in notes.items() if note]
    return lines + _doubts(pages)


def _doubts(pages: Sequence[Page]) -> list[str]:
    """Return a line about pages that led elsewhere, about those that call themselves missing, and about sign-ins."""
    read = [(page, page.result) for page in pages if page.result is not None and page.is_scanned]
    led = [(page.url, result.final_url) for page, result in read if leads_elsewhere(page.url, result.final_url)]
    missing = [page.url for page, result in read if result.soft_404]
    closed = [page.url for page, result in read if result.sign_in]
    lines: list[str] = []
    if led:
        asked, shown = (one_line(url, limit=200) for url in led[0])
        lines.append(f"{counted(len(led), 'page')} led to another address, such as {asked} to {shown}")
    if missing:
        example = one_line(missing[0], limit=200)
        lines.append(f"{counted(len(missing), 'page')} with 'not found' for a title (a soft 404), such as {example}")
    if closed:
        what = "asks to sign in" if len(closed) == 1 else "ask to sign in"
        example = one_line(closed[0], limit=200)
        lines.append(f"{counted(len(closed), 'page')} {what}, such as {example}: what is behind was not scanned")
    return lines
