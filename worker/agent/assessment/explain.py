"""Explains the barriers of a page: known explanations are reused, others are requested in a few calls and stored.

A call asks about as many barriers as fit its answer; those cut off are asked about again. If another job is asking
about a barrier, this one waits for that answer. ``shared_answers.py`` stores them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import ceil
from typing import Final

from pydantic import BaseModel

from producer.contract import IMPACTS, Assessment, AssessmentSource, Changes, Priority, ScanResult
from producer.errors import AnswerTruncated, ContextExceeded
from producer.reports.plain_text import counted
from worker.agent.assessment.barriers import EXPLAIN_SYSTEM, EXPLAIN_VERSION, Barrier, barriers_of
from worker.agent.assessment.shared_answers import Answers, Asked, SharedAnswer, obtain
from worker.agent.assessment.verdict import MAX_SUMMARY, Verdict
from worker.agent.prompts import clip
from worker.agent.structured_reply import MAX_STATEMENT, NoAnswer, ask_in_form, schema_about
from worker.models.protocols import ChatModel, Message, add_usage

MAX_BARRIERS: Final = 8
"""Barriers per call: at full length each takes about 300 of an answer's default 2,048 tokens; barriers cut off by a
smaller CHAT_MAX_OUTPUT are asked about again."""
MAX_CALLS: Final = 8
"""Maximum calls per page, enough for 64 barriers."""


class Explanation(SharedAnswer):
    """Whom a barrier affects, why, and the fix, as written by ``model``."""

    who: str = ""
    why: str = ""
    fix: str = ""

    @property
    def is_told(self) -> bool:
        """Whether there is an explanation."""
        return bool(self.fix)


UNEXPLAINED: Final = Explanation()
"""Marks a question that a model did not answer, so that it is not repeated at once."""


class ExplanationDraft(BaseModel):
    """One explanation as a model writes it."""

    barrier: str
    who: str = ""
    why: str = ""
    fix: str = ""


class ExplanationsDraft(BaseModel):
    """Explanations as a model writes them."""

    explanations: list[ExplanationDraft]


@dataclass(slots=True)
class Explained(Asked[Explanation]):
    """The answers so far; ``dropped`` counts entries about unknown barriers."""

    dropped: int = 0
    is_repaired: bool = False


async def explain_page(
    chat: ChatModel, result: ScanResult, explanations: Answers[Explanation], *, changes: Changes | None = None
) -> Verdict:
    """Return the verdict on the findings of ``result``, assembled from explanations.

    Raises no error that the model can cause, but ``Busy`` if other jobs are asking for the rest and take long.
    """
    barriers = barriers_of(result, model=chat.name)
    first_of = {barrier.digest: barrier for barrier in reversed(barriers)}
    wanted = dict(islice(reversed(first_of.items()), MAX_BARRIERS * MAX_CALLS))
    done = await explain(chat, wanted, explanations)
    told = [(barrier, one) for barrier in barriers if (one := done.found.get(barrier.digest, UNEXPLAINED)).is_told]
    if not told:
        reason = done.reason or f"{chat.name} was asked in the last hour and gave no explanation in the required form"
        return Verdict(None, AssessmentSource(reason=reason), done.usage, failure=done.failure)
    assessment = Assessment(
        summary=summary_of(result, told[0], changes),
        priorities=tuple(
            Priority(fingerprint=barrier.about, issue_id=barrier.issue_id, who=one.who, why=one.why, fix=one.fix)
            for barrier, one in told
        ),
        prompt=EXPLAIN_VERSION,
        dropped=done.dropped,
        left_out=len(barriers) - len(told),
        model_reason=done.model_reason,
    )
    return Verdict(
        assessment,
        AssessmentSource(model=told[0][1].model),
        done.usage,
        done.is_repaired,
        (f"not all barriers are explained: {done.reason}",) if done.reason else (),
        done.failure,
        saved=max(0, ceil(len(wanted) / MAX_BARRIERS) - done.calls),
    )


async def explain(chat: ChatModel, wanted: Mapping[str, Barrier], explanations: Answers[Explanation]) -> Explained:
    """Explain ``wanted`` in at most ``MAX_CALLS`` calls. Raises ``Busy`` as ``explain_page`` does."""
    done = Explained(MAX_BARRIERS, MAX_CALLS)
    await obtain(wanted, explanations, done, partial(_ask, chat, done))
    return done


async def _ask(chat: ChatModel, done: Explained, wanted: Mapping[str, Barrier]) -> frozenset[str]:
    """Ask once about ``wanted``, with one repair; return the settled digests."""
    names = {f"b{number}": barrier for number, barrier in enumerate(wanted.values(), 1)}
    schema = schema_about(ExplanationsDraft, "explanations", key="barrier", known=tuple(names))
    answer = await ask_in_form(chat, _messages(names), ExplanationsDraft, schema, entries="explanations")
    done.calls += 1
    done.usage = add_usage(done.usage, answer.usage)
    if isinstance(answer, NoAnswer):
        return _unanswered(done, answer, wanted)
    done.is_repaired |= answer.repaired
    done.model_reason = done.model_reason or answer.model_reason
    found: dict[str, Explanation] = {}
    left = dict(names)
    for draft in answer.draft.explanations:
        barrier = left.pop(draft.barrier, None)
        if barrier is None or not (draft.why.strip() and draft.fix.strip()):
            done.dropped += 1
            continue
        who, why, fix = (clip(text, MAX_STATEMENT) for text in (draft.who, draft.why, draft.fix))
        found[barrier.digest] = Explanation(who=who, why=why, fix=fix, model=answer.model)
    if answer.is_cut:
        done.most = max(1, len(found) or len(wanted) // 2)
    if not answer.is_cut or (not found and len(wanted) == 1):
        found = dict.fromkeys(wanted, UNEXPLAINED) | found
    done.found |= found
    return frozenset(found)


def _unanswered(done: Explained, answer: NoAnswer, wanted: Mapping[str, Barrier]) -> frozenset[str]:
    """Return the digests to leave out of the next call.

    If an answer was cut before anything was complete, or the question has more tokens than the model's context holds,
    smaller parts are tried; a single barrier that is too much is left out, and the others are asked about together
    again.
    """
    is_cut = isinstance(answer.failure, AnswerTruncated | ContextExceeded)
    if is_cut and len(wanted) > 1:
        done.most = len(wanted) // 2
        return frozenset()
    done.most = MAX_BARRIERS
    done.reason = answer.reason
    if answer.failure is not None and not is_cut:
        done.failure = answer.failure
    else:  # it would answer the same: ask again later, not for each page
        done.found |= dict.fromkeys(wanted, UNEXPLAINED)
    return frozenset(wanted)


def _messages(names: Mapping[str, Barrier]) -> tuple[Message, ...]:
    barriers = [{"barrier": name, **barrier.shown} for name, barrier in names.items()]
    document = json.dumps({"task": "explain", "barriers": barriers}, ensure_ascii=False)
    return Message("system", EXPLAIN_SYSTEM), Message("user", document)


def summary_of(result: ScanResult, first: tuple[Barrier, Explanation], changes: Changes | None) -> str:
    """Return a short summary of a page's findings, with what to fix first."""
    barrier, explanation = first
    sums: Counter[str] = Counter()
    for finding in result.findings:
        sums[finding.impact.value if finding.impact else "unrated"] += finding.node_count
    shares = ", ".join(f"{sums[name]:,} {name}" for name in (*map(str, reversed(IMPACTS)), "unrated") if sums[name])
    rules = counted(len(result.findings), "rule")
    parts = [f"{rules} failed on {counted(sums.total(), 'element')}: {shares}."]
    parts.append(f"Fix first: {barrier.shown.get('component') or barrier.shown['rule']} ({barrier.shown['rule']}).")
    parts += [explanation.why, explanation.fix]
    if changes is not None:
        parts.append(f"Since the previous scan {len(changes.new)} new, {len(changes.fixed)} fixed.")
    return clip(" ".join(parts), MAX_SUMMARY)
