"""Asks a chat model for an answer of a given form, and validates it.

The answer must fit a schema; if one repair fails, the reason is returned instead. Callers:
``assessment/assess.py`` and ``assessment/review.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar, cast

from pydantic import BaseModel, ValidationError

from producer.contract import JsonObject, Usage, describe_invalid
from producer.errors import AnswerTruncated, ModelError
from worker.agent.prompts import REPAIR, clip
from worker.models.protocols import ChatModel, Message, add_usage, spent_on

MAX_STATEMENT: Final = 1_000
"""Maximum characters of a statement."""
MAX_WRITTEN: Final = {"summary": 600, "who": 160, "why": 240, "fix": 400, "look_at": 240}
"""Maximum characters that a model may write per field: without a limit, models fill the answer."""
TRIES: Final = 2
"""The answer and one repair: a model that fails twice would fail again."""

DraftT = TypeVar("DraftT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Answered(Generic[DraftT]):
    """An answer in the requested form; ``repaired`` if it took a second attempt, ``is_cut`` if it reached its limit."""

    draft: DraftT
    model: str
    model_reason: str
    usage: Usage
    repaired: bool = False
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """No answer in the requested form after a repair, or none at all: then ``failure`` is the model's error."""

    reason: str
    usage: Usage
    failure: ModelError | None = None


async def ask_in_form(
    chat: ChatModel, messages: Sequence[Message], form: type[DraftT], schema: JsonObject, *, entries: str = ""
) -> Answered[DraftT] | NoAnswer:
    """Return the answer of ``chat`` in ``form``, repaired once if needed. Raises no error that the model can cause.

    If an answer was cut, the complete items of its list ``entries`` are kept.
    """
    asked = list(messages)
    usage, reason = Usage(), ""
    for number in range(TRIES):
        try:
            reply = await chat.chat(asked, schema=schema)
        except AnswerTruncated as error:
            usage = add_usage(usage, spent_on(error))
            kept = salvage(error.text, form, entries) if entries else None
            if kept is None:
                return NoAnswer(f"{chat.name}: {clip(str(error))}", usage, failure=error)
            return Answered(kept, chat.name, "", usage, repaired=number > 0, is_cut=True)
        except ModelError as error:
            return NoAnswer(f"{chat.name}: {clip(str(error))}", add_usage(usage, spent_on(error)), failure=error)
        usage = add_usage(usage, reply.usage)
        try:
            return Answered(parse(reply.text, form), reply.model, reply.reason, usage, repaired=number > 0)
        except ValidationError as error:
            reason = clip(describe_invalid(error))
            asked += [Message("assistant", reply.text), Message("user", REPAIR.replace("{reason}", reason))]
    return NoAnswer(f"{chat.name} did not answer in the required form: {reason}", usage)


def schema_about(form: type[BaseModel], entries: str, *, key: str, known: Sequence[str]) -> JsonObject:
    """Return the JSON Schema of ``form`` in which ``key`` of the entries in ``entries`` is limited to ``known``.

    The entries' model is the only one in ``form``. All fields of an entry are required. No text can be longer than
    ``MAX_WRITTEN``, so that a model bound by the schema cannot spend the whole answer on one.
    """
    schema = form.model_json_schema()
    (entry,) = cast("dict[str, JsonObject]", schema["$defs"]).values()
    for name, field in entry["properties"].items():
        if field.get("type") == "string" and "enum" not in field:
            field["maxLength"] = MAX_WRITTEN.get(name, MAX_STATEMENT)
    entry["properties"][key] = {"type": "string", "enum": list(known)}
    entry["required"] = list(entry["properties"])
    schema["properties"][entries]["maxItems"] = len(known)
    for name in MAX_WRITTEN.keys() & schema["properties"].keys():
        schema["properties"][name]["maxLength"] = MAX_WRITTEN[name]
    return schema


def salvage(text: str, form: type[DraftT], entries: str) -> DraftT | None:
    """Return the complete part of an answer that was cut: its fields, and the complete items of ``entries``.

    None if that does not match the form, or has no items.
    """
    start = text.find("{")
    for end in (at for at in range(len(text), max(0, start), -1) if text[at - 1] == "}"):
        try:
            draft = form.model_validate_json(f"{text[start:end]}]}}")
        except ValidationError:
            continue
        return draft if getattr(draft, entries) else None
    return None


def parse(text: str, form: type[DraftT]) -> DraftT:
    """Return the answer in ``text``, which may be in a Markdown fence; raises ``ValidationError``."""
    start, end = text.find("{"), text.rfind("}")
    return form.model_validate_json(text[start : end + 1] if 0 <= start < end else text)
