"""The state of a conversation between steps and turns: plain JSON, because every step is stored in Redis.

``ConversationState`` has two fields, both JSON *strings*, which the checkpointer does not parse: their text may come
from a page. A turn is one question, identified by its job's id and submission time: an id may be reused a week after
its job.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final, NotRequired, TypedDict, cast

from pydantic import BaseModel, ConfigDict, TypeAdapter

from producer.contract import JsonObject, QueryResult, Usage
from worker.agent.conversation.side_effects import SideEffect
from worker.agent.conversation.user_words import Asker
from worker.models.protocols import Message, ToolCall

MAX_TURNS: Final = 20
"""Maximum finished turns: more than any model's context holds."""


class ConversationState(TypedDict):
    """State of one conversation: the finished turns, once there are any, and the current or last one."""

    turns: NotRequired[str]
    turn: str


class Kept(BaseModel):
    """Base of stored records."""

    model_config = ConfigDict(frozen=True)


class Said(Kept):
    """One message of a turn, after the question: a user's is Sightline's demand for an answer.

    ``calls`` are an assistant's, as name, arguments and id; ``failed`` marks a failed tool call.
    """

    role: str
    content: str
    calls: tuple[tuple[str, JsonObject, str], ...] = ()
    call_id: str = ""
    tool: str = ""
    failed: bool = False

    def message(self) -> Message:
        """Return the message as input for a model."""
        calls = tuple(ToolCall(name, arguments, call_id) for name, arguments, call_id in self.calls)
        role, is_demand = cast("Any", self.role), self.role == "user"
        return Message(role, self.content, calls=calls, call_id=self.call_id, tool=self.tool, by_user=not is_demand)


class Turn(BaseModel):
    """A question being answered. A step changes a copy: ``turn = turn.model_copy()``.

    ``generation``, ``context`` and ``vector`` (``Placed.pack``) are for the cache; without a vector, the answer is not
    cached. ``scans`` are the ids returned by tools; ``was_looked_up``: the model had answered without a look-up, so one
    was made for it. ``rounds`` counts the model's replies, ``calls`` the tools run; ``effects`` are their side effects.
    """

    job_id: str
    question: str
    submitted_ms: int = 0
    site: str = ""
    use_cache: bool = True
    asked_ms: int = 0
    generation: int = 0
    context: str = ""
    vector: str = ""
    said: tuple[Said, ...] = ()
    scans: tuple[str, ...] = ()
    rounds: int = 0
    calls: int = 0
    effects: tuple[SideEffect, ...] = ()
    is_cacheable: bool = True
    was_looked_up: bool = False
    notes: tuple[str, ...] = ()
    usage: Usage = Usage()
    model: str = ""
    model_reason: str = ""
    answer: str | None = None
    sources: tuple[str, ...] = ()
    cached: bool = False
    timings_ms: dict[str, int] = {}

    def noted(self, *notes: str) -> tuple[str, ...]:
        """Return the notes with ``notes`` added, each once, none empty."""
        return tuple(dict.fromkeys((*self.notes, *(note for note in notes if note))))


class FinishedTurn(Kept):
    """One question and its answer. In turns of earlier releases ``submitted_ms`` is 0, and ``effects`` is empty."""

    job_id: str
    question: str
    result: QueryResult
    submitted_ms: int = 0
    effects: tuple[SideEffect, ...] = ()


_FINISHED: Final = TypeAdapter(tuple[FinishedTurn, ...])


def parse_turns(text: str) -> tuple[FinishedTurn, ...]:
    """Return the finished turns, oldest first."""
    return _FINISHED.validate_json(text) if text else ()


def pack_turns(turns: Sequence[FinishedTurn]) -> str:
    """Return the newest ``MAX_TURNS`` of ``turns`` as JSON."""
    return _FINISHED.dump_json(tuple(turns[-MAX_TURNS:])).decode()


def asker_of(turn: Turn, turns: Sequence[FinishedTurn]) -> Asker:
    """Return the asker: the user's words are the questions of this conversation."""
    questions = (*(one.question for one in turns), turn.question)
    return Asker(job_id=turn.job_id, messages=questions, site=turn.site, now_ms=turn.asked_ms)


def known_scans(turn: Turn, turns: Sequence[FinishedTurn]) -> frozenset[str]:
    """Return the ids of scans that may be cited: those returned in this turn, and the sources of earlier ones."""
    return frozenset(turn.scans).union(*(one.result.sources for one in turns))


def context_digest(turns: Sequence[FinishedTurn], *also: str) -> str:
    """Return a digest of the conversation so far and of ``also``: an answer depends on both."""
    whole = [[[one.question, one.result.answer] for one in turns], also]
    return sha256(json.dumps(whole).encode()).hexdigest()[:32]
