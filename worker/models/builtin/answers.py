"""How the builtin model answers questions: it knows a handful of shapes, asks the tools, and restates what they tell.

Nothing is understood and nothing is made up: a question of no known shape gets a plain list of those it can answer. The
numbers, names and scan ids of an answer all come from the tools' documents of this very turn. ``models.py`` is the
model; what the tools' documents hold is in ``worker/agent/conversation/history_tools.py`` and ``compare_tool.py``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

from producer.contract import JsonObject
from worker.models.builtin.sentences import (
    about_scan,
    changes,
    groups,
    no_page,
    objects,
    pages,
    remembered,
    worst,
)
from worker.models.protocols import Message, ToolCall

CAN: Final = (
    "The builtin model answers only such as: Which page has the worst barriers? What about the checkout page? "
    "What changed since Monday? Remember that the shop is rebuilt in May. "
    "For all other questions set CHAT_MODEL to a language model and OLLAMA_BASE_URL to its server."
)
ORDINALS: Final = ("worst", "second", "third", "fourth", "fifth")

_CITED: Final = re.compile(r"\[scan ([A-Za-z0-9][A-Za-z0-9_.-]{0,127})")
_URL: Final = re.compile(r"https?://[^\s<>\"'`]+", re.IGNORECASE)
_HOST: Final = re.compile(r"\b(?:on|of|at|for|site) ((?:[a-z0-9-]+\.)+[a-z]{2,}|(?:\d{1,3}\.){3}\d{1,3})(?=[\s?!.,]|$)")
_GROUP: Final = re.compile(r"\bgroup (?:\"([^\"]+)\"|([\w-]+))", re.IGNORECASE)
_TIME: Final = r"(?:the )?[\w:.-]+(?:,? [\w:.-]+){0,3}?"
_SINCE: Final = re.compile(rf"\b(?:since|after|from) ({_TIME})[\s?!.]*$|^since ({_TIME}(?:, \d{{4}})?),", re.IGNORECASE)
_MONTHS: Final = "january|february|march|april|may|june|july|august|september|october|november|december"
_IN: Final = re.compile(
    rf"\bin ((?:the )?(?:last|past) \w+(?: \w+)?|(?:{_MONTHS})(?: \d{{4}})?|\d{{4}})[\s?!.]*$", re.IGNORECASE
)
_ENDING_TIME: Final = re.compile(r"\b(yesterday|today|(?:last|this) \w+)[\s?!.]*$", re.IGNORECASE)
_GROUPS: Final = re.compile(r"\b(?:groups|templates|sections)\b", re.IGNORECASE)
_PRONOUNS: Final = frozenset({"it", "that", "this", "there", "that page", "this page", "the page", "that one", "them"})


@dataclass(frozen=True, slots=True)
class Talk:
    """What the model was handed: the question, the answers of the tools since, the scans cited before it."""

    question: str
    told: tuple[JsonObject, ...]
    cited: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Next:
    """What the model says next: words, or one call."""

    text: str = ""
    call: ToolCall | None = None


def answer(messages: Sequence[Message]) -> Next:
    """Return the next step of the conversation. The last user message is the question."""
    talk = read_talk(messages)
    question = " ".join(talk.question.split()).strip()
    for shape in (_remember, _worst, _changed, _about):
        step = shape(question, talk)
        if step is not None:
            return step
    return Next(CAN)


def read_talk(messages: Sequence[Message]) -> Talk:
    """Return the question, what the tools told since, and which scans were cited before, the latest answer's first."""
    at = max((place for place, message in enumerate(messages) if message.role == "user"), default=-1)
    question = messages[at].content if at >= 0 else ""
    told = tuple(_document(message.content) for message in messages[at + 1 :] if message.role == "tool")
    answers = (message.content for message in reversed(messages[: max(at, 0)]) if message.role == "assistant")
    return Talk(question, told, tuple(name for text in answers for name in _CITED.findall(text)))


# ---------------------------------------------------------------------------------------------- shapes


def _remember(question: str, talk: Talk) -> Next | None:
    match = re.match(r"(?:please )?remember(?: that)?[:,]? (.+)", question, re.IGNORECASE)
    return None if match is None else _ask(talk, "remember", {"words": match[1]}, remembered)


def _worst(question: str, talk: Talk) -> Next | None:
    low = question.lower()
    is_worst = re.search(r"\b(?:worst|most (?:\w+ ){0,2}(?:barriers|problems|issues|errors|violations))\b", low)
    ordinal = next((name for name in ORDINALS[1:] if re.search(rf"\b{name}\b", low)), "")
    if not is_worst and not (ordinal and talk.cited):
        return None
    rank = ORDINALS.index(ordinal) if ordinal else 0
    asked = {"order": "worst", "limit": max(3, rank + 1), **_filters(question)}
    return _ask(talk, "search_scans", asked, lambda told: worst(told, rank))


def _changed(question: str, talk: Talk) -> Next | None:
    words = r"\b(?:chang\w*|new|worse|better|fixed|mended|different|regress\w*|improv\w*)\b"
    if not re.search(words, question, re.IGNORECASE):
        return None
    named = _time_of(question)
    since = named or "last week"
    asked = {"since": since, "limit": 5, **_filters(question)}
    if _GROUPS.search(question):
        return _ask(talk, "compare_scans", asked, lambda told: groups(told, since))
    return _ask(talk, "compare_scans", asked, lambda told: changes(told, since, is_assumed=not named))


def _about(question: str, talk: Talk) -> Next | None:
    match = re.match(
        r"(?:and )?(?:what (?:about|is (?:wrong|the matter|broken) (?:with|on|in))|tell me (?:more )?about|how is|"
        r"which barriers (?:are on|does|has)|(?:what|which) (?:barriers|problems|issues) (?:are (?:on|in)|does|has))"
        r" (.+?)(?: have)?[?.!]*$",
        question,
        re.IGNORECASE,
    )
    if match is None:
        return None
    target = match[1].strip(" \"'")
    if target.lower() in _PRONOUNS:
        if not talk.cited:
            return Next(
                "Which page do you mean? No page was spoken of before. Name one by words of its address or title."
            )
        return _ask(talk, "get_scan", {"scan": talk.cited[0]}, about_scan)
    url = _URL.search(target)
    if url:
        return _ask(talk, "get_scan", {"url": url[0].rstrip(".,;!?")}, about_scan)
    return _about_words(target, talk)


def _about_words(target: str, talk: Talk) -> Next:
    """Look for pages of that name, then show the one there is, or list several; then look for a group."""
    name = re.sub(r"^(?:the|a|our|my) | (?:pages?|group|section|template)$", "", target, flags=re.IGNORECASE)
    name = re.sub(r"^(?:group|page|section|template) ", "", name, flags=re.IGNORECASE).strip(" \"'")
    if not talk.told:
        return Next(call=_call(talk, "search_scans", {"words": name, "order": "worst", "limit": 5}))
    first = talk.told[0]
    scans = objects(first.get("scans"))
    # A shop's name may be in every title: the address tells pages apart.
    exact = scans if len(scans) == 1 else [one for one in scans if name.lower() in str(one.get("url")).lower()]
    if len(exact) == 1 and not first.get("left_out"):
        return _ask(talk, "get_scan", {"scan": exact[0]["scan"]}, about_scan, after=1)
    if "error" in first or scans:
        return Next(_say(first, lambda told: pages(told, name)))
    if len(talk.told) == 1:
        return Next(call=_call(talk, "search_scans", {"group": name, "order": "worst", "limit": 5}))
    return Next(_say(talk.told[1], lambda told: pages(told, name) if told.get("pages") else no_page(name)))


# ---------------------------------------------------------------------------------------------- parts


def _ask(talk: Talk, tool: str, arguments: JsonObject, say: Callable[[JsonObject], str], *, after: int = 0) -> Next:
    """Call ``tool`` once the first ``after`` tools have answered; then say what it told."""
    if len(talk.told) <= after:
        return Next(call=_call(talk, tool, arguments))
    return Next(_say(talk.told[after], say))


def _say(told: JsonObject, say: Callable[[JsonObject], str]) -> str:
    error = told.get("error")
    return f"That cannot be answered: {error}" if error else say(told)


def _call(talk: Talk, tool: str, arguments: JsonObject) -> ToolCall:
    return ToolCall(tool, arguments, f"builtin-{len(talk.told)}")


def _filters(question: str) -> JsonObject:
    """Return the site and the group that the question names."""
    found: JsonObject = {}
    host = _HOST.search(question.lower())
    if host:
        found["site"] = host[1]
    group = _GROUP.search(question)
    if group:
        found["group"] = group[1] or group[2]
    return found


def _time_of(question: str) -> str:
    """Return the time that the question begins or ends with, but for its site and group; "" for none."""
    plain = _HOST.sub("", question)
    plain = re.sub(rf"\b(?:(?:in|of|on|for) )?{_GROUP.pattern}", "", plain, flags=re.IGNORECASE)
    match = _SINCE.search(plain) or _IN.search(plain) or _ENDING_TIME.search(plain)
    return next(filter(None, match.groups()), "") if match else ""


def _document(text: str) -> JsonObject:
    try:
        value: object = json.loads(text)
    except ValueError:
        value = None
    return cast("JsonObject", value) if isinstance(value, dict) else {"error": "the tool's answer cannot be read"}
