"""Asks a model about one page: first to assess its findings, then for proposals for undecided elements.

Each priority must refer to a finding of this page. If no model answers, the findings are reported without an
assessment, with the reason. Nothing here can change a finding. Next: ``review.py``, about the undecided elements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

from pydantic import BaseModel, Field
from redis.asyncio import Redis

from producer.contract import Assessment, AssessmentSource, Changes, Priority, ScanResult
from producer.keys import Keys
from worker.agent.assessment.explain import Explanation, explain_page
from worker.agent.assessment.meaning import judge_names, with_names
from worker.agent.assessment.review import Proposal, Reviewed, area_of, review
from worker.agent.assessment.shared_answers import Answers, SharedAnswers
from worker.agent.assessment.verdict import MAX_SUMMARY, Verdict
from worker.agent.prompts import ASSESS_VERSION, AssessTask, assess_task, clip
from worker.agent.structured_reply import MAX_STATEMENT, Answered, NoAnswer, ask_in_form, schema_about
from worker.models.protocols import ChatModel, add_usage

MAX_FINDINGS: Final = 8
"""Findings per call: at full length each takes about 300 of an answer's default 2,048 tokens; findings cut off by a
smaller CHAT_MAX_OUTPUT are asked about again."""
MAX_CALLS: Final = 8
"""Maximum calls per page, enough for 64 findings; no page fails more rules."""


@dataclass(frozen=True, slots=True)
class Shared:
    """The answers shared by all pages of an environment."""

    explanations: Answers[Explanation]
    proposals: Answers[Proposal]

    @classmethod
    def of(cls, redis: Redis, keys: Keys) -> Self:
        """Return the answers stored in Redis."""
        return cls(SharedAnswers(redis, keys, Explanation), SharedAnswers(redis, keys, Proposal))


class PriorityDraft(BaseModel):
    """One priority as a model writes it."""

    fingerprint: str
    who: str = ""
    why: str = ""
    fix: str = ""


class AssessmentDraft(BaseModel):
    """An assessment as a model writes it."""

    summary: str = Field(min_length=1)
    priorities: list[PriorityDraft]


def reason_not_to_ask(result: ScanResult, *, wanted: bool) -> str:
    """Return the reason not to ask a model about ``result``, or ''."""
    if not wanted:
        return "not requested"
    if result.status in {"unreachable", "blocked"}:
        return f"the page is {result.status}"
    is_open = bool(result.names) or any(area_of(finding.rule) for finding in result.incomplete)
    return "" if result.findings or is_open else "no findings to assess"


async def appraise(
    chat: ChatModel,
    result: ScanResult,
    *,
    changes: Changes | None,
    elsewhere: Mapping[str, int],
    review_areas: int,
    shared: Shared | None = None,
    pictures: Mapping[str, bytes] | None = None,
) -> Verdict:
    """Ask ``chat`` about the findings of ``result``, then about undecided elements in at most ``review_areas`` areas.

    With ``shared`` answers it is asked only about component barriers without one, else about the page. A model that
    gave no assessment is not asked for proposals. Raises no error that the model can cause.
    """
    verdict = Verdict(None, AssessmentSource(reason="no findings to assess"))
    if result.findings:
        if shared is None:
            verdict = await assess(chat, result, changes=changes, elsewhere=elsewhere, most=None)
        else:
            verdict = await explain_page(chat, result, shared.explanations, changes=changes)
        if verdict.assessment is None or verdict.failure is not None:
            return verdict
    if result.incomplete and review_areas:
        proposals = None if shared is None else shared.proposals
        verdict = with_reviews(verdict, await review(chat, result, max_areas=review_areas, shared=proposals))
    return verdict if verdict.failure else with_names(verdict, await judge_names(chat, result, pictures or {}))


async def assess(
    chat: ChatModel,
    result: ScanResult,
    *,
    changes: Changes | None = None,
    elsewhere: Mapping[str, int] | None = None,
    most: int | None = MAX_FINDINGS,
) -> Verdict:
    """Return the verdict of ``chat`` on the findings of ``result``. Raises no error that the model can cause.

    A call asks about as many findings as fit its answer (``most``), worst first; the rest, or those cut off, go into
    further calls, up to ``MAX_CALLS``. A failed call leaves its findings out, with a note.
    """
    left = {finding.fingerprint: finding for finding in result.findings}
    verdict: Verdict | None = None
    for _ in range(MAX_CALLS):
        task = assess_task(result.revised(findings=tuple(left.values())), changes, elsewhere or {}, most=most)
        part, done = await _part(chat, task)
        if part.assessment is None:
            return part if verdict is None else _short_of(verdict, part, left_out=len(left))
        verdict = part if verdict is None else _joined(verdict, part)
        left = {name: finding for name, finding in left.items() if name not in done}
        if not left or not done:
            break
    if verdict is None or verdict.assessment is None:  # pragma: no cover  the first call returns or sets both
        raise AssertionError
    return replace(verdict, assessment=verdict.assessment.revised(left_out=len(left)))


async def _part(chat: ChatModel, task: AssessTask) -> tuple[Verdict, frozenset[str]]:
    """Return the verdict of one call, and the findings that it settles."""
    schema = schema_about(AssessmentDraft, "priorities", key="fingerprint", known=task.fingerprints)
    answer = await ask_in_form(chat, task.messages, AssessmentDraft, schema, entries="priorities")
    if isinstance(answer, NoAnswer):
        source = AssessmentSource(reason=answer.reason)
        return Verdict(None, source, answer.usage, failure=answer.failure), frozenset()
    assessment = accept(answer, task)
    answered = (priority.fingerprint for priority in assessment.priorities)
    done = frozenset(answered if answer.is_cut else task.fingerprints)
    return Verdict(assessment, AssessmentSource(model=answer.model), answer.usage, answer.repaired), done


def _joined(first: Verdict, further: Verdict) -> Verdict:
    """Return both calls' statements under the first one's summary."""
    before, after = first.assessment, further.assessment
    if before is None or after is None:  # pragma: no cover  both have answered
        raise AssertionError
    priorities = (*before.priorities, *after.priorities)
    both = before.revised(priorities=priorities, dropped=before.dropped + after.dropped)
    repaired = first.repaired or further.repaired
    return replace(first, assessment=both, usage=add_usage(first.usage, further.usage), repaired=repaired)


def _short_of(verdict: Verdict, failed: Verdict, *, left_out: int) -> Verdict:
    """Return the answers before the failed call."""
    note = f"not all findings are assessed: {failed.source.reason}"
    usage = add_usage(verdict.usage, failed.usage)
    assessment = verdict.assessment.revised(left_out=left_out) if verdict.assessment else None
    notes = (*verdict.notes, note)
    return replace(verdict, assessment=assessment, usage=usage, notes=notes, failure=failed.failure)


def accept(answer: Answered[AssessmentDraft], task: AssessTask) -> Assessment:
    """Return the assessment without statements about unknown findings and without duplicates."""
    known = set(task.fingerprints)
    kept: list[Priority] = []
    for priority in answer.draft.priorities:
        if priority.fingerprint in known:
            known.remove(priority.fingerprint)
            who, why, fix = (clip(text, MAX_STATEMENT) for text in (priority.who, priority.why, priority.fix))
            kept.append(Priority(fingerprint=priority.fingerprint, who=who, why=why, fix=fix))
    return Assessment(
        summary=clip(answer.draft.summary, MAX_SUMMARY),
        priorities=tuple(kept),
        prompt=ASSESS_VERSION,
        dropped=len(answer.draft.priorities) - len(kept),
        left_out=task.left_out,
        model_reason=answer.model_reason,
    )


def with_reviews(verdict: Verdict, reviewed: Reviewed) -> Verdict:
    """Return the verdict with the proposals, adding an assessment if there was none and anything was answered."""
    usage = add_usage(verdict.usage, reviewed.usage)
    notes, saved = (*verdict.notes, *reviewed.notes), verdict.saved + reviewed.saved
    verdict = replace(verdict, usage=usage, notes=notes, failure=reviewed.failure, saved=saved)
    if verdict.assessment is None and not reviewed.prompts:
        return verdict
    assessment = (verdict.assessment or Assessment(summary="")).revised(
        reviews=reviewed.proposals, reviewed=dict(reviewed.prompts), unreviewed=reviewed.unreviewed
    )
    source = verdict.source if verdict.assessment else AssessmentSource(model=reviewed.model)
    return replace(verdict, assessment=assessment, source=source)
