"""Builds the messages of one call in a conversation, cut to the model's context. Pure.

The user's questions are unchanged; everything else from outside is a tool's result, a JSON document of quotations. The
oldest messages are left out if space is short, and both the model and the result's notes say so.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from producer.contract import JsonObject
from producer.errors import ContextExceeded
from producer.reports.plain_text import cut
from worker.agent.conversation.state import FinishedTurn, Turn
from worker.agent.conversation.tool_args import TOOLS
from worker.agent.prompts import load_prompt, version_of
from worker.memory.dates import day_of
from worker.models.context_budget import MESSAGE_TOKENS, cut_to, likely_tokens
from worker.models.protocols import Message

ASK_SYSTEM: Final = load_prompt("ask")
NUDGE: Final = load_prompt("nudge")
LAST_STEP: Final = load_prompt("last_step")
_TOOLS_TEXT: Final = json.dumps([[tool.name, tool.description, tool.parameters] for tool in TOOLS])
ASK_VERSION: Final = version_of("ask", ASK_SYSTEM, NUDGE, LAST_STEP, _TOOLS_TEXT)

BUDGET_TOKENS: Final = 6_000
"""Maximum tokens of all messages and tools: with an answer of 2,048 they fit the 8,192 of small models."""
MAX_TURNS_SHOWN: Final = 6
MAX_EARLIER: Final = 1_500
"""Maximum characters of an earlier question or answer."""
LEFT_OUT: Final = '{"left_out": "was shown before and no longer fits; look up a part of it if you need it"}'


@dataclass(frozen=True, slots=True)
class Prompt:
    """The messages of one call; ``notes`` say what was left out."""

    messages: tuple[Message, ...]
    notes: tuple[str, ...]


def prompt_of(
    turn: Turn, turns: Sequence[FinishedTurn], *, is_last: bool = False, budget_tokens: int = BUDGET_TOKENS
) -> Prompt:
    """Return the next call's messages in ``turn``, after ``turns``. Raises ``ContextExceeded``.

    The question and the newest tool result always stay; earlier turns are left out first, then earlier tool results.
    """
    shown = list(turns[-MAX_TURNS_SHOWN:])
    said = [one.message() for one in turn.said]
    if is_last:
        said.append(Message("user", LAST_STEP, by_user=False))
    hidden = 0
    while True:
        messages = _messages(turn, shown, len(turns) - len(shown), said)
        excess = sum(_tokens(message) for message in messages) + likely_tokens(_TOOLS_TEXT) - budget_tokens
        if excess <= 0:
            break
        if shown:
            del shown[0]
        elif (oldest := _oldest_answer(said)) is not None:
            said[oldest] = replace(said[oldest], content=LEFT_OUT)
            hidden += 1
        else:
            raise _too_long(turn, excess)
    return Prompt(messages, _notes(len(shown), len(turns), hidden))


def _too_long(turn: Turn, excess: int) -> ContextExceeded:
    """Return the error for a question that does not fit, alone or with its tool results."""
    length = f"{len(turn.question):,} characters"
    if turn.said:
        what = f"the question of {length} and its tool results may have {excess:,} tokens more than"
    else:
        fits = len(cut_to(turn.question, likely_tokens(turn.question) - excess))
        what = f"the question has {length}, and only about {fits:,} of them"
    return ContextExceeded(
        f"{what} fit into the model's input: ask a shorter question, or several, each about one site, group or page"
    )


def _notes(shown: int, turns: int, hidden: int) -> tuple[str, ...]:
    notes: list[str] = []
    if shown < turns:
        notes.append(f"the model was shown only the last {shown} of the conversation's {turns} earlier turns")
    if hidden:
        notes.append("for lack of space, the model was shown some tool results only once")
    return tuple(notes)


def _messages(turn: Turn, shown: Sequence[FinishedTurn], left_out: int, said: Sequence[Message]) -> tuple[Message, ...]:
    about: JsonObject = {"today": day_of(turn.asked_ms), "site": turn.site or "all", "earlier_turns_left_out": left_out}
    system = Message("system", f"{ASK_SYSTEM}\n\n{json.dumps(about)}")
    earlier = [
        message
        for one in shown
        for message in (
            Message("user", cut(one.question, MAX_EARLIER)),
            Message("assistant", cut(one.result.answer, MAX_EARLIER)),
        )
    ]
    return (system, *earlier, Message("user", turn.question), *said)


def _oldest_answer(said: Sequence[Message]) -> int | None:
    """Return the index of the oldest removable tool result; short ones and those after the last reply stay."""
    newest = max((at for at, message in enumerate(said) if message.role == "assistant"), default=0)
    return next(
        (at for at, one in enumerate(said[:newest]) if one.role == "tool" and len(one.content) > len(LEFT_OUT)), None
    )


def _tokens(message: Message) -> int:
    called = "".join(call.name + json.dumps(call.arguments) for call in message.calls)
    return likely_tokens(message.content + called) + MESSAGE_TOKENS
