"""Detects pages that are not what their address promises, such as error pages. Pure.

Judges by the page's wording, in the languages of the EU (``phrases.toml``), and only if it says little else: articles
about missing pages, forms with a captcha and status pages are normal pages. A header of a service that answers in the
site's place is proof; words only make it likely.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from producer.contract import DOUBTS
from worker.scan.content import Content
from worker.scan.phrases import find_phrase, is_phrase, parts_of

_KINDS: Final = ("bot-wall", "access-denied", "maintenance", "interstitial", "placeholder", "soft-404", "server-error")
"""In the order of the checks: a bot wall may also say that access is denied."""
_ALONE: Final = frozenset({"interstitial", "placeholder"})
"""Kinds that a site's pages are about, too: whole pages of these say little else."""
_MOST_PROSE: Final = 900
"""Characters in long runs of text; an article has more, and then its title is about its content."""
_SHORT_TEXT: Final = 600
_FEW_ELEMENTS: Final = 250
_FEW_LINKS: Final = 12
_LONGER_THAN_PHRASE: Final = 30
_FEW_CONTROLS: Final = 2
_FORM: Final = 2
"""Number of fields from which a page is a form, whatever it says about robots."""
_NUMBERED: Final = re.compile(r"(^|\W)404($|\W)")
_ASKED_FOR: Final = re.compile(r"/(404|not[-_]?found)(\.\w+)?/?$", re.IGNORECASE)
_DEBUG_TITLE: Final = re.compile(r"^\w*(error|exception|doesnotexist)\w* at /", re.IGNORECASE)
"""The title of Django's error pages."""
_RAW_ERROR: Final = re.compile(r"^\s*[\[{].{0,200}\b(error|exception|statuscode)\b", re.IGNORECASE | re.DOTALL)


def looks_like(content: Content, *, asked: str) -> tuple[str, str]:
    """Return a kind of doubt and its evidence; two empty texts for a normal page.

    ``asked`` is the requested address: a request for ``/404.html`` wants that page.
    """
    if content.prose > _MOST_PROSE:
        return "", ""
    kinds = [kind for kind in _KINDS if kind != "soft-404" or not _is_asked_for(asked)]
    for kind in kinds:
        for said in (content.title, *content.headings[:1]):
            if found := _said_in_heading(kind, said, content):
                return kind, found
    if content.has_captcha and content.entries == 0 and len(content.text) <= _SHORT_TEXT:
        return "bot-wall", "a captcha"
    if not _is_short(content):
        return "", ""
    for kind in kinds:
        if not _is_contradicted(kind, content) and (found := find_phrase(kind, content.text)):
            return kind, found
    return ("server-error", "raw data") if _RAW_ERROR.search(content.text) else ("", "")


def describe_look(kind: str, words: str) -> str:
    """Return the doubt in words."""
    return f"the page {DOUBTS[kind]} ({words!r})"


def _said_in_heading(kind: str, heading: str, content: Content) -> str:
    for part in parts_of(heading):
        if kind == "soft-404" and is_soft_404(part):
            return part[:100]
        if kind == "server-error" and _DEBUG_TITLE.search(part):
            return part[:100]
        found = find_phrase(kind, part) or (find_phrase("maintenance-title", part) if kind == "maintenance" else "")
        is_all = kind not in _ALONE and len(part) <= len(found) + _LONGER_THAN_PHRASE
        if found and (_is_short(content) or is_all):
            return part[:100]
    return ""


def is_soft_404(title: str) -> bool:
    """Return whether a title or heading says that the page is missing."""
    for part in parts_of(title):
        number = _NUMBERED.search(part)
        if (number and len(part) <= len("404") + _LONGER_THAN_PHRASE) or is_phrase("soft-404-title", part):
            return True
        found = find_phrase("soft-404", part)
        if found and len(part) <= len(found) + _LONGER_THAN_PHRASE:
            return True
    return False


def _is_contradicted(kind: str, content: Content) -> bool:
    """Return whether the page is a form: a shop says, too, that it will redirect its customer to where one pays."""
    if kind == "bot-wall":
        return content.entries >= _FORM
    return kind == "interstitial" and (content.entries > 0 or content.controls > _FEW_CONTROLS)


def _is_short(content: Content) -> bool:
    has_little = content.elements <= _FEW_ELEMENTS and content.links <= _FEW_LINKS
    return has_little and len(content.text) <= _SHORT_TEXT


def _is_asked_for(asked: str) -> bool:
    try:
        return _ASKED_FOR.search(urlsplit(asked).path) is not None
    except ValueError:
        return False
