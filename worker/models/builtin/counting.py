"""``How many image-alt barriers are on /cart?``: what to count, on which pages, and the answer. Pure.

Only a question that is understood completely is answered: any word left over might have changed the number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, cast

from producer.contract import IMPACTS, JsonObject
from producer.contract.advice import all_advice
from producer.reports.plain_text import counted
from worker.models.builtin.scope import scope_of
from worker.models.builtin.sentences import MAX_LISTED, cite, gaps, list_of, number_of, objects

Subject = Literal["barriers", "pages", "rules", "components"]
_ASKS: Final = re.compile(r"\b(?:how many|number of|count)\b", re.IGNORECASE)
_SUBJECTS: Final[dict[Subject, str]] = {
    "components": r"component barriers?|components?",
    "pages": r"pages?",
    "rules": r"rules?",
    "barriers": r"(?:accessibility )?(?:barriers?|problems?|issues?|errors?|violations?|findings?|elements?|failures?)",
}
_NOUNS: Final = {"accessibility", "component", "components"}
_SINCE_WORD: Final = re.compile(r"\b(?:since|after|from)\b", re.IGNORECASE)
_COMPONENT: Final = re.compile(
    r"\b(?:the )?component [\"\u201c](?P<quoted>[^\"\u201c\u201d]+)[\"\u201d]"
    r"|\b(?:the|our) (?P<named>[\w-]+(?: [\w-]+){0,5}?) component\b(?! barriers?\b)"
    r"|\b(?:is|are|was|were) (?:the |our )(?P<broken>[\w-]+(?: [\w-]+){0,5}?)"
    r" (?=(?:broken|failing|wrong|inaccessible)\b)",
    re.IGNORECASE,
)
"""A component by its name: ``On how many pages is the search field broken?``"""
_FILLER_WORDS: Final = """
how many number of count the a an is are was were there be do does did has have had with that which what and
any all on in of at for it its this our my we you i please can could tell me show give now currently today
still right there found exist exists open fail fails failed failing break breaks broke broken contain contains
show shows violate violates rule rules impact pages page barriers barrier
"""
_FILLERS: Final = frozenset(_FILLER_WORDS.split())


@dataclass(frozen=True, slots=True)
class Count:
    """What to count: ``arguments`` of ``search_scans``; ``unread`` are words that were not understood."""

    subject: Subject
    what: str
    arguments: JsonObject
    unread: str


def count_of(question: str) -> Count | None:
    """Return what ``question`` asks to count; None if it does not ask for a number."""
    asked = _ASKS.search(question)
    if asked is None:
        return None
    named = _COMPONENT.search(question)
    rest = f"{question[: named.start()]} {question[named.end() :]}" if named else question
    scope = scope_of(re.sub(r"\b(?:on|in|of|for) (?=how many)", "", rest, flags=re.IGNORECASE))
    arguments: JsonObject = {"order": "worst", "limit": MAX_LISTED, **scope.filters}
    if named:
        arguments["component"] = next(filter(None, named.groups()))
    if scope.time:
        arguments["since" if _SINCE_WORD.search(question) else "until"] = scope.time
    words = re.findall(r"[\w-]+", scope.rest)
    rules = [word.lower() for word in words if word.lower() in all_advice()]
    impacts = [word.lower() for word in words if word.lower() in IMPACTS]
    if len(rules) == 1:
        arguments["rule"] = rules[0]
    if len(impacts) == 1:
        arguments["impact"] = impacts[0]
    taken = {*rules[:1], *impacts[:1]}
    places: dict[Subject, int] = {
        name: found.start() for name, form in _SUBJECTS.items() if (found := _named(form, scope.rest, taken))
    }
    subject: Subject = min(places, key=places.__getitem__) if places else "barriers"
    left = [word for word in words if word.lower() not in taken | _FILLERS and not _is_noun(word)]
    what = " ".join((*impacts[:1], *rules[:1]))
    return Count(subject, what, arguments, " ".join([*left, *rules[1:], *impacts[1:]]))


def count_sentence(told: JsonObject, count: Count) -> str:
    """Say how many there are and on which pages, and cite the scans."""
    looked, pages, scans = number_of(told, "pages_looked_at"), number_of(told, "pages"), objects(told.get("scans"))
    when = (
        f" as of {told['as_of']}" if told.get("as_of") else f" seen since {told['since']}" if told.get("since") else ""
    )
    if not looked:
        return f"No scanned page fits: {_scope_words(count)}{when}."
    total = number_of(cast("JsonObject", told.get("barriers_of_all_pages") or {}), "total")
    rule = str(count.arguments.get("rule", ""))
    # A page's entry counts by rule, not by component or impact.
    is_part = not rule and count.arguments.keys() & {"component", "impact"}
    worst = list_of(scans, rule, of_all=" elements in all" if is_part else "")
    kind = f"{count.what} " if count.what else ""
    of = f"of {counted(looked, 'page')} looked at{when}"
    partly = sum(one.get("status") == "partial" for one in scans)
    doubt = f" {counted(partly, 'page')} of these could be read only in part: there may be more." if partly else ""
    if not total:
        seen = objects(told.get("looked_at"))
        where = f" on {seen[0].get('url')}" if looked == 1 and seen else ""
        return f"No machine-detectable {kind}barrier was found{where}, {of} {cite(seen)}.{doubt}"
    if count.subject == "pages":
        return f"{counted(pages, 'page')} {of} have {kind}barriers, the worst first: {worst}.{_more(told)}{doubt}"
    if count.subject == "components":
        number = counted(number_of(told, "component_barriers"), f"{kind}component barrier")
        return f"{number} on {counted(pages, 'page')} {of}, the worst first: {worst}.{_more(told)}{doubt}"
    if count.subject == "rules":
        rules = cast("JsonObject", told.get("rules") or {})
        number = len(rules) + number_of(told, "rules_left_out")
        said = f"{counted(number, 'rule')} failed, {of}: {', '.join(rules)}"
        return f"{said} {cite(scans)}.{_more(told)}{doubt}"
    same = number_of(told, "component_barriers")
    parts = f", in {counted(same, 'component barrier')}" if same else ""
    said = f"{counted(total, 'element')} with {kind}barriers{parts}"
    if looked == 1 and scans:
        return f"{said} on {scans[0].get('url')}{when} {cite(scans)}.{doubt}"
    return f"{said} on {counted(pages, 'page')} {of}, the worst first: {worst}.{_more(told)}{doubt}"


def _scope_words(count: Count) -> str:
    named = [
        f"{name} {value!r}"
        for name, value in count.arguments.items()
        if name in {"url", "site", "group", "words", "component"}
    ]
    return ", ".join(named) or "nothing has been scanned yet"


def _more(told: JsonObject) -> str:
    left = number_of(told, "left_out")
    said = f" {counted(left, 'further page')} not listed." if left else ""
    summed = number_of(told, "rules_are_summed_over_pages")
    summed_over = [f" Rules were summed over only {counted(summed, 'page')}."] if summed else []
    return "".join([said, *summed_over, *(f" {line}" for line in gaps(told))])


def _named(form: str, text: str, taken: set[str]) -> re.Match[str] | None:
    """Find a noun that the question names; ``label`` in ``label barriers`` is a rule."""
    found = re.search(rf"\b(?:{form})\b", text, re.IGNORECASE)
    return None if found is not None and found[0].lower() in taken else found


def _is_noun(word: str) -> bool:
    return any(re.fullmatch(form, word, re.IGNORECASE) for form in _SUBJECTS.values()) or word.lower() in _NOUNS
