"""All that a model is asked about one page: what its findings mean, then what it proposes about the undecided rest.

What comes of it is one assessment; the findings stay as they are whatever it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from producer.contract import Assessment, Changes, ScanResult
from worker.agent.assessment.assess import Verdict, assess
from worker.agent.assessment.review import Reviewed, review
from worker.models.protocols import ChatModel, add_usage


@dataclass(frozen=True, slots=True)
class Appraised:
    """A verdict, and what is missing from it in words."""

    verdict: Verdict
    notes: tuple[str, ...] = ()


async def appraise(
    chat: ChatModel, result: ScanResult, *, changes: Changes | None, elsewhere: dict[str, int], review_areas: int
) -> Appraised:
    """Ask ``chat`` about ``result``, which ``reason_not_to_ask`` lets be asked about; ``review_areas`` at most.

    A model that gave no assessment is not asked for proposals either. Raises nothing that the model can cause.
    """
    if result.findings:
        verdict = await assess(chat, result, changes=changes, elsewhere=elsewhere)
        if verdict.assessment is None:
            return Appraised(verdict)
    else:
        verdict = Verdict(None, "none: no findings to assess")
    if not result.incomplete or not review_areas:
        return Appraised(verdict)
    reviewed = await review(chat, result, max_areas=review_areas)
    return Appraised(with_reviews(verdict, reviewed), reviewed.notes)


def with_reviews(verdict: Verdict, reviewed: Reviewed) -> Verdict:
    """Return the verdict with the proposals in it; one without an assessment gets one if anything was answered."""
    verdict = replace(verdict, usage=add_usage(verdict.usage, reviewed.usage))
    if verdict.assessment is None and not reviewed.prompts:
        return verdict
    about = verdict.assessment or Assessment(summary="")
    source = verdict.source if verdict.assessment else reviewed.model
    update = {
        "reviews": reviewed.proposals,
        "reviewed": dict(reviewed.prompts),
        "unreviewed": reviewed.unreviewed,
    }
    return replace(verdict, assessment=about.model_copy(update=update), source=source)
