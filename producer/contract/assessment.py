"""A model's texts about a page: never part of the gate, always with their source."""

from __future__ import annotations

from dataclasses import dataclass
from operator import not_
from typing import Final, Literal, Self, TypedDict, Unpack

from pydantic import Field

from producer.contract.message import Part

_NONE: Final = "none: "
_PENDING: Final = "pending"


@dataclass(frozen=True, slots=True)
class AssessmentSource:
    """The ``model`` that assessed a page, or the ``reason`` why none did; the other is empty.

    It is sent as one string, its ``str``: the model's name, or ``none: `` and the reason. The reason ``pending``,
    optionally with a colon and the cause of the delay, means that the assessment is still to come.
    """

    model: str = ""
    reason: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the source that was sent as ``text``."""
        return cls(reason=text.removeprefix(_NONE)) if text.startswith(_NONE) else cls(model=text)

    @classmethod
    def pending(cls, why: str = "") -> Self:
        """Return the source of a pending assessment; ``why`` is the cause of a delay, if any."""
        return cls(reason=f"{_PENDING}: {why}" if why else _PENDING)

    @property
    def is_pending(self) -> bool:
        """Whether the assessment is still to come."""
        return self.reason.partition(":")[0] == _PENDING

    def __str__(self) -> str:
        return self.model or f"{_NONE}{self.reason}"


class Priority(Part):
    """One step of the order in which to fix the page.

    ``fingerprint`` is the finding's; for a finding with several components, each component but the first has the
    fingerprint of its first element. ``issue_id`` is the explained component barrier, omitted if the text is about the
    whole finding.
    """

    fingerprint: str
    issue_id: str = Field(default="", exclude_if=not_)
    who: str = ""
    why: str = ""
    fix: str = ""


class ReviewProposal(Part):
    """A model's proposal for an undecided element, which still needs review.

    It is neither a finding nor the absence of one: it is never counted, and no gate, baseline or trend may use it. A
    report shows it beside the node of ``ScanResult.incomplete`` with this ``fingerprint``, as a proposal of ``source``,
    the model's name; ``look_at`` is what a person should look at to decide. ``confidence`` is the model's own, if
    asked.
    """

    fingerprint: str
    rule: str
    area: str
    verdict: Literal["barrier", "no_barrier", "cannot_tell"]
    why: str = ""
    look_at: str = ""
    source: str = ""
    confidence: Literal["", "low", "medium", "high"] = Field(default="", exclude_if=not_)


class SiteOrder(Part):
    """Advice by ``model`` on what to fix first on a whole site, written on the day of the assessment that contains it.

    The model was given rules and numbers of the site's ``pages`` newest states; ``prompt`` is the version of the
    prompt.
    """

    site: str
    text: str
    model: str = ""
    pages: int = 0
    prompt: str = ""


class AssessmentRevision(TypedDict, total=False):
    """The fields added to an assessment after its first call."""

    reviews: tuple[ReviewProposal, ...]
    reviewed: dict[str, str]
    unreviewed: int
    priorities: tuple[Priority, ...]
    dropped: int
    left_out: int
    site_order: SiteOrder | None


class Assessment(Part):
    """The model's assessment of the findings; never part of the gate.

    ``prompt`` is the version of the prompt, ``dropped`` counts statements about other barriers than those asked about,
    ``left_out`` the barriers that the model has not explained. ``model_reason`` says why this model answered, '' if it
    is CHAT_MODEL. ``summary`` is empty if only ``reviews`` were requested.

    ``reviews`` are proposals for elements that need review, ``reviewed`` the version of the prompt for each requested
    area, ``unreviewed`` the number of elements that need review and have no proposal. ``site_order`` is set once the
    site's was written on the day of this assessment.
    """

    summary: str
    priorities: tuple[Priority, ...] = ()
    prompt: str = ""
    dropped: int = 0
    left_out: int = 0
    model_reason: str = ""
    reviews: tuple[ReviewProposal, ...] = ()
    reviewed: dict[str, str] = Field(default_factory=dict[str, str])
    unreviewed: int = 0
    site_order: SiteOrder | None = Field(default=None, exclude_if=not_)

    def revised(self, **changes: Unpack[AssessmentRevision]) -> Self:
        """Return a copy with ``changes``."""
        return self.model_copy(update=changes)
