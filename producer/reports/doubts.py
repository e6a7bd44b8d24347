"""Puts doubts into words: a line for each doubt of a page, a line for each kind of a run. Pure.

Results of releases without doubts have two flags instead, which are read here. Text from a page in a doubt is hostile:
it is put on one line and cut, and each format also escapes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from producer import contract
from producer.reports.plain_text import counted, middle_cut, one_line

if TYPE_CHECKING:
    from producer.contract import Doubt, ScanResult
    from producer.reports.page import Page

_WHAT_CHARS: Final = 300
_WHERE_CHARS: Final = 2_000
"""Long enough for addresses, short enough for hostile ones."""
_KIND_CHARS: Final = 40
MAX_LINES: Final = 20
"""Maximum number of doubts listed per page; the JSON report has all."""


def doubts_of(result: ScanResult) -> tuple[Doubt, ...]:
    """Return the doubts of a result; for an older release derived from its flags."""
    kinds = {doubt.kind for doubt in result.doubts}
    flagged = {
        "soft-404": (result.soft_404, "the page is an error page with status 200 (a soft 404)"),
        "sign-in": (result.sign_in, "the page asks for a sign-in: the content behind it was not scanned"),
    }
    missing = (
        contract.Doubt(kind=kind, what=what, certainty="likely")
        for kind, (is_set, what) in flagged.items()
        if is_set and kind not in kinds
    )
    return (*result.doubts, *missing)


def doubt_text(doubt: Doubt) -> str:
    """Return a doubt without its kind as one line: what, how certain, and where if ``what`` does not say so."""
    what = one_line(doubt.what, limit=_WHAT_CHARS)
    likely = " (likely)" if doubt.certainty == "likely" else ""
    where = middle_cut(one_line(doubt.where), _WHERE_CHARS)
    return f"{what}{likely}" + (f", at {where}" if where and where not in what else "")


def doubt_kind(doubt: Doubt) -> str:
    """Return the kind as ``--allow-partial`` expects it, sanitized."""
    return one_line(doubt.kind, limit=_KIND_CHARS)


def doubt_lines(page: Page, *, untold: bool = False) -> list[str]:
    """Return a line for each doubt about the page; ``untold`` omits those that the page's problem names."""
    listed = [doubt for doubt in page.doubts if not (untold and doubt.what and doubt.what in page.problem)]
    lines = [f"{doubt_kind(doubt)}: {doubt_text(doubt)}" for doubt in listed[:MAX_LINES]]
    more = len(listed) - len(lines) + (page.result.doubts_left_out if page.result else 0)
    return [*lines, f"and {counted(more, 'more doubt')}"] if more else lines


def lines_by_kind(pages: Iterable[Page]) -> list[str]:
    """Return a line for each kind of doubt: the number of pages, with the first as an example."""
    found: dict[str, list[tuple[str, Doubt]]] = {}
    for page in pages:
        for doubt in {doubt.kind: doubt for doubt in reversed(page.doubts)}.values():
            found.setdefault(doubt_kind(doubt), []).append((page.url, doubt))
    return [
        f"{counted(len({url for url, _ in places}), 'page')} in doubt ({kind}), "
        f"such as {one_line(places[0][0], limit=200)}: {doubt_text(places[0][1])}"
        for kind, places in sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    ]


def counts_text(by_kind: dict[str, int]) -> str:
    """Return ``2 blank, 1 sign-in``, the most frequent kind first."""
    ordered = sorted(by_kind.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number:,} {kind}" for kind, number in ordered)
