"""The decisions of the query graph: the next step after a model's reply or a tool's result in a turn. No I/O.

``graph.py`` carries them out. A model may keep calling tools, call unknown ones, or say nothing: every turn ends after
``MAX_ROUNDS`` replies, with the faults in its notes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import structlog

from producer.contract import QueryResult
from worker.agent.conversation.citations import NO_SCAN_SAYS, NO_SOURCE, ground, is_unusable, no_answer
from worker.agent.conversation.prompt import ASK_VERSION, NUDGE
from worker.agent.conversation.state import ConversationState, Said, Turn
from worker.agent.conversation.tool_args import WRITERS
from worker.agent.conversation.tools import Answer
from worker.models.protocols import ChatReply, ToolCall, add_usage

MAX_ROUNDS: Final = 7
"""Model calls in one turn; the last one without tools."""
MAX_CALLS: Final = 4
"""Tools run per reply of the model; further calls are refused."""
MAX_KEPT: Final = 2 * MAX_CALLS
"""Calls kept per reply: a model in a loop writes a hundred, and their refusals would fill the next prompt."""
MAX_WRITES: Final = 5
"""Calls with side effects per turn."""
MAX_LOOKED_UP: Final = 500
"""Characters of a question used for a look-up if the model makes none."""
MAX_REPLY: Final = 4_000
"""Characters of a model's text beside its calls, or of an unusable answer, that it is shown again."""
PRIVATE: Final = frozenset({*WRITERS, "recall"})
"""Tools after which an answer must not be reused: they had side effects, or their data may change at any time."""

log = structlog.get_logger()


def after_begin(state: ConversationState) -> Literal["think", "finish"]:
    """Return the node after ``begin``."""
    return "think" if Turn.model_validate_json(state["turn"]).answer is None else "finish"


def after_think(state: ConversationState) -> Literal["think", "act", "finish"]:
    """Return the node after ``think``."""
    turn = Turn.model_validate_json(state["turn"])
    if turn.answer is not None:
        return "finish"
    return "act" if turn.said[-1].calls else "think"


def heard(
    turn: Turn,
    reply: ChatReply,
    *,
    is_last: bool,
    notes: Sequence[str] = (),
    known: frozenset[str] | None = None,
) -> Turn:
    """Return the turn with the model's reply: calls to run, an answer, or a demand for one.

    ``notes`` name what was left out of the model's input. ``known`` are the scans that may be cited: an answer that
    cites none and made no look-up is requested again after a look-up. None accepts any answer.
    """
    joined = f"{turn.model} looked things up, {reply.model} continued" if turn.model not in {"", reply.model} else ""
    turn = turn.model_copy()
    turn.rounds += 1
    turn.usage = add_usage(turn.usage, reply.usage)
    turn.model, turn.model_reason = reply.model, reply.reason
    turn.notes = turn.noted(*notes, joined)
    if reply.calls and not is_last:
        # New ids, since models may use an id twice.
        numbered = enumerate(reply.calls[:MAX_KEPT])
        calls = tuple((call.name, call.arguments, f"call-{turn.rounds}-{place}") for place, call in numbered)
        turn.said = (*turn.said, Said(role="assistant", content=reply.text[:MAX_REPLY], calls=calls))
    elif not is_unusable(reply.text):
        if is_last or known is None or turn.was_looked_up or _rests_on_something(turn, reply.text, known):
            turn.answer = reply.text
        else:
            log.info("query.looked_up", job_id=turn.job_id, model=reply.model)
            turn.was_looked_up = True
            call = ("search_scans", {"text": turn.question[:MAX_LOOKED_UP]}, f"call-{turn.rounds}-0")
            turn.said = (*turn.said, Said(role="assistant", content=reply.text[:MAX_REPLY], calls=(call,)))
    else:
        log.warning("query.answer_unusable", job_id=turn.job_id, model=reply.model, round=turn.rounds)
        if is_last:
            turn.answer = no_answer(turn.rounds, turn.calls)
            turn.notes = turn.noted("the model gave no answer")
        else:
            nudge = (Said(role="assistant", content=reply.text[:MAX_REPLY]), Said(role="user", content=NUDGE))
            turn.said = (*turn.said, *nudge)
    return turn


def _rests_on_something(turn: Turn, text: str, known: frozenset[str]) -> bool:
    """Return whether an answer cites a scan, or follows a tool that returned or did something."""
    return bool(ground(text, known).sources) or any(one.role == "tool" and not one.failed for one in turn.said)


def reason_to_refuse(turn: Turn, call: ToolCall, place: int) -> str:
    """Return why a call is refused, or ''; ``place`` is its number among the calls of a reply."""
    if place >= MAX_CALLS:
        return f"at most {MAX_CALLS} calls at a time: repeat it"
    answered = {one.call_id for one in turn.said if one.role == "tool" and not one.failed}
    made = [asked for one in turn.said for asked in one.calls if asked[2] in answered]
    if any((name, arguments) == (call.name, call.arguments) for name, arguments, _ in made):
        return "already asked in this turn: the answer is above"
    if call.name in WRITERS and sum(name in WRITERS for name, _, _ in made) >= MAX_WRITES:
        return f"at most {MAX_WRITES} such calls for one question"
    return ""


def told(turn: Turn, call: ToolCall, answer: Answer) -> Turn:
    """Return the turn with a tool's result."""
    turn = turn.model_copy()
    said = Said(role="tool", content=answer.text, call_id=call.id, tool=call.name, failed=answer.failed)
    turn.said = (*turn.said, said)
    turn.scans = tuple(dict.fromkeys((*turn.scans, *answer.scans)))
    turn.calls += 1
    turn.effects = (*turn.effects, *([answer.effect] if answer.effect else []))
    turn.is_cacheable = turn.is_cacheable and call.name not in PRIVATE and not answer.failed
    turn.notes = turn.noted(answer.note)
    return turn


def grounded(turn: Turn, known: frozenset[str]) -> Turn:
    """Return the turn with its answer checked against the scans that are ``known``."""
    checked = ground(turn.answer or "", known)
    done = {one.tool for one in turn.said if one.role == "tool" and not one.failed}
    # A note that something was remembered or queued is not a statement about scans.
    missing = NO_SOURCE if not checked.sources and not (done and done <= PRIVATE) else ""
    turn = turn.model_copy()
    turn.answer, turn.sources = checked.text or no_answer(turn.rounds, turn.calls), checked.sources
    if missing and turn.was_looked_up and checked.text:
        turn.answer = NO_SCAN_SAYS + turn.answer
    turn.notes = turn.noted(*checked.notes, missing)
    return turn


def result_of(turn: Turn) -> QueryResult:
    """Return the result of a complete turn."""
    return QueryResult(
        answer=turn.answer or "",
        sources=turn.sources,
        cached=turn.cached,
        model=turn.model,
        model_reason=turn.model_reason,
        prompt=ASK_VERSION,
        notes=turn.notes,
        usage=turn.usage,
        timings_ms=turn.timings_ms,
    )
