"""Questions about component barriers: what to fix first, how long it has been broken, what changed from A to B. Pure.

The sentences restate the results of ``list_components`` and ``compare_scans``, and cite the scans they name.
"""

from __future__ import annotations

import re
from typing import Final, cast

from producer.contract import JsonObject
from producer.reports.plain_text import counted
from worker.models.builtin.scope import MONTHS
from worker.models.builtin.sentences import (
    FIRST_LATER,
    cite_one,
    component_sentences,
    gaps,
    named_component,
    number_of,
    objects,
    pages_at_both,
)

_FIRST: Final = re.compile(
    r"^(?>.*?\b(?:mend(?:ed)?|fix(?:ed)?|repair(?:ed)?|tackle|begin with|start with|do)\b).*\bfirst\b"
    r"|^(?>.*?\bfirst\b).*\b(?:mend|fix|repair)\b|\bwhere (?:should|do|shall) (?:we|i) (?:start|begin)\b"
    r"|\b(?:begin|start) (?:with|(?:mend|fix|repair)ing)\b|\bworst components?\b|\bmost (?:important|urgent)\b"
    r"|\b(?:highest|top) priority\b|\bprioriti[sz]e\b|\bbrings? (?:the |us )?most\b",
    re.IGNORECASE,
)
_SINCE_WHEN: Final = re.compile(
    r"^(?:since when (?:is|are|has|have|was|does|do)|how long (?:is|are|has|have)|when did|when was|when were) "
    r"(?:the |our |my )?(.+?) (?:been )?(?:first )?"
    r"(?:broken|break|wrong|bad|inaccessible|a barrier|have a barrier|have barriers|there|failing|fail)\s*[?.!]*$",
    re.IGNORECASE,
)
_SEEN: Final = re.compile(
    r"^(?:when was|when were|since when (?:is|are|has|have)|how long (?:is|are|has|have)) (?:the |our |my )?(.+?) "
    r"(?:(?<!first )(?<!been )(?:first |been )++(?:seen|found|reported|recorded|missing|without|lacking)\b|without )"
    r"|^(?:since when|how long) (?:does|do|did|has|have) (?:the |our |my )?(.+?) "
    r"(?:lack(?:ed)?|miss(?:ed)?|need(?:ed)?|had? no|have no) ",
    re.IGNORECASE,
)
"""The same by what is wrong: ``Since when does the search field lack a label?``"""
# Quantifiers that never give back (++), and names that begin only where a word does: a question has 20,000 characters.
_UNIT: Final = "minutes?|hours?|days?|weeks?|months?|years?"
_NAME: Final = (
    rf"(?:the )?\d{{1,2}}(?:st|nd|rd|th)? (?:of )?(?:{MONTHS})(?:,? \d{{4}})?|(?:{MONTHS}) \d{{1,2}}(?:,? \d{{4}})?"
    rf"|\b\w++ (?:{_UNIT}) ago|last \w++|(?:{MONTHS}) \d{{4}}|(?<![^\s\"\u201c\u201d?!])[^\s\"\u201d?!]++"
)
_FROM_TO: Final = re.compile(
    rf"(?:\b(?:between|from|compare)\s+)?(?:the )?(?:(?:batch(?:es)?|runs?) )?[\"\u201c]?(?P<a>{_NAME})[\"\u201d]?"
    rf"\s+(?:and|to|with|against|vs\.?|versus)\s+(?:(?:batch|run) )?[\"\u201c]?(?P<b>{_NAME})[\"\u201d]?",
    re.IGNORECASE,
)
_AGAINST: Final = re.compile(
    rf"(?:\bin )?(?:(?:batch|run) )?(?P<b>{_NAME}) compared (?:to|with) (?:(?:batch|run) )?(?P<a>{_NAME})",
    re.IGNORECASE,
)
_NUMBERED: Final = r"(?=(?:(?![a-z])[\w.-])*+[a-z](?:(?!\d)[\w.-])*+\d)[\w.-]++"
_SINCE_IN: Final = re.compile(
    rf"\bsince (?:(?:batch|run) )?(?P<a>{_NUMBERED}) in (?:(?:batch|run) )?(?P<b>{_NUMBERED})",
    re.IGNORECASE,
)
"""Both are names with a number: in ``since 2026-11-01 in the shop`` the second is no batch."""
_COMPARES: Final = re.compile(r"\b(?:between|from|compare[ds]?|versus|vs\.?)\b", re.IGNORECASE)
_LITTLE: Final = {"a", "an", "at", "in", "of", "on", "our", "the"}
_CLOSING: Final = ".,;:!?"


def is_first(question: str) -> bool:
    """Return whether the question is which component barrier to fix first."""
    return bool(_FIRST.search(question))


def since_when_of(question: str) -> str:
    """Return the thing in ``since when is the header broken``; '' for another question."""
    found = _SINCE_WHEN.match(question) or _SEEN.match(question)
    named = next(filter(None, found.groups()), "") if found else ""
    thing = re.sub(r"^(?:component|barrier) |\s+(?:component|barrier)$", "", named)
    words = re.sub(r"['\u2019]s\b", "", thing).split()
    return " ".join(word for word in words if word.lower() not in _LITTLE).strip(" \"'\u201c\u201d")


def two_times_of(question: str) -> tuple[str, str, str] | None:
    """Return the two names that a question compares, and the question without them; None if there are none."""
    begun = _COMPARES.search(question)
    found = (
        _AGAINST.search(question)
        or _SINCE_IN.search(question)
        or (_FROM_TO.search(question, begun.start()) if begun else None)
    )
    if found is None:
        return None
    rest = f"{question[: found.start()]} {question[found.end() :]}"
    return found["a"].strip(_CLOSING), found["b"].strip(_CLOSING), " ".join(rest.split())


def mend_first(told: JsonObject, about: str) -> str:
    """Say which component barrier to fix first, why, and which come next."""
    listed = objects(told.get("components"))
    if not listed:
        return nothing(about)
    first = listed[0]
    impact = first.get("impact") or "unrated"
    said = f"Fix first: {named_component(first)}: it is {impact}, on {_where(first)} {cite_one(first)}."
    if listed[1:]:
        following = "; ".join(
            f"{named_component(one)}, {one.get('impact')}, on {_where(one)} {cite_one(one)}" for one in listed[1:3]
        )
        said += f" Then: {following}."
    total = number_of(told, "component_barriers")
    said += f" {counted(total, 'component barrier')} in all, the worst impact first, then the most pages."
    return " ".join([said, *gaps(told)])


def since_when(told: JsonObject, about: str) -> str:
    """Say since when each component barrier of a name has existed, or when it was fixed."""
    listed = objects(told.get("components"))
    if not listed:
        none = f"No component barrier whose name contains {about!r} is recorded, and none was fixed."
        return " ".join([none, *gaps(told)])
    said = [f"{named_component(one)}: {_since(one)} {cite_one(one)}." for one in listed]
    left = number_of(told, "left_out")
    more = [f"{counted(left, 'further component barrier')} not listed."] if left else []
    return " ".join([*said, *more, *gaps(told)])


def between(told: JsonObject) -> str:
    """Say what changed between two times, by component barrier; some may be worse and others better."""
    names = cast("list[object]", told.get("between") or ["then", "now"])
    counts = cast("JsonObject", told.get("component_barriers") or {})
    when = f"Between {names[0]} and {names[-1]}"
    if not number_of(told, "pages"):
        return f"{when}: no page that fits the question was scanned."
    if not pages_at_both(told) and not counts.get("mended"):
        return f"{when} nothing can be compared: no page was scanned at both."
    said = [f"{when}: {told.get('verdict')}. {component_sums(counts)}."]
    said += component_sentences(told)
    later = [line for line in cast("list[str]", told.get("not_compared") or []) if FIRST_LATER in line]
    return " ".join([*said, *(f"Not compared: {line}." for line in later), *gaps(told)])


def component_sums(counts: JsonObject) -> str:
    """Return how many component barriers are new, on other pages and fixed."""
    new = counted(number_of(counts, "new"), "new component barrier")
    moved = f", {counts['moved']} on other pages than before" if number_of(counts, "moved") else ""
    return f"{new}, {number_of(counts, 'mended')} fixed{moved}"


def nothing(about: str) -> str:
    """Say that no component barrier has that name."""
    named = f" whose name contains {about!r}" if about else ""
    return f"According to the recorded scans, no page currently has a component barrier{named}."


def _where(one: JsonObject) -> str:
    inside = f", {number_of(one, 'pages_in_group'):,} of them in the group," if "pages_in_group" in one else ""
    return f"{counted(number_of(one, 'pages'), 'page')}{inside} with {counted(number_of(one, 'elements'), 'element')}"


def _since(one: JsonObject) -> str:
    since = _time(one.get("since"))
    if one.get("mended_on"):
        return f"fixed on {_time(one['mended_on'])}; there since {since}"
    first = _time(one.get("first_seen"))
    before = f" again, first seen {first} and fixed in between" if first else ""
    return f"since {since}{before}, on {_where(one)}"


def _time(told: object) -> str:
    """Return a tool's time in readable form: ``2026-11-01 02:00 UTC``."""
    return re.sub(r"T(\d\d:\d\d)Z$", r" \1 UTC", str(told or ""))
