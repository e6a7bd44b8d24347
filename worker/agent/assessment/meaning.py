"""Asks a chat model to judge names that no rule can: of links, headings, labels, titles.

One call for all names of a page (``ScanResult.names``, read by ``worker/scan/lint``), and one for the texts of images,
if the model has vision. An element that the model confidently calls a barrier needs review, with the model's reason; no
judgement counts for a gate. If the model fails, only its judgements are missing, with a note.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Literal, Protocol

from pydantic import BaseModel

from producer.contract import Assessment, AssessmentSource, NamedElement, Node, ReviewProposal, ScanResult, Usage
from producer.errors import ContextExceeded, ModelError
from worker.agent.assessment.verdict import Verdict
from worker.agent.prompts import REPAIR, clip, load_prompt, version_of
from worker.agent.structured_reply import MAX_STATEMENT, Answered, NoAnswer, ask_in_form, schema_about
from worker.models.context_budget import most_tokens
from worker.models.protocols import ChatModel, Message, add_usage

AREA: Final = "names"
NAMES_PROMPT: Final = load_prompt(AREA)
NAMES_VERSION: Final = version_of(AREA, NAMES_PROMPT, REPAIR)
PICTURES_PROMPT: Final = load_prompt("pictures")
PICTURES_VERSION: Final = version_of("pictures", PICTURES_PROMPT, REPAIR)
_NO_PICTURES: Final[Mapping[str, bytes]] = {}
BUDGET_TOKENS: Final = 5_000
"""Size of the document: 24 names with their context."""
_SURE: Final = frozenset({"medium", "high"})


class JudgementDraft(BaseModel):
    """One judgement as a model writes it."""

    element: str
    verdict: Literal["barrier", "no_barrier", "cannot_tell"]
    confidence: Literal["low", "medium", "high"] = "low"
    why: str = ""


class NamesDraft(BaseModel):
    """The judgements about one page as a model writes them."""

    judgements: list[JudgementDraft]


@dataclass(frozen=True, slots=True)
class NamesTask:
    """The question about one page; ``shown`` has the elements by the id given to the model."""

    messages: tuple[Message, ...]
    shown: Mapping[str, NamedElement]


class Make(Protocol):
    """Makes a question about ``most`` elements at most; None means no limit."""

    def __call__(self, *, most: int | None) -> NamesTask:
        """Return the question."""
        ...


@dataclass(frozen=True, slots=True)
class Judged:
    """The model's judgements, each with its element."""

    judgements: tuple[tuple[NamedElement, ReviewProposal], ...] = ()
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    notes: tuple[str, ...] = ()
    failure: ModelError | None = None
    prompts: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def barriers(self) -> tuple[tuple[NamedElement, ReviewProposal], ...]:
        """The names that need review: the model confidently calls them barriers."""
        return tuple(
            (element, said)
            for element, said in self.judgements
            if said.verdict == "barrier" and said.confidence in _SURE
        )


async def judge_names(chat: ChatModel, result: ScanResult, pictures: Mapping[str, bytes] = _NO_PICTURES) -> Judged:
    """Return the judgements of ``chat`` on the names of ``result``. Raises no error that the model can cause.

    ``pictures``, by node fingerprint, are shown in a separate call; if it fails, their texts are judged with the other
    names.
    """
    seen = [one for one in result.names if one.node.fingerprint in pictures]
    shown = partial(pictures_task, result.revised(names=tuple(seen)), pictures)
    first = await _judge(chat, shown, what="pictures")
    if first.model:
        result = result.revised(names=tuple(one for one in result.names if one not in seen))
    rest = await _judge(chat, partial(names_task, result), what="names")
    return Judged(
        judgements=(*first.judgements, *rest.judgements),
        usage=add_usage(first.usage, rest.usage),
        model=rest.model or first.model,
        notes=(*first.notes, *rest.notes),
        failure=rest.failure,
        prompts={**first.prompts, **rest.prompts},
    )


async def _judge(chat: ChatModel, make: Make, *, what: str, most: int | None = None) -> Judged:
    """Ask about as many elements as fit; about half of them if the question has more tokens than estimated."""
    task = make(most=most)
    if not task.shown:
        return Judged()
    schema = schema_about(NamesDraft, "judgements", key="element", known=tuple(task.shown))
    answer = await ask_in_form(chat, task.messages, NamesDraft, schema, entries="judgements")
    if isinstance(answer, NoAnswer):
        if isinstance(answer.failure, ContextExceeded) and len(task.shown) > 1:
            fewer = await _judge(chat, make, what=what, most=len(task.shown) // 2)
            return replace(fewer, usage=add_usage(answer.usage, fewer.usage))
        notes = (f"{what} were not judged: {answer.reason}",)
        return Judged(usage=answer.usage, notes=notes, failure=answer.failure)
    prompts = {what: PICTURES_VERSION if what == "pictures" else NAMES_VERSION}
    return Judged(tuple(_accepted(answer, task)), answer.usage, answer.model, prompts=prompts)


def pictures_task(result: ScanResult, pictures: Mapping[str, bytes], *, most: int | None = None) -> NamesTask:
    """Return the question about the images of ``result.names``, each with its text."""
    task = names_task(result, most=most)
    images = tuple(pictures[one.node.fingerprint] for one in task.shown.values())
    question = replace(task.messages[1], images=images)
    return NamesTask((Message("system", PICTURES_PROMPT), question), task.shown)


def names_task(result: ScanResult, *, most: int | None = None, budget_tokens: int = BUDGET_TOKENS) -> NamesTask:
    """Return the question about as many names of ``result``, at most ``most``, as fit the budget."""
    shown: dict[str, NamedElement] = {}
    entries: list[dict[str, str]] = []
    for number, one in enumerate(result.names[:most], 1):
        entry = {"element": f"e{number}", "rule": one.rule, "name": clip(one.name, 160), "context": clip(one.context)}
        budget_tokens -= most_tokens(json.dumps(entry, ensure_ascii=False))
        if budget_tokens < 0:
            break
        entries.append(entry)
        shown[entry["element"]] = one
    document = {
        "task": AREA,
        "language": clip(result.names[0].language, 20) if result.names else "",
        "page": {"title": clip(result.title), "url": clip(result.final_url or result.url)},
        "elements": entries,
    }
    question = Message("user", json.dumps(document, ensure_ascii=False))
    return NamesTask((Message("system", NAMES_PROMPT), question), shown)


def with_names(verdict: Verdict, judged: Judged) -> Verdict:
    """Return the verdict with the judgements and the elements that need review because of them."""
    usage, notes = add_usage(verdict.usage, judged.usage), (*verdict.notes, *judged.notes)
    verdict = replace(verdict, usage=usage, notes=notes, failure=judged.failure)
    if not judged.model:
        return verdict
    before = verdict.assessment or Assessment(summary="")
    reviews = (*before.reviews, *(said for _, said in judged.barriers))
    reviewed = {**before.reviewed, **judged.prompts}
    source = verdict.source if verdict.assessment else AssessmentSource(model=judged.model)
    named = tuple((said.rule, _explained(element.node, said)) for element, said in judged.barriers)
    assessment = before.revised(reviews=reviews, reviewed=reviewed)
    return replace(verdict, assessment=assessment, source=source, named=named)


def _accepted(answer: Answered[NamesDraft], task: NamesTask) -> Iterator[tuple[NamedElement, ReviewProposal]]:
    """Yield the first judgement about each element of the task."""
    left = dict(task.shown)
    for draft in answer.draft.judgements:
        element = left.pop(draft.element, None)
        if element is not None:
            yield (
                element,
                ReviewProposal(
                    fingerprint=element.node.fingerprint,
                    rule=element.rule,
                    area=AREA,
                    verdict=draft.verdict,
                    why=clip(draft.why, MAX_STATEMENT),
                    source=answer.model,
                    confidence=draft.confidence,
                ),
            )


def _explained(node: Node, said: ReviewProposal) -> Node:
    """Return the element with the model's reason as its failure summary."""
    return node.revised(failure_summary=clip(f"By {said.source}: {said.why}"))
