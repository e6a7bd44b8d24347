"""Asks a chat model what it proposes about elements that axe-core left undecided, one focused prompt an area.

A proposal needs review whatever it says: it is kept in a field of the assessment that nothing counts. Each must speak
of an element that was shown, in one of three verdicts; one repair is asked for, and an area that fails costs only its
own proposals, with a note. Each area is a call of the model, so there is a limit to them.

An area is one file, ``prompts/review/<area>.md``: its first line names its rules, the rest is the prompt. Together they
name all rules of axe-core (``worker/scan/vendor``) that can end ``incomplete``; a test in ``tests/browser`` reads them
out of the shipped program, so that a new one has to be given an area.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Final, Literal

from pydantic import BaseModel

from producer.contract import Finding, JsonObject, Node, ReviewProposal, ScanResult, Usage
from producer.errors import ModelError
from worker.agent import prompts
from worker.agent.prompts import REPAIR, clip, load_prompt, node_quoted, version_of
from worker.agent.structured_reply import MAX_STATEMENT, Answered, NoAnswer, ask_in_form, schema_about
from worker.models.protocols import ChatModel, Message, add_usage

MAX_ELEMENTS: Final = 8
"""Shown of one area: more make small models copy ids wrongly, and take their context."""
BUDGET_CHARS: Final = 8_000

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


@dataclass(frozen=True, slots=True)
class ReviewTask:
    """What is asked about one area; ``shown`` has the rule by the element's fingerprint."""

    area: str
    messages: tuple[Message, ...]
    shown: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What came of asking: ``prompts`` has the version of each area's prompt that was answered."""

    proposals: tuple[ReviewProposal, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict[str, str])
    unreviewed: int = 0
    notes: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    failure: ModelError | None = None


async def review(chat: ChatModel, result: ScanResult, *, max_areas: int) -> Reviewed:
    """Return what ``chat`` proposes about the elements of ``result`` that need review, the worst areas first.

    Raises nothing that the model can cause.
    """
    proposals: list[ReviewProposal] = []
    versions: dict[str, str] = {}
    notes: list[str] = []
    usage, model, failure = Usage(), "", None
    for task in review_tasks(result)[:max_areas]:
        schema = schema_about(ReviewDraft, "proposals", key="element", known=tuple(task.shown))
        answer = await ask_in_form(chat, task.messages, ReviewDraft, schema, entries="proposals")
        usage = add_usage(usage, answer.usage)
        if isinstance(answer, NoAnswer):
            notes.append(f"no proposals about {task.area}: {answer.reason}")
            failure = answer.failure
            if failure is not None:
                break  # a model that is away is waited for once, not once an area
            continue
        model = answer.model
        versions[task.area] = REVIEW_VERSIONS[task.area]
        proposals += accept_review(answer, task)
    waiting = sum(finding.node_count for finding in result.incomplete)
    return Reviewed(tuple(proposals), versions, waiting - len(proposals), tuple(notes), usage, model, failure)


def review_tasks(result: ScanResult) -> list[ReviewTask]:
    """Return a task for each area that has undecided elements, the worst impact first, then the most elements."""
    areas: dict[str, list[Finding]] = {}
    for finding in result.incomplete:
        if finding.nodes and area_of(finding.rule):
            areas.setdefault(area_of(finding.rule), []).append(finding)

    def urgency(area: str) -> tuple[int, int, str]:
        worst = max(finding.impact.rank if finding.impact else -1 for finding in areas[area])
        return (-worst, -sum(finding.node_count for finding in areas[area]), area)

    return [_task(area, areas[area], result) for area in sorted(areas, key=urgency)]


def area_of(rule: str) -> str:
    """Return the area of ``rule``, '' for a rule nobody is asked about."""
    return _AREA_OF.get(rule, "")


def accept_review(answer: Answered[ReviewDraft], task: ReviewTask) -> Iterator[ReviewProposal]:
    """Yield the proposals that speak of an element of the task, the first one of each."""
    left = dict(task.shown)
    for draft in answer.draft.proposals:
        rule = left.pop(draft.element, None)
        if rule is not None:
            yield ReviewProposal(
                fingerprint=draft.element,
                rule=rule,
                area=task.area,
                verdict=draft.verdict,
                why=clip(draft.why, MAX_STATEMENT),
                look_at=clip(draft.look_at, MAX_STATEMENT),
                source=answer.model,
            )


def _task(area: str, findings: list[Finding], result: ScanResult) -> ReviewTask:
    shown: dict[str, str] = {}
    elements: list[JsonObject] = []
    left = BUDGET_CHARS
    for finding, node in _in_turn(findings):
        entry = {
            "element": node.fingerprint,
            "rule": finding.rule,
            "criteria": list(finding.criteria),
            "help": clip(finding.help),
            **node_quoted(node),
        }
        left -= len(json.dumps(entry, ensure_ascii=False))
        if left < 0 or len(elements) == MAX_ELEMENTS:
            break
        elements.append(entry)
        shown[node.fingerprint] = finding.rule
    document: JsonObject = {
        "task": "review",
        "area": area,
        "page": {"title": clip(result.title), "url": clip(result.final_url or result.url)},
        "elements": elements,
        "elements_left_out": sum(finding.node_count for finding in findings) - len(elements),
    }
    question = Message("user", json.dumps(document, ensure_ascii=False))
    return ReviewTask(area, (Message("system", REVIEW_PROMPTS[area]), question), shown)


def _in_turn(findings: list[Finding]) -> Iterator[tuple[Finding, Node]]:
    """Yield each finding's first element, then each one's second, and so on."""
    for number in range(max(len(finding.nodes) for finding in findings)):
        for finding in findings:
            if number < len(finding.nodes):
                yield finding, finding.nodes[number]
