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
_ASKING: Final = frozenset(
    """
    a an the i we you it they me us them my our your its their this that these those there here
    am is are was were be been being do does did has have had having can could would will shall should might
    what which about as at by for in into of on to with
    explain tell describe show give say let know see look get got please just currently right also then so if
    accessibility web website
    """.split()  # noqa: SIM905  a line for each kind of word
)
"""Words that a question may have or lack without asking something else."""
_ANYWHERE: Final = frozenset(
    """
    worst best worse better most least more less
    how many much who whom whose when where why
    page pages site sites group groups template templates section sections scan scans batch batches rule rules
    element elements barrier barriers problem problems issue issues error errors violation violations
    """.split()  # noqa: SIM905  as above
)
"""Words that change a question's meaning wherever they stand in it."""

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
    """Return the deciding words of ``question``: all but those of asking.

    Two questions that differ in one of them may have nearly the same vector but different answers: it may name a page,
    a group or a time. So do two that name them in a different order.
    """
    words = [word.strip("([{" + _CLOSING) for word in question.casefold().split()]
    named = dict.fromkeys(word for word in words if word and word not in _ANYWHERE | _ASKING)
    return [*sorted(_ANYWHERE.intersection(words)), *named]
