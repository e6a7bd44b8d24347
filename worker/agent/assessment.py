"""Asks a chat model for an assessment and believes nothing of it unchecked.

The answer must fit a schema and each priority must speak of a finding of this page; one repair is asked for, then the
findings go out without an assessment and the reason is told. Nothing here can change a finding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from producer.contract import Assessment, Changes, JsonObject, Priority, ScanResult, Usage, describe_invalid
from producer.errors import ModelError
from worker.agent.prompts import ASSESS_VERSION, REPAIR, AssessTask, assess_task, clip
from worker.models.protocols import ChatModel, Message, add_usage

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


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of asking. ``source`` is the model's name, or ``none: `` and the reason."""

    assessment: Assessment | None
    source: str
    usage: Usage = field(default_factory=Usage)


def reason_not_to_ask(result: ScanResult, *, wanted: bool) -> str:
    """Return why no model is asked about ``result``; '' if one is."""
    if not wanted:
        return "not asked for"
    if result.status in {"unreachable", "blocked"}:
        return f"the page is {result.status}"
    return "" if result.findings else "no findings to assess"


async def assess(
    chat: ChatModel, result: ScanResult, *, changes: Changes | None = None, elsewhere: dict[str, int] | None = None
) -> Verdict:
    """Return the verdict of ``chat`` on the findings of ``result``. Raises nothing that the model can cause."""
    task = assess_task(result, changes, elsewhere or {})
    messages = list(task.messages)
    usage = Usage()
    reason = ""
    for _ in range(TRIES):
        try:
            reply = await chat.chat(messages, schema=answer_schema(task.fingerprints))
        except ModelError as error:
            return Verdict(None, f"none: {chat.name}: {clip(str(error))}", usage)
        usage = add_usage(usage, reply.usage)
        try:
            draft = parse(reply.text)
        except ValidationError as error:
            reason = clip(describe_invalid(error))
            messages += [Message("assistant", reply.text), Message("user", REPAIR.replace("{reason}", reason))]
            continue
        return Verdict(accept(draft, task), reply.model, usage)
    return Verdict(None, f"none: {chat.name} did not answer in the form asked for: {reason}", usage)


def answer_schema(fingerprints: tuple[str, ...]) -> JsonObject:
    """Return the JSON Schema of an answer that can speak of nothing but these findings."""
    schema = AssessmentDraft.model_json_schema()
    draft = cast("dict[str, Any]", schema["$defs"]["PriorityDraft"])
    draft["properties"]["fingerprint"] = {"type": "string", "enum": list(fingerprints)}
    draft["required"] = ["fingerprint", "who", "why", "fix"]
    schema["properties"]["priorities"]["maxItems"] = len(fingerprints)
    return schema


def parse(text: str) -> AssessmentDraft:
    """Return the answer in ``text``, also out of a Markdown fence; raises ``ValidationError``."""
    start, end = text.find("{"), text.rfind("}")
    return AssessmentDraft.model_validate_json(text[start : end + 1] if 0 <= start < end else text)


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
