"""The text of an issue and its hidden first line. Pure.

::

    <!-- sightline-issue: ID rule=RULE at=MS places=DIGEST.DIGEST -->
    result of a scan, replaced as a whole
    <!-- sightline-issue: end -->
    text that people add below: kept

``places`` are the pages that have the barrier, ``?`` if unknown; ``at`` is the time of the text's scan. Text from pages
is in code spans, where no host resolves mentions or references, and on lines that begin with fixed words, so that
GitLab sees no commands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from producer.contract.advice import advice_on
from producer.contract.component_name import without_example
from producer.reports.component_dates import day_of
from producer.reports.markdown import code, text
from producer.reports.plain_text import counted, one_line
from producer.trackers.seen import Barrier, Place

MAX_PLACES: Final = 2_000
"""Maximum digests in an issue; an issue with more can only be closed from the history."""
MAX_TITLE: Final = 180
_SHOWN: Final = 10
_DIFF_CHARS: Final = 4_000
_NAME_CHARS: Final = 300
_ADDRESS_CHARS: Final = 500
_MARK: Final = "sightline-issue"
"""Must not occur in a page's text, which would end Sightline's part of the body."""
_END: Final = "<!-- sightline-issue: end -->"
_FIRST: Final = re.compile(
    r"<!-- sightline-issue: ([0-9a-f]{16}-[0-9a-f]{8}) rule=([\w.-]{1,100}) at=(\d{1,15}) "
    r"places=(\?|(?:[0-9a-f]{10}(?:\.[0-9a-f]{10})*)?) -->"
)
_FIXED: Final = "**Fixed**"
_REFERENCE: Final = re.compile(r"([@#!%~&$^])(?=[\w\"'*])")
_WORD_JOINER: Final = "\u2060"


@dataclass(frozen=True, slots=True)
class Hidden:
    """The first line of an issue; ``places`` is None if unknown."""

    issue_id: str
    rule: str
    at_ms: int
    places: frozenset[str] | None

    @property
    def line(self) -> str:
        """The line itself."""
        is_known = self.places is not None and len(self.places) <= MAX_PLACES
        listed = ".".join(sorted(self.places or ())) if is_known else "?"
        return f"<!-- sightline-issue: {self.issue_id} rule={self.rule} at={self.at_ms} places={listed} -->"


def hidden_of(body: str) -> Hidden | None:
    """Return the parsed first line; None for any other text."""
    found = _FIRST.match(body.lstrip())
    if found is None:
        return None
    places = None if found[4] == "?" else frozenset(filter(None, found[4].split(".")))
    return Hidden(found[1], found[2], int(found[3]), places)


def title_of(barrier: Barrier) -> str:
    """Return an issue's title: the component barrier's name."""
    title = one_line(barrier.name, limit=MAX_TITLE).replace("`", "'")
    return _REFERENCE.sub(rf"\1{_WORD_JOINER}", title)


def body_of(barrier: Barrier, hidden: Hidden, *, old: str = "") -> str:
    """Return an issue's text, keeping what people added to ``old``."""
    unseen = 0 if hidden.places is None else len(hidden.places) - len(barrier.places)
    where = counted(barrier.pages + unseen, "page")
    name = code(barrier.name, limit=_NAME_CHARS)
    lines = [
        hidden.line,
        f"**{barrier.impact.value}** {name} on {where} of {code(barrier.site)}, rule {code(barrier.rule)}",
        "",
        *map(_place_line, barrier.places[:_SHOWN]),
        *_rest(barrier, hidden),
        *_what_to_do(barrier),
        "",
        f"Component barrier {code(barrier.issue_id)}, kept up to date by Sightline; text below this line is kept.",
    ]
    return _joined(lines, old)


def mended_body(old: str, hidden: Hidden) -> str:
    """Return an issue's text with a note that it is fixed, which the next text replaces."""
    ours = _ours(old)
    kept = ours[2:] if ours[1:2] and ours[1].startswith(_FIXED) else ours[1:]
    status = f"{_FIXED}: the scan of {day_of(hidden.at_ms)} found it on none of its pages.\n"
    return _joined([hidden.line, status, *kept], old)


def moved_body(old: str, hidden: Hidden) -> str:
    """Return an issue's text with another first line."""
    return _joined([hidden.line, *_ours(old)[1:]], old)


def is_same(one: str, other: str) -> bool:
    """Return whether two texts differ only in time, in the name's example and in line ends, which hosts change."""
    first, second = hidden_of(one), hidden_of(other)
    if first is None or second is None or first.places != second.places:
        return False
    (_, named, *rest), (_, other_named, *other_rest) = ([*_tidy(text), ""] for text in (one, other))
    return without_example(named) == without_example(other_named) and rest == other_rest


def _tidy(body: str) -> list[str]:
    return [line.rstrip() for line in body.replace("\r\n", "\n").strip().split("\n")]


def _ours(body: str) -> list[str]:
    return _tidy(body.partition(_END)[0])


def _joined(lines: Iterable[str], old: str) -> str:
    theirs = old.replace("\r\n", "\n").partition(_END)[2].strip()
    first, *others = lines
    ours = "\n".join([first, *(line.replace(_MARK, f"{_MARK}{_WORD_JOINER}") for line in others)]).rstrip()
    return f"{ours}\n\n{_END}\n" + (f"\n{theirs}\n" if theirs else "")


def _place_line(place: Place) -> str:
    selector = f" {code(place.selector, limit=_ADDRESS_CHARS)}" if place.selector else ""
    return f"- {code(place.name, limit=_ADDRESS_CHARS)}: {counted(place.elements, 'element')}{selector}"


def _rest(barrier: Barrier, hidden: Hidden) -> list[str]:
    if not barrier.places:
        groups = f", groups: {', '.join(map(code, barrier.groups[:_SHOWN]))}" if barrier.groups else ""
        return [f"- {counted(barrier.elements, 'element')}{groups}"]
    more = len(hidden.places or barrier.places) - min(len(barrier.places), _SHOWN)
    return [f"- … and {more:,} more"] if more > 0 else []


def _what_to_do(barrier: Barrier) -> list[str]:
    advice = advice_on(barrier.rule)
    lines = ["", text(advice.do)] if advice else []
    diff = "\n".join(barrier.diff)
    if diff and len(diff) <= _DIFF_CHARS:
        fence = "`" * max([3, *(len(run) + 1 for run in re.findall(r"`+", diff))])
        lines += ["", "A tried change that fixes it:", "", f"{fence}diff", *barrier.diff, fence]
    link = re.sub(r"[^A-Za-z0-9:/?=&#._-]", "", barrier.help_url)
    if link.startswith("https://"):
        criteria = f", WCAG {', '.join(map(text, barrier.criteria))}" if barrier.criteria else ""
        lines += ["", f"[About {code(barrier.rule, limit=60)}]({link}){criteria}"]
    return lines
