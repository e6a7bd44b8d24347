"""Asks a chat model for an assessment and believes nothing of it unchecked.

The answer must fit a schema and each priority must speak of a finding of this page; one repair is asked for, then the
findings go out without an assessment and the reason is told. Nothing here can change a finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from producer.contract import Assessment, Changes, JsonObject, Priority, ScanResult, Usage, describe_invalid
from producer.errors import ModelError
from worker.agent.prompts import ASSESS_VERSION, REPAIR, AssessTask, assess_task, clip
from worker.models.protocols import ChatModel, Message, add_usage, spent_on

MAX_SUMMARY: Final = 2_000
MAX_STATEMENT: Final = 1_000
TRIES: Final = 2
"""The answer and one repair: a model that fails twice fails again."""


class PriorityDraft(BaseModel):
    """One priority as a model writes it."""

    model_config = ConfigDict(extra="ignore")

    fingerprint: str
    who: str = ""
    why: str = ""
    fix: str = ""


class AssessmentDraft(BaseModel):
    """An assessment as a model writes it."""

    model_config = ConfigDict(extra="ignore")

    summary: str = Field(min_length=1)
    priorities: list[PriorityDraft]


DraftT = TypeVar("DraftT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Answered(Generic[DraftT]):
    """An answer in the form asked for; ``repaired`` tells that it took a second try."""

    draft: DraftT
    model: str
    model_reason: str
    usage: Usage
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """No answer in the form asked for, after a repair, or none at all: then the model ``failed``."""

    reason: str
    usage: Usage
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of asking. ``source`` is the model's name, or ``none: `` and the reason."""

    assessment: Assessment | None
    source: str
    usage: Usage = field(default_factory=Usage)
    repaired: bool = False


def reason_not_to_ask(result: ScanResult, *, wanted: bool) -> str:
    """Return why no model is asked about ``result``; '' if one is."""
    if not wanted:
        return "not asked for"
    if result.status in {"unreachable", "blocked"}:
        return f"the page is {result.status}"
    return "" if result.findings or result.incomplete else "no findings to assess"


async def ask_in_form(
    chat: ChatModel, messages: Sequence[Message], form: type[DraftT], schema: JsonObject
) -> Answered[DraftT] | NoAnswer:
    """Return the answer of ``chat`` in ``form``, repaired once if need be. Raises nothing that the model can cause."""
    told = list(messages)
    usage, reason = Usage(), ""
    for number in range(TRIES):
        try:
            reply = await chat.chat(told, schema=schema)
        except ModelError as error:
            return NoAnswer(f"{chat.name}: {clip(str(error))}", add_usage(usage, spent_on(error)), failed=True)
        usage = add_usage(usage, reply.usage)
        try:
            return Answered(parse(reply.text, form), reply.model, reply.reason, usage, repaired=number > 0)
        except ValidationError as error:
            reason = clip(describe_invalid(error))
            told += [Message("assistant", reply.text), Message("user", REPAIR.replace("{reason}", reason))]
    return NoAnswer(f"{chat.name} did not answer in the form asked for: {reason}", usage)


async def assess(
    chat: ChatModel, result: ScanResult, *, changes: Changes | None = None, elsewhere: dict[str, int] | None = None
) -> Verdict:
    """Return the verdict of ``chat`` on the findings of ``result``. Raises nothing that the model can cause."""
    task = assess_task(result, changes, elsewhere or {})
    answer = await ask_in_form(chat, task.messages, AssessmentDraft, answer_schema(task.fingerprints))
    if isinstance(answer, NoAnswer):
        return Verdict(None, f"none: {answer.reason}", answer.usage)
    assessment = accept(answer.draft, task).model_copy(update={"model_reason": answer.model_reason})
    return Verdict(assessment, answer.model, answer.usage, answer.repaired)


def answer_schema(fingerprints: tuple[str, ...]) -> JsonObject:
    """Return the JSON Schema of an answer that can speak of nothing but these findings."""
    schema = AssessmentDraft.model_json_schema()
    draft = cast("dict[str, Any]", schema["$defs"]["PriorityDraft"])
    draft["properties"]["fingerprint"] = {"type": "string", "enum": list(fingerprints)}
    draft["required"] = ["fingerprint", "who", "why", "fix"]
    schema["properties"]["priorities"]["maxItems"] = len(fingerprints)
    return schema


def parse(text: str, form: type[DraftT]) -> DraftT:
    """Return the answer in ``text``, also out of a Markdown fence; raises ``ValidationError``."""
    start, end = text.find("{"), text.rfind("}")
    return form.model_validate_json(text[start : end + 1] if 0 <= start < end else text)


def accept(draft: AssessmentDraft, task: AssessTask) -> Assessment:
    """Return the assessment without what speaks of no finding of the task, or of one for a second time.

    ``dropped`` counts those, ``left_out`` the findings the model was not shown, ``prompt`` names the prompt.
    """
    known = set(task.fingerprints)
    kept: list[Priority] = []
    for priority in draft.priorities:
        if priority.fingerprint in known:
            known.remove(priority.fingerprint)
            who, why, fix = (clip(text, MAX_STATEMENT) for text in (priority.who, priority.why, priority.fix))
            kept.append(Priority(fingerprint=priority.fingerprint, who=who, why=why, fix=fix))
    return Assessment(
        summary=clip(draft.summary, MAX_SUMMARY),
        priorities=tuple(kept),
        prompt=ASSESS_VERSION,
        dropped=len(draft.priorities) - len(kept),
        left_out=task.left_out,
    )
