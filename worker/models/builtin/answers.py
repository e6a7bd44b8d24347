"""The built-in model's answers to questions: it knows a few patterns, calls tools, and restates their results.

It understands no language and makes nothing up: for a question of no known pattern it lists those it can answer. The
numbers, names and scan ids of an answer all come from the tools' documents of the same turn. ``models.py`` is the
model; the tools' documents are described in ``worker/agent/conversation/history_tools.py`` and ``compare_tool.py``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

from producer.contract import JsonObject
from producer.contract.advice import all_advice
from worker.models.builtin.components import between, is_first, mend_first, since_when, since_when_of, two_times_of
from worker.models.builtin.counting import count_of, count_sentence
from worker.models.builtin.scope import PRONOUNS, Scope, place_in, scope_of
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
    "The built-in model answers questions such as: Which page has the worst barriers? What about the checkout page? "
    "How many image-alt barriers are on /cart? What changed since Monday? What changed between nightly-1 and "
    "nightly-2? Which component should we fix first? Since when is the header broken? Remember that the shop is "
    "rebuilt in May. "
    "For all other questions set CHAT_MODEL to a language model and OLLAMA_BASE_URL to its server."
)
ORDINALS: Final = ("worst", "second", "third", "fourth", "fifth")

_CITED: Final = re.compile(r"\[scan ([A-Za-z0-9][A-Za-z0-9_.-]{0,127})")
_CHANGES: Final = re.compile(
    r"(?<![\w-])(?:chang\w*|new|worse|better|fixed|mended|different|regress\w*|improv\w*)(?![\w-])", re.IGNORECASE
)
_GROUPS: Final = re.compile(r"\b(?:groups|templates|sections)\b", re.IGNORECASE)
_WHICH_GROUP: Final = re.compile(r"\b(?:which|what|worst) (groups?|templates?|sections?)\b", re.IGNORECASE)
_FILLER_WORDS: Final = """
a about accessibility all an and any anything are as at barrier barriers batch batches be became become been
begin best better between big biggest bring brings broke broken by can change changed changes compare compared
comparison component components could did different do does done error errors every fifth first fix fixed fixing
for fourth from get gets getting got gotten group groups had happened has have highest how i if important
improved improvement improvements improving in is issue issues it list many me mend mended mending more most
much my new newly next now of on one or our page pages please prioritise prioritize priority problem problems
regressed regression regressions repair repairing rule rules run runs second section sections should show since
site sites so some something start tackle tell template templates than that the their them there these they
thing things third this those time to top up urgent us violation violations was we went were what when where
which with worse worst would you your
"""
_FILLERS: Final = frozenset(_FILLER_WORDS.split())
"""Words that do not change the meaning of a question of these patterns."""


@dataclass(frozen=True, slots=True)
class ModelInput:
    """The model's input: the question, the tools' answers to it, the scans cited before it."""

    question: str
    told: tuple[JsonObject, ...]
    cited: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Next:
    """The model's next step: text, or one call."""

    text: str = ""
    call: ToolCall | None = None
    refuses: bool = False
    """Whether part of the question was not understood: another pattern may match it."""


def answer(messages: Sequence[Message]) -> Next:
    """Return the next step of the conversation. The last message of the user is the question."""
    heard = read_input(messages)
    question = re.sub(
        r"\b(what|where|which)['\u2019]s\b", r"\1 is", " ".join(heard.question.split()), flags=re.IGNORECASE
    )
    refusal: Next | None = None
    for shape in (_remember, _first, _since_when, _between, _changed, _count, _worst, _about):
        step = shape(question, heard)
        if step is not None and not step.refuses:
            return step
        refusal = refusal or step
    return refusal or Next(CAN)


def read_input(messages: Sequence[Message]) -> ModelInput:
    """Return the question, the tools' answers to it, and the scans cited before, those of the latest answer first."""
    at = max((place for place, message in enumerate(messages) if message.is_question), default=-1)
    question = messages[at].content if at >= 0 else ""
    told = tuple(_document(message.content) for message in messages[at + 1 :] if message.role == "tool")
    answers = (message.content for message in reversed(messages[: max(at, 0)]) if message.role == "assistant")
    return ModelInput(question, told, tuple(name for text in answers for name in _CITED.findall(text)))


# ---------------------------------------------------------------------------------------------- shapes


def _remember(question: str, heard: ModelInput) -> Next | None:
    match = re.match(r"(?:please )?remember(?: that)?[:,]? (.+)", question, re.IGNORECASE)
    return None if match is None else _ask(heard, "remember", {"words": match[1]}, remembered)


def _first(question: str, heard: ModelInput) -> Next | None:
    """Say what to fix first: by component name, else by group name."""
    if not is_first(question):
        return None
    scope = scope_of(question)
    if left := _left(scope) or str(scope.filters.get("url", "")):
        return _unread(left)
    words = re.sub(r" group$", "", str(scope.filters.pop("words", "")))
    asked = {"limit": 5, **scope.filters, **({"since": scope.time} if scope.time else {})}
    named = {"words": words} if words else {}
    if words and heard.told and not heard.told[0].get("component_barriers") and "error" not in heard.told[0]:
        return _ask(heard, "list_components", {**asked, "group": words}, lambda told: mend_first(told, words), after=1)
    return _ask(heard, "list_components", {**asked, **named}, lambda told: mend_first(told, words))


def _since_when(question: str, heard: ModelInput) -> Next | None:
    """Say since when a component has been broken, or, if no page has it any more, when it was fixed."""
    thing = since_when_of(question)
    if not thing:
        return None
    asked = {"rule" if thing in all_advice() else "words": thing, "limit": 5}
    if heard.told and not heard.told[0].get("component_barriers") and "error" not in heard.told[0]:
        return _ask(heard, "list_components", {**asked, "mended": True}, lambda told: since_when(told, thing), after=1)
    return _ask(heard, "list_components", asked, lambda told: since_when(told, thing))


def _between(question: str, heard: ModelInput) -> Next | None:
    named = two_times_of(question)
    if named is None:
        return None
    before, after, rest = named
    scope = scope_of(rest)
    if left := _left(scope):
        return _unread(left)
    asked = {"before": before, "after": after, "limit": 5, **scope.filters}
    return _ask(heard, "compare_scans", asked, between)


def _count(question: str, heard: ModelInput) -> Next | None:
    count = count_of(question)
    if count is None:
        return None
    if count.unread:
        return _unread(count.unread)
    if heard.told and "words" in count.arguments and heard.told[0].get("pages_looked_at") == 0:
        # No page has that name: a component may.
        asked = {name: value for name, value in count.arguments.items() if name != "words"}
        asked["component"] = count.arguments["words"]
        return _ask(heard, "search_scans", asked, lambda told: count_sentence(told, count), after=1)
    return _ask(heard, "search_scans", count.arguments, lambda told: count_sentence(told, count))


def _worst(question: str, heard: ModelInput) -> Next | None:
    low = question.lower()
    is_worst = re.search(r"\b(?:worst|most (?:\w+ ){0,2}(?:barriers|problems|issues|errors|violations))\b", low)
    ordinal = next((name for name in ORDINALS[1:] if re.search(rf"\b{name}\b", low)), "")
    if not is_worst and not (ordinal and heard.cited):
        return None
    if group := _WHICH_GROUP.search(question):
        return _unread(group[1])  # no tool sums the barriers of groups, and a page is no answer
    scope = scope_of(question)
    if left := _left(scope):
        return _unread(left)
    place = str(scope.filters.get("url", ""))
    if re.fullmatch(r"(?:https?://)?[^/]+/?", place):
        scope.filters["site"] = scope.filters.pop("url")  # https://shop.example/ here means the site
    elif place:
        return _about_words(place, heard)
    rank = ORDINALS.index(ordinal) if ordinal else 0
    asked = {"order": "worst", "limit": max(3, rank + 1), **scope.filters}
    if scope.time:
        asked["since"] = scope.time
    return _ask(heard, "search_scans", asked, lambda told: worst(told, rank, _named(scope)))


def _changed(question: str, heard: ModelInput) -> Next | None:
    scope = scope_of(question)
    if not _CHANGES.search(scope.rest):
        return None
    if left := _left(scope):
        return _unread(left)
    since = scope.time or "last week"
    asked = {"since": since, "limit": 5, **scope.filters}
    if _GROUPS.search(question):
        return _ask(heard, "compare_scans", asked, lambda told: groups(told, since))
    about = _named(scope)
    return _ask(heard, "compare_scans", asked, lambda told: changes(told, since, about, is_assumed=not scope.time))


def _about(question: str, heard: ModelInput) -> Next | None:
    match = re.match(
        r"(?:and )?(?:what (?:about|is (?:wrong|the matter|broken) (?:with|on|in))|tell me (?:more )?about|how is|"
        r"what are the (?:barriers|problems|issues) (?:of|on|in|with|at)|"
        r"which barriers (?:are on|does|has)|(?:what|which) (?:barriers|problems|issues) (?:are (?:on|in)|does|has))"
        r" (.+?)(?: have)?(?<![?.!])[?.!]*$",
        question,
        re.IGNORECASE,
    )
    if match is None:
        return None
    target = match[1].strip(" \"'")
    if target.lower() in PRONOUNS:
        if not heard.cited:
            return Next(
                "Which page do you mean? No page was mentioned before. Name one by words of its address or title."
            )
        return _ask(heard, "get_scan", {"scan": heard.cited[0]}, about_scan)
    place = place_in(target)
    if "://" in place:
        return _ask(heard, "get_scan", {"url": place}, about_scan)
    return _about_words(place or target, heard)


def _about_words(target: str, heard: ModelInput) -> Next:
    """Look for pages with that name or path, then show the only one, or list several; else look for a group."""
    name = re.sub(r"^(?:the|a|our|my) | (?:pages?|group|section|template)$", "", target, flags=re.IGNORECASE)
    name = re.sub(r"^(?:group|page|section|template) ", "", name, flags=re.IGNORECASE).strip(" \"'")
    wanted = "url" if place_in(name) == name else "words"
    if not heard.told:
        return Next(call=_call(heard, "search_scans", {wanted: name, "order": "worst", "limit": 5}))
    first = heard.told[0]
    scans = objects(first.get("scans"))
    # A shop's name may be in every title: the address distinguishes pages.
    exact = (
        scans
        if len(scans) == 1 or wanted == "url"
        else [one for one in scans if name.lower() in str(one.get("url")).lower()]
    )
    if len(exact) == 1 and not first.get("left_out"):
        return _ask(heard, "get_scan", {"scan": exact[0]["scan"]}, about_scan, after=1)
    if "error" in first or scans or wanted == "url":
        return Next(_say(first, lambda told: pages(told, name)))
    if len(heard.told) == 1:
        return Next(call=_call(heard, "search_scans", {"group": name, "order": "worst", "limit": 5}))
    return Next(_say(heard.told[1], lambda told: pages(told, name) if told.get("pages") else no_page(name)))


# ---------------------------------------------------------------------------------------------- parts


def _ask(
    heard: ModelInput, tool: str, arguments: JsonObject, say: Callable[[JsonObject], str], *, after: int = 0
) -> Next:
    """Call ``tool`` once the first ``after`` tools have answered; then put its answer into words."""
    if len(heard.told) <= after:
        return Next(call=_call(heard, tool, arguments))
    return Next(_say(heard.told[after], say))


def _say(told: JsonObject, say: Callable[[JsonObject], str]) -> str:
    error = told.get("error")
    return f"That cannot be answered: {error}" if error else say(told)


def _call(heard: ModelInput, tool: str, arguments: JsonObject) -> ToolCall:
    return ToolCall(tool, arguments, f"builtin-{len(heard.told)}")


def _unread(words: str) -> Next:
    """Say which words of a question were not understood: without them the question would be different."""
    said = f"The built-in model does not understand {words[:200]!r} here, and does not answer without it. {CAN}"
    return Next(said, refuses=True)


def _left(scope: Scope) -> str:
    """Return the words of the question that were not understood."""
    return " ".join(word for word in re.findall(r"[\w-]+", scope.rest) if word.lower() not in _FILLERS)


def _named(scope: Scope) -> str:
    """Return the scope of the question, in words."""
    return ", ".join(f"{name} {value!r}" for name, value in scope.filters.items())


def _document(text: str) -> JsonObject:
    try:
        value: object = json.loads(text)
    except ValueError:
        value = None
    return cast("JsonObject", value) if isinstance(value, dict) else {"error": "the tool's result cannot be read"}
