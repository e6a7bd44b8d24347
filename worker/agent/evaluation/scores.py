"""Scores of a model's answers, as counts that can be added. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from producer.contract import QueryResult, Usage
from worker.agent.assessment.verdict import Verdict
from worker.agent.conversation.citations import NO_SCAN_SAYS
from worker.agent.evaluation.labels import LabelledPage, LabelledQuestion, has
from worker.models.protocols import add_usage

INVENTED = "that no tool returned"
"""Part of the note about invented citations (``citations.py``)."""


@dataclass(frozen=True, slots=True)
class Share:
    """A count out of a total."""

    got: int = 0
    of: int = 0

    def __add__(self, other: Share) -> Share:
        return Share(self.got + other.got, self.of + other.of)

    def __str__(self) -> str:
        return f"{100 * self.got / self.of:.0f} % ({self.got}/{self.of})" if self.of else "-"


@dataclass(frozen=True, slots=True)
class Scores:
    """One model's scores.

    ``form``: assessments that match the schema after at most one repair; ``at_once``: without a repair. ``grounded``:
    statements about a finding of the page, and answers that cite the expected scans and no invented ones. ``fixes``,
    ``who``: findings with the right fix and people; missing ones count as wrong. ``order``: pages with the right first
    step. ``answers``: questions answered correctly from the right scans. ``missed`` has the expectation of each wrong
    one.
    """

    form: Share = Share()
    at_once: Share = Share()
    grounded: Share = Share()
    fixes: Share = Share()
    who: Share = Share()
    order: Share = Share()
    answers: Share = Share()
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    models: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()

    def __add__(self, other: Scores) -> Scores:
        both = {
            one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self) if one.name in _SUM
        }
        return Scores(
            **both,
            usage=add_usage(self.usage, other.usage),
            models=tuple(dict.fromkeys((*self.models, *other.models))),
            prompts=tuple(dict.fromkeys((*self.prompts, *other.prompts))),
        )


_SUM = frozenset({"form", "at_once", "grounded", "fixes", "who", "order", "answers", "seconds", "missed"})


def score_assessment(page: LabelledPage, verdict: Verdict, *, seconds: float) -> Scores:
    """Return the scores of one page's assessment."""
    assessment = verdict.assessment
    if assessment is None:
        nothing = Share(0, len(page.findings))
        return Scores(
            form=Share(0, 1), at_once=Share(0, 1), fixes=nothing, who=nothing, order=Share(0, 1), usage=verdict.usage,
            seconds=seconds, missed=(f"{page.url}: no assessment ({verdict.source})",),
        )  # fmt: skip
    said = {priority.fingerprint: priority for priority in assessment.priorities}
    labels = [(label, said.get(f"f-{label.rule}")) for label in page.findings]
    fixed = [label.rule for label, one in labels if one is not None and has(label.fix, one.fix)]
    helped = [label.rule for label, one in labels if one is not None and has(label.who, f"{one.who} {one.why}")]
    first = assessment.priorities[0].fingerprint.removeprefix("f-") if assessment.priorities else "nothing"
    missed = [
        f"{page.url}: {label.rule}: the fix should have /{label.fix}/: {one.fix if one else 'not mentioned'}"
        for label, one in labels
        if label.rule not in fixed
    ]
    if first not in page.first:
        missed.append(f"{page.url}: begins with {first}: expected one of {', '.join(page.first)}")
    total = len(page.findings)
    return Scores(
        form=Share(1, 1),
        at_once=Share(int(not verdict.repaired), 1),
        grounded=Share(len(said), len(said) + assessment.dropped),
        fixes=Share(len(fixed), total),
        who=Share(len(helped), total),
        order=Share(int(first in page.first), 1),
        usage=verdict.usage,
        seconds=seconds,
        models=(verdict.source.model,),
        prompts=(assessment.prompt,),
        missed=tuple(missed),
    )


def score_answer(label: LabelledQuestion, result: QueryResult | str, *, seconds: float) -> Scores:
    """Return the scores of one answer; ``result`` is the reason if there is no answer."""
    where = f"{label.question!r}" + (f" on {label.site}" if label.site else "")
    if isinstance(result, str):
        missed = (f"{where}: no answer ({result})",)
        return Scores(grounded=Share(0, 1), answers=Share(0, 1), seconds=seconds, missed=missed)
    wrong = [f"should be based on scan {source}" for source in label.sources if source not in result.sources]
    invented = [note for note in result.notes if INVENTED in note]
    is_grounded = not wrong and not invented
    said = result.answer.removeprefix(NO_SCAN_SAYS)  # Sightline's words
    wrong += [f"should have /{pattern}/" for pattern in label.says if not has(pattern, said)]
    wrong += [f"must not have /{pattern}/" for pattern in label.never if has(pattern, said)]
    missed = (f"{where}: {'; '.join((*wrong, *invented))}: {result.answer}",) if wrong or invented else ()
    return Scores(
        grounded=Share(int(is_grounded), 1),
        answers=Share(int(not wrong), 1),
        usage=result.usage,
        seconds=seconds,
        models=(result.model,),
        prompts=(result.prompt,),
        missed=missed,
    )
