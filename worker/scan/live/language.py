"""Compares the language of texts with the one that they are marked with: WCAG 3.1.1 and 3.1.2.

Texts are what is shown and the names of images; code, names and short texts are left out (``languages.py``). The page's
own language is compared with all texts of it together. Of texts that no element marks, single blocks are compared, and
only on pages that are in their own language otherwise. The top document only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from producer.errors import DependencyMissing
from worker.scan.live.check import Check, Found, Hand, Outcome
from worker.scan.live.languages import MARKED, NAMES, UNMARKED, is_alike, language_of, other_language, primary

PAGE: Final = "live-page-language"
PART: Final = "live-part-language"
_MAX_FOUND: Final = 12
_MAX_SAID: Final = 80

Text = Mapping[str, Any]
"""A block's text of one language: ``holder`` and ``block`` are numbers of elements, ``lang`` is the holder's."""


async def run(hand: Hand, outcome: Outcome) -> None:
    """Find the page and the parts that are certainly in another language than they are marked with."""
    read = await hand.ask("sightlineLanguage.read()")
    try:
        found = await asyncio.to_thread(judge, read)
    except DependencyMissing as error:
        outcome.left_out = str(error)
        return
    parts = [one for one in found if one.rule == PART]
    outcome.found += [one for one in found if one.rule == PAGE] + parts[:_MAX_FOUND]
    outcome.more[PART] = len(parts[_MAX_FOUND:])


def judge(read: Mapping[str, Any]) -> list[Found]:
    """Return the findings about the texts that a page's script has read."""
    own = [text for text in read["texts"] if text["isPage"]]
    page = read["page"]
    found: list[Found] = []
    if other := other_language(_said(own), page, MARKED):
        found.append(_found(PAGE, own, page, other, number=read["root"], where="the page's language"))
    elif own and primary(page) and is_alike(language_of(_said(own)), primary(page)):
        found += _unmarked(own, page)
    parts: dict[int, list[Text]] = {}
    for text in read["texts"]:
        if not text["isPage"]:
            parts.setdefault(text["holder"], []).append(text)
    for number, texts in parts.items():
        marked = texts[0]["lang"]
        if other := other_language(_said(texts), marked, MARKED):
            found.append(_found(PART, texts, marked, other, number=number, where="its language"))
        elif primary(marked):
            found += _unmarked(texts, marked)
    return found


def _unmarked(texts: Sequence[Text], marked: str) -> list[Found]:
    return [
        _found(PART, [text], marked, other, number=text["block"], where="the language around it")
        for text in texts
        if (other := other_language(_said([text]), marked, UNMARKED))
    ]


def _said(texts: Sequence[Text]) -> list[str]:
    return [text["text"] for text in texts]


def _found(rule: str, texts: Sequence[Text], marked: str, other: str, *, number: int, where: str) -> Found:
    said = " ".join(" ".join(_said(texts)).split())
    said = said if len(said) <= _MAX_SAID else f"{said[: _MAX_SAID - 1]}…"
    expected = NAMES.get(primary(marked), marked)
    why = f'"{said}" is in {NAMES[other]}, but {where} is marked as {expected}'
    return Found(rule, why, (number,), measured={"lang": marked, "recognised as": f"{NAMES[other]} ({other})"})


CHECK: Final = Check(
    name="language",
    rules=(PAGE, PART),
    needs="the texts of the page and their `lang`",
    most_s=2.0,
    proves="a text is certainly not in the language that its `lang` says",
    run=run,
)
