"""The user's own words, as opposed to those of pages and models: the source of memories and addresses to scan. Pure.

A model chooses the arguments of tool calls, and a page may have influenced it. So arguments of tools with side effects
are checked against the user's own messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from producer.contract import addresses, public_url
from producer.contract.addresses import site_of

MAX_REMEMBERED: Final = 1_000
_DECIDING: Final = """
no not never without only except but or and
worst best worse better most least more less first second third last next previous oldest newest
new fixed open old changed unchanged increased decreased up down
critical serious moderate minor
today yesterday tomorrow now day week month quarter year hour
monday tuesday wednesday thursday friday saturday sunday
january february march april may june july august september october november december
one two three four five six seven eight nine ten all any every each
header footer navigation menu main aside sidebar search form card logo image link button heading field
label region list listitem bypass tabindex marquee blink component components mended
"""
DECIDING: Final = frozenset(_DECIDING.split())
"""Words that change a question's meaning but hardly its vector."""

_URL: Final = re.compile(r"https?://[^\s<>\"'`]+", re.IGNORECASE)
_BARE: Final = re.compile(r"(?<![\w@/.:-])(?:[a-z0-9-]+\.)+[a-z]{2,}(?::\d+)?(?:/[^\s<>\"'`]*)?", re.IGNORECASE)
_QUOTES: Final = "\"'`\u00ab\u00bb\u2018\u2019\u201c\u201d"
_CLOSING: Final = ".,;:!?)]}" + _QUOTES


@dataclass(frozen=True, slots=True)
class Asker:
    """The asker and the scope of the question.

    ``messages`` are the user's messages in this conversation, newest last; ``site`` is the host that limits the
    question, or ''; ``now_ms`` is Redis's time of the question.
    """

    job_id: str
    messages: tuple[str, ...]
    site: str = ""
    now_ms: int = 0


def normal_url(url: str) -> str:
    """Return the normalised ``url``.

    Raises ``ValueError`` for anything but an http address without user info.
    """
    plain = addresses.normal_url(url)
    if public_url(plain) != plain:
        raise ValueError(f"{url[:200]!r} contains a user name: expected a plain address")
    return plain


def urls_in(texts: Iterable[str]) -> frozenset[str]:
    """Return the normalised addresses in ``texts``; ``example.org/shop`` is one too."""
    found: set[str] = set()
    for text in texts:
        whole = [match[0] for match in _URL.finditer(text)]
        bare = [match[0] for match in _BARE.finditer(_URL.sub(" ", text))]
        for url in (*whole, *(scheme + name for name in bare for scheme in ("http://", "https://"))):
            try:
                found.add(normal_url(url.rstrip(_CLOSING)))
            except ValueError:
                continue
    return frozenset(found)


def may_scan(url: str, asker: Asker) -> str:
    """Return the normalised ``url`` if the user wrote it or it is on the question's site.

    Raises ``ValueError`` otherwise. A site includes its port.
    """
    wanted = normal_url(url)
    is_on_site = bool(asker.site) and site_of(wanted) == asker.site
    if not is_on_site and wanted not in urls_in(asker.messages):
        raise ValueError(f"{wanted[:200]!r} is neither an address that the user wrote nor on the site asked about")
    return wanted


def own_words(words: str, asker: Asker) -> str:
    """Return the passage of the user's messages that ``words`` quotes, as written.

    Case and white space may differ. Raises ``ValueError`` for words that are not the user's.
    """
    sought = words.split()
    if not sought or len(words) > MAX_REMEMBERED:
        raise ValueError(f"expected 1 to {MAX_REMEMBERED} characters of the user's own words")
    pattern = re.compile(r"(?<!\w)" + r"\s+".join(re.escape(word) for word in sought) + r"(?!\w)", re.IGNORECASE)
    for message in reversed(asker.messages):
        match = pattern.search(message)
        if match:
            return " ".join(match[0].split())
    raise ValueError(f"{words[:200]!r} are not the user's words: only the user's exact words are remembered")


def deciding_words(question: str) -> list[str]:
    """Return the deciding words of ``question``: numbers, names, dates, addresses, opposites, parts.

    Two questions that differ in one of them have nearly the same vector but different answers, and so do two that name
    batches or dates in a different order.
    """
    words = [word.strip("([{" + _CLOSING) for word in question.casefold().split()]
    named = dict.fromkeys(word for word in words if word and not word.isalpha() and word not in DECIDING)
    return [*sorted(DECIDING.intersection(words)), *named]
