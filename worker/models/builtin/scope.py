"""The scope of a question: the page, site, group and time that it names, and the remaining words. Pure.

No part of a question that is not understood is dropped: an answer about the whole site would look like one about the
page in question. ``Scope.rest`` is what was not recognised.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from producer.contract import JsonObject

_PLACE: Final = re.compile(
    r"(?<![^\s\"'(\u201c])(https?://[^\s<>\"'`]+|(?:(?:[a-z0-9-]+\.)+[a-z]{2,}|localhost)(?::\d+)?/[^\s<>\"'`]*|/[^\s<>\"'`]*)",
    re.IGNORECASE,
)
"""An address, one without its scheme, or a path."""
_HOST: Final = re.compile(
    r"\b(?:on|of|at|for|in|site) ((?:[a-z0-9-]+\.)+[a-z]{2,}|(?:\d{1,3}\.){3}\d{1,3})(?=[\s?!.,]|$)", re.IGNORECASE
)
_GROUP: Final = re.compile(
    r"\b(?:(?:in|of|on|for) )?(?:the )?(?:(?:group|template|section) [\"\u201c]([^\"\u201c\u201d]+)[\"\u201d]|"
    r"group (?!(?:got|gets?|is|are|has|have|was|were|became|did|by)\b)([\w-]+))"
    r"|\b(?:in|of|on|for) (?:the |our )?(?!(?:the|our|a|any|each|every|which|this|that)\b)([\w-]+) group(?=[\s?.!]|$)",
    re.IGNORECASE,
)
_TIME: Final = r"(?:the )?[\w:.-]+(?:,? (?!(?:on|in|at|for)\b)[\w:.-]+){0,3}?"
_END: Final = r"(?<![\s?!.])[\s?!.]*$"
"""The end of a question. The marks begin after a word, so that a long run of them is read once and not from each."""
_SINCE: Final = re.compile(rf"\b(?:since|after|from) ({_TIME}){_END}|^since ({_TIME}(?:, \d{{4}})?),", re.IGNORECASE)
MONTHS: Final = "january|february|march|april|may|june|july|august|september|october|november|december"
_IN: Final = re.compile(
    rf"\bin ((?:the )?(?:last|past) \w+(?: \w+)?|(?:{MONTHS})(?: \d{{4}})?|\d{{4}})[\s?!.]*$", re.IGNORECASE
)
_ON: Final = re.compile(
    r"\b(?:on|at|as of|before|until|by) ("
    r"\d{4}-\d{2}(?:-\d{2}(?:T[\d:]+Z?)?)?|(?:last )?(?:mon|tues|wednes|thurs|fri|satur|sun)day|"
    rf"(?:the )?\d{{1,2}}(?:st|nd|rd|th)?(?: of)? (?:{MONTHS})(?:,? \d{{4}})?|"
    rf"(?:{MONTHS}) \d{{1,2}}(?:st|nd|rd|th)?(?:,? \d{{4}})?)[\s?!.]*$",
    re.IGNORECASE,
)
_ENDING: Final = re.compile(r"\b(yesterday|today|(?:last|this) \w+)[\s?!.]*$", re.IGNORECASE)
_WORDS: Final = re.compile(
    r"(?<!number )(?<!count )(?<!amount )\b(?:on|in|of|at|for) (?:the |our |my |a |your )?"
    r"((?:(?!\b(?:on|in|of|at|for|since|after|before|from)\b)[^?!])+?)"
    r"(?: (?:pages?|section|template|area|part))?" + _END,
    re.IGNORECASE,
)
_SUBJECT: Final = re.compile(
    r"^(?:did|has|have|is|was|are) (?:the |our |my |your )?"
    r"((?:(?!\b(?:on|in|of|at|for|since)\b)[^?!])+?)(?: page| section| template)?"
    r"(?= (?:get|got|gotten|become|becom\w+|change\w*|improve\w*|worse|better|broken|fixed|mended)\b)",
    re.IGNORECASE,
)
"""The page in ``Did the checkout get worse?``"""
_OWNER: Final = re.compile(
    r"\b(?:do|does|did) (?:the |our |my |your )?((?:(?!\b(?:on|in|of|at|for|since|do|does|did)\b)[^?!])+?)"
    r"(?: page| section| template)? (?=(?:have|contain|show)\b)",
    re.IGNORECASE,
)
"""The page in ``How many barriers does the checkout have?``"""
_GENERAL_WORDS: Final = """
all, all of them, all pages, all the pages, any page, each page, every page, everything, here, now, page,
pages, site, sites, whole site, website, web, them, total, all sites, each site, anything, something,
everything, any, things, groups, templates, sections, we, they, you, i, a page, a group, a barrier, barriers,
any barriers, anything new, what
"""
_GENERAL: Final = frozenset(word.strip() for word in _GENERAL_WORDS.split(","))
"""Words that refer to everything."""
PRONOUNS: Final = frozenset({"it", "that", "this", "there", "that page", "this page", "the page", "that one", "them"})
_CLOSING: Final = ".,;:!?)]}\"'\u201d"


@dataclass(frozen=True, slots=True)
class Scope:
    """``filters`` are arguments that the tools take: ``url``, ``site``, ``group``, ``words``; ``time`` as written."""

    filters: JsonObject
    time: str
    rest: str


def scope_of(question: str) -> Scope:
    """Return the scope of the question."""
    filters: JsonObject = {}
    rest = question
    if place := _PLACE.search(rest):
        filters["url"] = place[1].rstrip(_CLOSING) or "/"
        rest = _without(rest, place)
    elif host := _HOST.search(rest):
        filters["site"] = host[1].lower()
        rest = _without(rest, host)
    if group := _GROUP.search(rest):
        filters["group"] = group[1] or group[2] or group[3]
        rest = _without(rest, group)
    time, rest = _time_of(rest)
    if not filters.keys() & {"url", "group"} and (words := _found(rest)):
        named = words[1].strip(" \"'\u201c\u201d")
        rest = _without(rest, words)
        time, rest = (time, rest) if time else _time_of(rest)
        if named and named.lower() not in _GENERAL | PRONOUNS:
            filters["words"] = named
    return Scope(filters, time, " ".join(rest.split()))


def _found(text: str) -> re.Match[str] | None:
    return _WORDS.search(text) or _SUBJECT.search(text) or _OWNER.search(text)


def place_in(text: str) -> str:
    """Return the address or path that ``text`` names, '' if there is none."""
    found = _PLACE.search(text)
    return (found[1].rstrip(_CLOSING) or "/") if found else ""


def _time_of(text: str) -> tuple[str, str]:
    """Return the time at the beginning or end of ``text``, '' if there is none, and the text without it."""
    match = _SINCE.search(text) or _IN.search(text) or _ON.search(text) or _ENDING.search(text)
    return (next(filter(None, match.groups()), ""), _without(text, match)) if match else ("", text)


def _without(text: str, match: re.Match[str]) -> str:
    return f"{text[: match.start()]} {text[match.end() :]}".strip()
