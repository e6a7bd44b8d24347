"""Asks a chat model for proposals on undecided elements, with one focused prompt per area.

A proposal always needs review: it is stored in a field of the assessment that is never counted. Each must refer to an
element that was shown, with one of three verdicts. One repair is requested; an area that fails loses only its own
proposals, with a note. Each area is a model call, so their number is limited.

A proposal applies to the same component on all pages of its site and is requested once (``shared_answers.py``); if the
question is about wording, to elements with the same words.

An area is one file, ``prompts/review/<area>.md``: its first line names its rules, the rest is the prompt. Together they
name all rules of axe-core (``worker/scan/vendor``) that can end ``incomplete``; a test in ``tests/browser`` reads these
from the shipped program, so that every new rule gets an area.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from html.parser import HTMLParser
from importlib.resources import files
from typing import Final, Literal

from pydantic import BaseModel

from producer.contract import Finding, JsonObject, Node, ReviewProposal, ScanResult, Usage
from producer.errors import AnswerTruncated, ContextExceeded, ModelError
from worker.agent import prompts
from worker.agent.assessment.shared_answers import Answers, Asked, OwnAnswers, SharedAnswer, obtain
from worker.agent.prompts import REPAIR, clip, load_prompt, node_quoted, version_of
from worker.agent.structured_reply import MAX_STATEMENT, Answered, NoAnswer, ask_in_form, schema_about
from worker.models.context_budget import most_tokens
from worker.models.protocols import ChatModel, Message, add_usage

MAX_ELEMENTS: Final = 8
"""Elements shown per area: with more, small models copy ids wrongly and run out of context."""
BUDGET_TOKENS: Final = 5_000
"""With instructions and answer they fit the 8,192 of small models."""
MAX_GROUPS: Final = 64
"""Elements looked up per area and page."""
BY_WORDS: Final = frozenset({"images", "links", "media", "names", "structure", "tables"})
"""Areas whose question is about an element's wording; in others, the component is enough."""
_SAYING: Final = frozenset(
    {"alt", "aria-label", "aria-description", "aria-roledescription", "label", "placeholder", "title", "value"}
)

_NAMES: Final = sorted(file.name.removesuffix(".md") for file in files(prompts).joinpath("review").iterdir())
_FILES: Final = {area: load_prompt(f"review/{area}").partition("\n\n") for area in _NAMES}
_SYSTEM: Final = load_prompt("review")

AREAS: Final = {area: frozenset(head.removeprefix("Rules: ").split(", ")) for area, (head, _, _) in _FILES.items()}
"""Rules by area."""
REVIEW_PROMPTS: Final = {area: f"{_SYSTEM}\n\n{prompt}" for area, (_, _, prompt) in _FILES.items()}
REVIEW_VERSIONS: Final = {area: version_of(f"review-{area}", text, REPAIR) for area, text in REVIEW_PROMPTS.items()}
_AREA_OF: Final = {rule: area for area, rules in AREAS.items() for rule in rules}


class ProposalDraft(BaseModel):
    """One proposal as a model writes it."""

    element: str
    verdict: Literal["barrier", "no_barrier", "cannot_tell"]
    why: str = ""
    look_at: str = ""


class ReviewDraft(BaseModel):
    """The proposals about one area as a model writes them."""

    proposals: list[ProposalDraft]


class Proposal(SharedAnswer):
    """A proposal by ``model`` about one component."""

    verdict: Literal["barrier", "no_barrier", "cannot_tell", ""] = ""
    why: str = ""
    look_at: str = ""

    @property
    def is_told(self) -> bool:
        """Whether it has a value."""
        return bool(self.verdict)


NOT_PROPOSED: Final = Proposal()

Element = tuple[Finding, Node]
Groups = Mapping[str, Sequence[Element]]
"""Elements of one proposal, by the digest of the question."""


@dataclass(frozen=True, slots=True)
class ReviewTask:
    """The question about one area; ``shown`` has the digest by the element's fingerprint."""

    area: str
    messages: tuple[Message, ...]
    shown: Mapping[str, str]


@dataclass(slots=True)
class Proposed(Asked[Proposal]):
    """The answers about one area so far; ``is_answered`` if a call returned a valid one."""

    is_answered: bool = False


@dataclass(frozen=True, slots=True)
class Reviewed:
    """The proposals; ``prompts`` has the version of each answered area's prompt.

    ``saved`` counts the calls avoided by known proposals.
    """

    proposals: tuple[ReviewProposal, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict[str, str])
    unreviewed: int = 0
    notes: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    failure: ModelError | None = None
    saved: int = 0


async def review(
    chat: ChatModel, result: ScanResult, *, max_areas: int, shared: Answers[Proposal] | None = None
) -> Reviewed:
    """Return the proposals of ``chat`` for elements of ``result`` that need review, worst areas first.

    Without ``shared`` each element is asked about separately. Raises no error that the model can cause, but ``Busy`` if
    other jobs are asking for the rest and take long.
    """
    proposals: list[ReviewProposal] = []
    versions: dict[str, str] = {}
    notes: list[str] = []
    usage, failure, saved = Usage(), None, 0
    for area, findings in areas_of(result)[:max_areas]:
        groups = groups_of(area, findings, model="" if shared is None else chat.name)
        done = Proposed(MAX_ELEMENTS, max_calls=1)
        answers = OwnAnswers[Proposal]() if shared is None else shared
        await obtain(groups, answers, done, partial(_ask, chat, done, area, result))
        usage = add_usage(usage, done.usage)
        if done.reason:
            notes.append(f"no proposals about {area}: {done.reason}")
        found = list(_proposals(area, groups, done))
        if done.is_answered or found:
            versions[area] = REVIEW_VERSIONS[area]
        saved += int(bool(found) and not done.calls)
        proposals += found
        failure = done.failure
        if failure is not None:
            break  # wait for an unavailable model once, not once per area
    waiting = sum(finding.node_count for finding in result.incomplete)
    model = proposals[-1].source if proposals else chat.name
    return Reviewed(tuple(proposals), versions, waiting - len(proposals), tuple(notes), usage, model, failure, saved)


async def _ask(chat: ChatModel, done: Proposed, area: str, result: ScanResult, groups: Groups) -> frozenset[str]:
    """Ask once about the first element of each group, with one repair; return the digests asked about."""
    task = review_task(area, groups, result)
    schema = schema_about(ReviewDraft, "proposals", key="element", known=tuple(task.shown))
    answer = await ask_in_form(chat, task.messages, ReviewDraft, schema, entries="proposals")
    done.calls += 1
    done.usage = add_usage(done.usage, answer.usage)
    if isinstance(answer, NoAnswer):
        if isinstance(answer.failure, ContextExceeded) and len(task.shown) > 1:  # its tokenizer makes more of them
            half = list(task.shown.values())[: len(task.shown) // 2]
            return await _ask(chat, done, area, result, {digest: groups[digest] for digest in half})
        done.reason = answer.reason
        if answer.failure is None or isinstance(answer.failure, AnswerTruncated | ContextExceeded):
            done.found |= dict.fromkeys(task.shown.values(), NOT_PROPOSED)  # it would answer the same again
        else:
            done.failure = answer.failure
        return frozenset(task.shown.values())
    done.is_answered = True
    found = dict(accept_review(answer, task))
    if not answer.is_cut:
        found = dict.fromkeys(task.shown.values(), NOT_PROPOSED) | found
    done.found |= found
    return frozenset(found)


def areas_of(result: ScanResult) -> list[tuple[str, list[Finding]]]:
    """Return each area that has undecided elements, the worst impact first, then the most elements."""
    areas: dict[str, list[Finding]] = {}
    for finding in result.incomplete:
        if finding.nodes and area_of(finding.rule):
            areas.setdefault(area_of(finding.rule), []).append(finding)

    def urgency(area: str) -> tuple[int, int, str]:
        worst = max(finding.impact.rank if finding.impact else -1 for finding in areas[area])
        return (-worst, -sum(finding.node_count for finding in areas[area]), area)

    return [(area, areas[area]) for area in sorted(areas, key=urgency)]


def groups_of(area: str, findings: Sequence[Finding], *, model: str) -> dict[str, list[Element]]:
    """Return the elements of an area grouped by the question for ``model``; separately if ``model`` is ''."""
    groups: dict[str, list[Element]] = {}
    for finding, node in _in_turn(findings):
        about = [node.fingerprint]
        if model and node.issue_id:
            words = words_of(node.snippet) if area in BY_WORDS else ""
            about = [model, REVIEW_VERSIONS[area], finding.rule, node.issue_id, words]
        digest = sha256(json.dumps(["review", *about]).encode()).hexdigest()[:40]
        if digest in groups or len(groups) < MAX_GROUPS:
            groups.setdefault(digest, []).append((finding, node))
    return groups


def area_of(rule: str) -> str:
    """Return the area of ``rule``, or ''."""
    return _AREA_OF.get(rule, "")


def accept_review(answer: Answered[ReviewDraft], task: ReviewTask) -> Iterator[tuple[str, Proposal]]:
    """Yield the first proposal about each element of the task, by digest."""
    left = dict(task.shown)
    for draft in answer.draft.proposals:
        digest = left.pop(draft.element, None)
        if digest is not None:
            why, look_at = clip(draft.why, MAX_STATEMENT), clip(draft.look_at, MAX_STATEMENT)
            yield digest, Proposal(verdict=draft.verdict, why=why, look_at=look_at, model=answer.model)


def _proposals(area: str, groups: Groups, done: Proposed) -> Iterator[ReviewProposal]:
    """Yield the proposals for elements of the page, a few per component."""
    for digest, elements in groups.items():
        one = done.found.get(digest, NOT_PROPOSED)
        if one.verdict:
            for finding, node in elements[:MAX_ELEMENTS]:
                yield ReviewProposal(
                    fingerprint=node.fingerprint,
                    rule=finding.rule,
                    area=area,
                    verdict=one.verdict,
                    why=one.why,
                    look_at=one.look_at,
                    source=one.model,
                )


def review_task(area: str, groups: Groups, result: ScanResult) -> ReviewTask:
    """Return the question about the first element of each group: as many as fit, at least one."""
    shown: dict[str, str] = {}
    elements: list[JsonObject] = []
    left = BUDGET_TOKENS
    for digest, ((finding, node), *_) in groups.items():
        entry = {
            "element": node.fingerprint,
            "rule": finding.rule,
            "criteria": list(finding.criteria),
            "help": clip(finding.help),
            **node_quoted(node),
        }
        left -= most_tokens(json.dumps(entry, ensure_ascii=False))
        if (elements and left < 0) or len(elements) == MAX_ELEMENTS:
            break
        elements.append(entry)
        shown[node.fingerprint] = digest
    waiting = sum(finding.node_count for finding in result.incomplete if area_of(finding.rule) == area)
    document: JsonObject = {
        "task": "review",
        "area": area,
        "page": {"title": clip(result.title), "url": clip(result.final_url or result.url)},
        "elements": elements,
        "elements_left_out": waiting - len(elements),
    }
    question = Message("user", json.dumps(document, ensure_ascii=False))
    return ReviewTask(area, (Message("system", REVIEW_PROMPTS[area]), question), shown)


def words_of(snippet: str) -> str:
    """Return an element's wording: its text and the texts in its attributes."""
    reader = _Words()
    # Raw text of a page such as <xmp><![x[ makes Python's parser (python/cpython issue 77057) assert.
    with contextlib.suppress(AssertionError):
        reader.feed(snippet)
    return " ".join(" ".join(reader.words).split())


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del tag
        self.words += [f"{name}={value}" for name, value in attrs if name in _SAYING and value]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def _in_turn(findings: Sequence[Finding]) -> Iterator[tuple[Finding, Node]]:
    """Yield the first element of each finding, then the second of each, and so on."""
    for number in range(max(len(finding.nodes) for finding in findings)):
        for finding in findings:
            if number < len(finding.nodes):
                yield finding, finding.nodes[number]
