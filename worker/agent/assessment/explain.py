"""Explains the barriers of a page: what is known is taken, the rest asked for in a few calls and kept for all pages.

A call asks about as many barriers as its answer can carry; what was cut off is asked about again. No call is made for
what another job asks about at the moment: this one waits for its answer. Next: ``explanations.py``, where they are.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import ceil
from time import monotonic
from typing import Final

from pydantic import BaseModel

from producer.contract import IMPACTS, Assessment, AssessmentSource, Changes, Priority, ScanResult, Usage
from producer.errors import Busy, ModelError
from producer.redis.backoff import Backoff
from producer.reports.plain_text import counted
from worker.agent.assessment.barriers import EXPLAIN_SYSTEM, EXPLAIN_VERSION, Barrier, barriers_of
from worker.agent.assessment.explanations import UNEXPLAINED, Explanation, Explanations
from worker.agent.assessment.verdict import MAX_SUMMARY, Verdict
from worker.agent.prompts import clip
from worker.agent.structured_reply import MAX_STATEMENT, NoAnswer, ask_in_form, schema_about
from worker.models.protocols import ChatModel, Message, add_usage

MAX_BARRIERS: Final = 8
"""Barriers of one call: written to the full length of the schema each takes some 300 tokens, of the 2,048 that an
answer has by default; what a smaller CHAT_MAX_OUTPUT cuts is asked about again."""
MAX_CALLS: Final = 8
"""Calls about one page: 64 barriers. More of them break no page."""
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0
"""Between looks for an answer that another job asks for."""
WAIT_S: Final = 60.0
"""For other jobs' answers; then the job looks again later, and its slot is free meanwhile."""
LATER_S: Final = 10.0


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
class Explained:
    """What has come of asking so far: explanations by digest, calls, and why some are missing."""

    found: dict[str, Explanation] = field(default_factory=dict[str, Explanation])
    usage: Usage = field(default_factory=Usage)
    calls: int = 0
    dropped: int = 0
    is_repaired: bool = False
    model_reason: str = ""
    reason: str = ""
    failure: ModelError | None = None


async def explain_page(
    chat: ChatModel, result: ScanResult, explanations: Explanations, *, changes: Changes | None = None
) -> Verdict:
    """Return the verdict on the findings of ``result``, put together from explanations.

    Raises nothing that the model can cause; ``Busy`` where other jobs ask for what is missing, and take long.
    """
    barriers = barriers_of(result, model=chat.name)
    first_of = {barrier.digest: barrier for barrier in reversed(barriers)}
    wanted = dict(islice(reversed(first_of.items()), MAX_BARRIERS * MAX_CALLS))
    done = await explain(chat, wanted, explanations)
    told = [(barrier, one) for barrier in barriers if (one := done.found.get(barrier.digest, UNEXPLAINED)).is_told]
    if not told:
        reason = done.reason or f"{chat.name} was asked in the last hour, and gave no explanation in the form asked for"
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


async def explain(chat: ChatModel, wanted: Mapping[str, Barrier], explanations: Explanations) -> Explained:
    """Explain ``wanted``, as far as ``MAX_CALLS`` calls come to. Raises ``Busy`` as ``explain_page`` does."""
    done, left = Explained(), dict(wanted)
    backoff, waits_since = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S), monotonic()
    while left and done.calls < MAX_CALLS and done.failure is None:
        async with explanations.take(list(left), most=MAX_BARRIERS) as taken:
            done.found |= taken.known
            if taken.mine:
                settled = await _ask(chat, [left[digest] for digest in taken.mine], done)
                await explanations.keep({digest: done.found[digest] for digest in settled & done.found.keys()})
                waits_since = monotonic()
                backoff.reset()
            else:
                settled = frozenset[str]()
        left = {digest: one for digest, one in left.items() if digest not in taken.known and digest not in settled}
        if left and not taken.mine:
            if monotonic() - waits_since > WAIT_S:
                raise Busy("other jobs ask a model for the same explanations", delay_s=LATER_S)
            await asyncio.sleep(backoff.pause_s())
    return done


async def _ask(chat: ChatModel, barriers: Sequence[Barrier], done: Explained) -> frozenset[str]:
    """Ask once about ``barriers``, and repair once; return the digests that need no further call."""
    names = {f"b{number}": barrier for number, barrier in enumerate(barriers, 1)}
    schema = schema_about(ExplanationsDraft, "explanations", key="barrier", known=tuple(names))
    answer = await ask_in_form(chat, _messages(names), ExplanationsDraft, schema, entries="explanations")
    done.calls += 1
    done.usage = add_usage(done.usage, answer.usage)
    if isinstance(answer, NoAnswer):
        done.reason, done.failure = answer.reason, answer.failure
        if answer.failure is None:  # it answers so again: not at once, not for each page
            done.found |= {barrier.digest: UNEXPLAINED for barrier in barriers}
        return frozenset(barrier.digest for barrier in barriers)
    done.is_repaired |= answer.repaired
    done.model_reason = done.model_reason or answer.model_reason
    left = dict(names)
    for draft in answer.draft.explanations:
        barrier = left.pop(draft.barrier, None)
        if barrier is None or not (draft.why.strip() and draft.fix.strip()):
            done.dropped += 1
            continue
        who, why, fix = (clip(text, MAX_STATEMENT) for text in (draft.who, draft.why, draft.fix))
        done.found[barrier.digest] = Explanation(who=who, why=why, fix=fix, model=answer.model)
    if not answer.is_cut:
        done.found = {barrier.digest: UNEXPLAINED for barrier in barriers} | done.found
    return frozenset(barrier.digest for barrier in barriers if barrier.digest in done.found)


def _messages(names: Mapping[str, Barrier]) -> tuple[Message, ...]:
    barriers = [{"barrier": name, **barrier.shown} for name, barrier in names.items()]
    document = json.dumps({"task": "explain", "barriers": barriers}, ensure_ascii=False)
    return Message("system", EXPLAIN_SYSTEM), Message("user", document)


def summary_of(result: ScanResult, first: tuple[Barrier, Explanation], changes: Changes | None) -> str:
    """Return what a page's findings come to in a few sentences, and what to mend first."""
    barrier, explanation = first
    sums: Counter[str] = Counter()
    for finding in result.findings:
        sums[finding.impact.value if finding.impact else "unrated"] += finding.node_count
    shares = ", ".join(f"{sums[name]:,} {name}" for name in (*map(str, reversed(IMPACTS)), "unrated") if sums[name])
    rules = counted(len(result.findings), "rule")
    parts = [f"{rules} failed on {counted(sums.total(), 'element')}: {shares}."]
    parts.append(f"Mend first: {barrier.shown.get('component') or barrier.shown['rule']} ({barrier.shown['rule']}).")
    parts += [explanation.why, explanation.fix]
    if changes is not None:
        parts.append(f"Since the previous scan {len(changes.new)} new, {len(changes.fixed)} fixed.")
    return clip(" ".join(parts), MAX_SUMMARY)
